//go:build !race

// The race detector drops what is in a sync.Pool at random, so there is no counting with it.

package gcemetadata_test

import (
	"net/http"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints/gcemetadata"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

func TestAllocations(t *testing.T) {
	route := gcemetadata.New(full(fresh)).Routes[accounts+"default/token"]
	r, w := request(http.MethodGet, accounts+"default/token"), discard{http.Header{}}
	got := testing.AllocsPerRun(1000, func() {
		if refusal := route.Handler(w, r); refusal != nil {
			t.Fatal(refusal)
		}
	})
	if got > 10 {
		t.Errorf("a read makes %v allocations, want at most 10", got)
	}
}

func BenchmarkToken(b *testing.B) {
	route := gcemetadata.New(full(fresh)).Routes[accounts+"default/token"]
	r, w := request(http.MethodGet, accounts+"default/token"), discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		if refusal := route.Handler(w, r); refusal != nil {
			b.Fatal(refusal)
		}
	}
}
