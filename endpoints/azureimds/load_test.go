package azureimds_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints/azureimds"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken/azuretokentest"
	"github.com/wisp-sidecar/wisp/refresher"
)

const tokenRequest = "GET " + path + "?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\nMetadata: true"

func TestParallelRequestsShareAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var exchanges atomic.Int64
		token := refresher.New(func(context.Context) (refresher.Credential, error) {
			time.Sleep(time.Second)
			exchanges.Add(1)
			return refresher.Credential{
				Value:   refresher.Bearer{Token: "token", Type: refresher.TypeAccessToken},
				Expires: time.Now().Add(time.Hour),
			}, nil
		}, refresher.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { _ = token.Run(ctx) })

		server := azuretokentest.Serve(t, azureimds.New(azureimds.Options{Identities: azuretokentest.Only(azuretokentest.Provider(
			func(ctx context.Context, _ refresher.Target) (refresher.Credential, error) { return token.Get(ctx) }))}))
		const callers = 20
		answers := make([]*httptest.ResponseRecorder, callers)
		var calls sync.WaitGroup
		for i := range answers {
			answers[i] = httptest.NewRecorder()
			request := azuretokentest.Request(t, tokenRequest)
			calls.Go(func() { server.ServeHTTP(answers[i], request) })
		}
		calls.Wait()
		cancel()
		group.Wait()

		for i, answer := range answers {
			if answer.Code != http.StatusOK || answer.Body.String() != answers[0].Body.String() {
				t.Errorf("answer %d = %d, %s, want 200, %s", i, answer.Code, answer.Body, answers[0].Body)
			}
		}
		if got := exchanges.Load(); got != 1 {
			t.Errorf("exchanges for %d callers = %d, want 1", callers, got)
		}
	})
}

// discard is a ResponseWriter that costs nothing itself.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func TestACachedReadIsCheap(t *testing.T) {
	credential, err := azuretokentest.Token("first")(t.Context(), refresher.Target{Scope: "https://vault.azure.net/.default"})
	if err != nil {
		t.Fatal(err)
	}
	cached := azuretokentest.Provider(func(context.Context, refresher.Target) (refresher.Credential, error) { return credential, nil })
	handler := outletOf(cached).Routes[path].Handler
	request := azuretokentest.Request(t, tokenRequest)
	w := discard{http.Header{}}
	got := testing.AllocsPerRun(1000, func() {
		if refusal := handler(w, request); refusal != nil {
			t.Fatal(refusal)
		}
	})
	if got > 10 {
		t.Errorf("allocations per cached read = %v, want at most 10", got)
	}
}

func TestConnectionIsGoodAfterAnError(t *testing.T) {
	server := httptest.NewServer(azuretokentest.Serve(t, outlet()))
	defer server.Close()
	client := server.Client()
	var opened atomic.Int64
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		opened.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}

	for _, step := range []struct {
		query    string
		metadata string
		want     int
	}{
		{"", "", 400},
		{"?api-version=2018-02-01&resource=r&client_id=x", "true", 400},
		{"?api-version=2018-02-01&resource=r", "true", 200},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path+step.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		if step.metadata != "" {
			request.Header.Set("Metadata", step.metadata)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != step.want {
			t.Errorf("GET %s = %d %s, want %d", step.query, response.StatusCode, body, step.want)
		}
	}
	if got := opened.Load(); got != 1 {
		t.Errorf("connections opened = %d, want 1", got)
	}
}
