package endpoints_test

import (
	"net/http"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
)

func TestNewServerFindsConflicts(t *testing.T) {
	protocol := func(name, fold string, paths ...string) *endpoints.Protocol {
		p := &endpoints.Protocol{Name: name, FoldCase: fold, Routes: endpoints.Routes{}}
		for _, path := range paths {
			p.Routes[path] = endpoints.Route{Methods: endpoints.Read}
		}
		return p
	}
	tests := []struct {
		name string
		a, b *endpoints.Protocol
		want string // no error if empty
	}{
		{"different paths", protocol("a", "", "/a"), protocol("b", "", "/b"), ""},
		{"different case", protocol("a", "", "/a"), protocol("b", "", "/A"), ""},
		{"one path", protocol("a", "", "/a", "/x"), protocol("b", "", "/b", "/x"), "a and b both serve /x on this listener"},
		{"two of a kind", protocol("a", "", "/x"), protocol("a", "", "/x"), "two outlets of the kind a both serve /x on this listener: give one of them another address"},
		{"several paths: the first by name", protocol("a", "", "/z", "/x"), protocol("b", "", "/z", "/x"), "a and b both serve /x on this listener"},
		{"one folded path", protocol("a", "/f", "/f/X"), protocol("b", "/F", "/F/x"), "a and b both serve /F/x on this listener"},
		{"one folded path of one protocol", protocol("a", "/f", "/f/X", "/f/x"), protocol("b", ""), "a and a both serve /f/x on this listener"},
		{"an exact path and a folded one", protocol("a", "", "/f/X"), protocol("b", "/f", "/f/x"), "a and b both serve /f/X on this listener"},
		{"the other way round", protocol("a", "/f", "/f/x"), protocol("b", "", "/f/X"), "b and a both serve /f/X on this listener"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := endpoints.NewServer(endpoints.ServerOptions{Protocols: []*endpoints.Protocol{test.a, test.b}})
			switch {
			case test.want == "" && err != nil:
				t.Errorf("NewServer: %v, want no error", err)
			case test.want != "" && (err == nil || err.Error() != test.want):
				t.Errorf("NewServer: %v, want %q", err, test.want)
			}
		})
	}
}

// Refusals have the form of the protocol that owns the path or the territory.
func TestRefusalsHaveTheFormOfTheirProtocol(t *testing.T) {
	s := newServer(t, endpoints.ServerOptions{Protocols: []*endpoints.Protocol{vault(), folder()}})
	for target, want := range map[string]string{
		"/vault/x":         "vault: there is nothing at this path",
		"//vault/x":        "vault: there is nothing at this path",
		"/vault/%2fx":      "vault: there is nothing at this path",
		"/FOLDER/x":        "folder: there is nothing at this path",
		"/folderx":         "folder: there is nothing at this path",
		"/x":               "there is nothing at this path\n",
		"/x/../vault/x":    "there is nothing at this path\n",
		"/%2fvault/x":      "vault: there is nothing at this path",
		"/vault":           "there is nothing at this path\n",
		"/metadata/vault/": "there is nothing at this path\n",
	} {
		if got := endpointstest.Body(t, ask(t, s, good(t, http.MethodGet, target))); got != want {
			t.Errorf("GET %s = %q, want %q", target, got, want)
		}
	}
}
