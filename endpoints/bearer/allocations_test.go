//go:build !race

// The race detector drops what is in a sync.Pool at random, so there is no counting with it.

package bearer_test

import (
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
)

func TestAllocations(t *testing.T) {
	route := outlet().Routes["/token/reports"]
	r, w := endpointstest.Request(t, "GET /token/reports HTTP/1.1"), newDiscard()
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
	route := outlet().Routes["/token/reports"]
	r, w := endpointstest.Request(b, "GET /token/reports HTTP/1.1"), newDiscard()
	b.ReportAllocs()
	for b.Loop() {
		if refusal := route.Handler(w, r); refusal != nil {
			b.Fatal(refusal)
		}
	}
}
