package azuretokentest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/refresher"
)

// Outlet makes the protocol under test, for the given identities.
type Outlet func([]azuretoken.Identity) *endpoints.Protocol

// ParallelRequests checks that 20 callers who come before the first token cause one exchange and get
// the same answer.
func ParallelRequests(t *testing.T, outlet Outlet, raw string) {
	t.Helper()
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
		var running sync.WaitGroup
		running.Go(func() { _ = token.Run(ctx) })

		server := endpointstest.Serve(t, outlet(Only(endpointstest.Provider(func(ctx context.Context, _ refresher.Target) (refresher.Credential, error) {
			return token.Get(ctx)
		}))))
		answers := make([]*httptest.ResponseRecorder, 20)
		var callers sync.WaitGroup
		for i := range answers {
			answers[i] = httptest.NewRecorder()
			request := endpointstest.Request(t, raw)
			callers.Go(func() { server.ServeHTTP(answers[i], request) })
		}
		callers.Wait()
		cancel()
		running.Wait()

		for i, answer := range answers {
			if answer.Code != http.StatusOK || answer.Body.String() != answers[0].Body.String() {
				t.Errorf("answer %d = %d, %s, want 200, %s", i, answer.Code, answer.Body, answers[0].Body)
			}
		}
		if got := exchanges.Load(); got != 1 {
			t.Errorf("exchanges for %d callers = %d, want 1", len(answers), got)
		}
	})
}

// CachedRead checks that the handler of path makes at most 10 allocations for a token that is there.
func CachedRead(t *testing.T, outlet Outlet, path, raw string) {
	t.Helper()
	if underRaceDetector() {
		t.Skip("the race detector makes sync.Pool forget")
	}
	if got := testing.AllocsPerRun(1000, read(t, outlet, path, raw)); got > 10 {
		t.Errorf("allocations per cached read = %v, want at most 10", got)
	}
}

// BenchmarkRead measures what [CachedRead] checks.
func BenchmarkRead(b *testing.B, outlet Outlet, path, raw string) {
	once := read(b, outlet, path, raw)
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}

// read returns a function that asks the handler of path once for a token that is there.
func read(t testing.TB, outlet Outlet, path, raw string) func() {
	t.Helper()
	credential, err := Token("first")(t.Context(), refresher.Target{Scope: "https://vault.azure.net/.default"})
	if err != nil {
		t.Fatal(err)
	}
	credential.Expires = noon.AddDate(100, 0, 0) // for outlets with another clock, too
	handler := outlet(Only(endpointstest.Provider(func(context.Context, refresher.Target) (refresher.Credential, error) {
		return credential, nil
	}))).Routes[path].Handler
	request := endpointstest.Request(t, raw)
	w := discard{http.Header{}}
	return func() {
		if refusal := handler(w, request); refusal != nil {
			t.Fatal(refusal)
		}
	}
}

// discard is a ResponseWriter that allocates nothing itself.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func underRaceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
