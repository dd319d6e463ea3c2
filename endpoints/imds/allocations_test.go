//go:build !race

// The race detector drops what is in a sync.Pool at random, so there is no counting with it.

package imds_test

import (
	"net/http"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/endpoints/imds"
)

func TestAllocations(t *testing.T) {
	route := imds.New(full(endpointstest.YieldDefault(credential))).Routes[roles+role]
	r, w := endpointstest.Request(t, "GET "+roles+role+" HTTP/1.1"), discard{http.Header{}}
	got := testing.AllocsPerRun(1000, func() {
		if refusal := route.Handler(w, r); refusal != nil {
			t.Fatal(refusal)
		}
	})
	if got > 10 {
		t.Errorf("a read makes %v allocations, want at most 10", got)
	}
}

func BenchmarkRead(b *testing.B) {
	route := imds.New(full(endpointstest.YieldDefault(credential))).Routes[roles+role]
	r, w := endpointstest.Request(b, "GET "+roles+role+" HTTP/1.1"), discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		if refusal := route.Handler(w, r); refusal != nil {
			b.Fatal(refusal)
		}
	}
}

// What recognizing a session's token costs besides.
func BenchmarkGuard(b *testing.B) {
	p := imds.New(full(endpointstest.YieldDefault(credential)))
	w := &recorder{discard: discard{http.Header{}}}
	if refusal := p.Routes["/latest/api/token"].Handler(w, endpointstest.Request(b, "PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 21600")); refusal != nil {
		b.Fatal(refusal)
	}
	r := endpointstest.Request(b, "GET "+roles+role+" HTTP/1.1\nX-aws-ec2-metadata-token: "+w.body)
	b.ReportAllocs()
	for b.Loop() {
		if refusal := p.Guard(r); refusal != nil {
			b.Fatal(refusal)
		}
	}
}

type recorder struct {
	discard
	body string
}

func (r *recorder) Write(b []byte) (int, error) { r.body = string(b); return len(b), nil }
