package endpoints_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints"
)

const (
	// address is where the requests of these tests arrive.
	address = "127.0.0.1:9911"
	// treasure is what the gate guards.
	treasure = "the-treasure"
	password = "the-password"
)

// vault is a protocol that uses all that the gate offers.
func vault() *endpoints.Protocol {
	give := func(w http.ResponseWriter, r *http.Request) *endpoints.Refusal {
		endpoints.Reply(w, http.StatusOK, endpoints.Text, []byte(treasure+r.URL.RawQuery))
		return nil
	}
	read := func(w http.ResponseWriter, r *http.Request) *endpoints.Refusal {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return endpoints.Refuse(endpoints.TooLarge, "the form is too large")
		}
		endpoints.Reply(w, http.StatusOK, endpoints.Text, fmt.Appendf(nil, "%s%d", treasure, len(body)))
		return nil
	}
	return &endpoints.Protocol{
		Name:           "vault",
		Hosts:          []string{"Vault.internal", "vault.internal.", "169.254.169.254", "fd00:ec2::254"},
		Territory:      "/vault/",
		GuardTerritory: true,
		Single:         []string{"X-Secret"},
		Guard: func(r *http.Request) *endpoints.Refusal {
			if !endpoints.Matches(r.Header.Get("X-Secret"), password) {
				return endpoints.Refuse(endpoints.Unauthorized, "the secret is wrong")
			}
			return nil
		},
		Refuse: func(w http.ResponseWriter, _ *http.Request, refusal *endpoints.Refusal) {
			endpoints.Reply(w, refusal.Reason.Status(), endpoints.Text, []byte("vault: "+refusal.Message))
		},
		Routes: endpoints.Routes{
			"/":            {Methods: endpoints.Read, Open: true, Handler: give},
			"/vault/token": {Methods: endpoints.Read, Handler: give},
			"/vault/put":   {Methods: []string{http.MethodPut}, Handler: give},
			"/vault/form":  {Methods: []string{http.MethodPost}, Body: true, Handler: read},
		},
	}
}

// folder is a protocol without a guard, whose paths are found in any case.
func folder() *endpoints.Protocol {
	return &endpoints.Protocol{
		Name:      "folder",
		FoldCase:  "/Folder",
		Territory: "/folder/",
		Refuse: func(w http.ResponseWriter, _ *http.Request, refusal *endpoints.Refusal) {
			endpoints.Reply(w, refusal.Reason.Status(), endpoints.Text, []byte("folder: "+refusal.Message))
		},
		Routes: endpoints.Routes{
			"/folder/Token": {Methods: []string{http.MethodGet}, Handler: func(w http.ResponseWriter, _ *http.Request) *endpoints.Refusal {
				endpoints.Reply(w, http.StatusOK, endpoints.Text, []byte("folded"))
				return nil
			}},
		},
	}
}

func newServer(t testing.TB, o endpoints.ServerOptions) *endpoints.Server {
	t.Helper()
	s, err := endpoints.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask hands s a request as if it had come over a connection to address.
func ask(t testing.TB, s *endpoints.Server, r *http.Request) *http.Response {
	t.Helper()
	local, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(local))))
	return w.Result()
}

// good returns a request that the vault answers, to be spoiled.
func good(t testing.TB, method, target string) *http.Request {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	r.Host = address
	r.Header.Set("X-Secret", password)
	return r
}

// harmless checks what holds for every answer.
func harmless(t testing.TB, r *http.Response, text string) {
	t.Helper()
	if r.StatusCode != http.StatusOK && strings.Contains(text, treasure) {
		t.Errorf("an answer with status %d holds the credential: %q", r.StatusCode, text)
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("an answer has the field %s", name)
		}
	}
	if got := r.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q, want no-store", got)
	}
}
