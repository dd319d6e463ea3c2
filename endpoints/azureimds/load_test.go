package azureimds_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/azureimds"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken/azuretokentest"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
)

const tokenRequest = "GET " + path + "?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\nMetadata: true"

func outletFor(identities []azuretoken.Identity) *endpoints.Protocol {
	return azureimds.New(azureimds.Options{Identities: identities})
}

func TestParallelRequestsShareAToken(t *testing.T) {
	azuretokentest.ParallelRequests(t, outletFor, tokenRequest)
}

func TestACachedReadIsCheap(t *testing.T) {
	azuretokentest.CachedRead(t, outletFor, path, tokenRequest)
}

func BenchmarkRead(b *testing.B) { azuretokentest.BenchmarkRead(b, outletFor, path, tokenRequest) }

func TestConnectionIsGoodAfterAnError(t *testing.T) {
	server := httptest.NewServer(endpointstest.Serve(t, outlet()))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)

	for _, step := range []struct {
		query, metadata string
		want            int
	}{
		{"", "", 400},
		{"?api-version=2018-02-01&resource=r&client_id=x", "true", 400},
		{"?api-version=2018-02-01&resource=r", "true", 200},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path+step.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Metadata", step.metadata)
		if err := request.Write(conn); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(answers, request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != step.want || response.Close {
			t.Errorf("GET %q = %d %s, %v, Close = %v, want %d and a connection to keep", step.query, response.StatusCode, body, err, response.Close, step.want)
		}
	}
}
