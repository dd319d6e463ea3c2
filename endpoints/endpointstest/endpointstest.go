// Package endpointstest helps to test HTTP outlets: requests as the text that a client sends, with the
// gate before the protocol, and answers as golden files.
package endpointstest

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

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/endpoints"
)

var update = flag.Bool("update", false, "rewrite the golden files")

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
	r, err := Read(t, strings.Join(lines, "\r\n")+"\r\n\r\n"+body)
	if err != nil {
		t.Fatalf("ReadRequest(%q) = %v", raw, err)
	}
	return r
}

// Read reads a request that arrives at [Address], as it stands: fuzzers make some that are none.
func Read(t testing.TB, raw string) (*http.Request, error) {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		return nil, err
	}
	local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(Address))
	return r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, local)), nil
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
