// Package azuretokentest helps to test Azure's outlets: requests as the text that a client sends,
// answers as golden files, and providers whose tokens are easy to recognize.
package azuretokentest

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken"
	"github.com/wisp-sidecar/wisp/refresher"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Ids of the two identities of [Identities].
const (
	FirstClientID    = "a1b2c3d4-0000-4000-8000-00000000000a"
	FirstObjectID    = "a1b2c3d4-0000-4000-8000-00000000000b"
	SecondClientID   = "e5f6a7b8-0000-4000-8000-00000000000c"
	SecondObjectID   = "e5f6a7b8-0000-4000-8000-00000000000d"
	SecondResourceID = "/subscriptions/e5f6a7b8-0000-4000-8000-00000000000e/resourceGroups/Rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/second"
)

// Now is the time at which all answers are given. The tokens were issued at noon for a day.
func Now() time.Time { return noon.Add(90*time.Second + 700*time.Millisecond) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// A Provider is a function as [endpoints.Provider].
type Provider func(context.Context, refresher.Target) (refresher.Credential, error)

// Credential calls p.
func (p Provider) Credential(ctx context.Context, t refresher.Target) (refresher.Credential, error) {
	return p(ctx, t)
}

// Token yields a bearer token that spells out whose it is and what for: "token of first for
// https://vault.azure.net/.default".
func Token(name string) Provider {
	return func(_ context.Context, t refresher.Target) (refresher.Credential, error) {
		if t.Audience != "" {
			return refresher.Credential{}, fmt.Errorf("asked for an ID token for %s", t.Audience)
		}
		return refresher.Credential{
			Value:   refresher.Bearer{Token: refresher.Secret("token of " + name + " for " + t.Scope), Type: refresher.TypeAccessToken},
			Issued:  noon,
			Expires: noon.Add(24 * time.Hour),
		}, nil
	}
}

// Fail yields err.
func Fail(err error) Provider {
	return func(context.Context, refresher.Target) (refresher.Credential, error) {
		return refresher.Credential{}, err
	}
}

// AccessKey yields what no Azure outlet can use.
func AccessKey() Provider {
	return func(context.Context, refresher.Target) (refresher.Credential, error) {
		return refresher.Credential{Value: refresher.AccessKey{ID: "AKIAEXAMPLE", Secret: "s", SessionToken: "t"}}, nil
	}
}

// Identities are two identities: the first has no resource id.
func Identities() []azuretoken.Identity {
	return []azuretoken.Identity{
		{ClientID: FirstClientID, ObjectID: FirstObjectID, Provider: Token("first")},
		{ClientID: SecondClientID, ObjectID: SecondObjectID, ResourceID: SecondResourceID, Provider: Token("second")},
	}
}

// Only is one identity with the given provider.
func Only(p endpoints.Provider) []azuretoken.Identity {
	return []azuretoken.Identity{{ClientID: FirstClientID, Provider: p}}
}

// Address is where the servers of [Serve] believe to listen.
const Address = "127.0.0.1:9911"

// Serve returns a server with the gate and p.
func Serve(t testing.TB, p *endpoints.Protocol) http.Handler {
	t.Helper()
	server, err := endpoints.NewServer(endpoints.ServerOptions{Protocols: []*endpoints.Protocol{p}})
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// Request reads a request as a client would send it, with \n for line ends. Without a Host line it
// goes to [Address].
func Request(t testing.TB, raw string) *http.Request {
	t.Helper()
	head, body, _ := strings.Cut(raw, "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	if !strings.Contains(head, "\nHost:") {
		lines = append(lines, "Host: "+Address)
	}
	if body != "" && !strings.Contains(head, "\nTransfer-Encoding:") {
		lines = append(lines, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.Join(lines, "\r\n") + "\r\n\r\n" + body)))
	if err != nil {
		t.Fatalf("ReadRequest(%q) = %v", raw, err)
	}
	local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(Address))
	return r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, local))
}

// Ask sends a request to p, gate included; see [Request] for its form.
func Ask(t testing.TB, p *endpoints.Protocol, raw string) *http.Response {
	t.Helper()
	w := httptest.NewRecorder()
	Serve(t, p).ServeHTTP(w, Request(t, raw))
	return w.Result()
}

// Body reads the whole body.
func Body(t testing.TB, response *http.Response) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := b.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Golden compares status, header and body with testdata/<name>.golden, or writes that file when the
// tests run with -update.
func Golden(t *testing.T, name string, response *http.Response) {
	t.Helper()
	var got bytes.Buffer
	fmt.Fprintf(&got, "%s\n", response.Status)
	if err := response.Header.Write(&got); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(got.String(), "\r\n", "\n") + "\n" + Body(t, response)
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run the tests with -update", err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("answer differs from %s (-want +got):\n%s", path, diff)
	}
}
