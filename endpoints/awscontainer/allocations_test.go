//go:build !race

// The race detector drops what is in a sync.Pool at random, so there is no counting with it.

package awscontainer_test

import (
	"net/http"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints/awscontainer"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

func TestAllocations(t *testing.T) {
	p := awscontainer.New(awscontainer.Options{Entries: []awscontainer.Entry{{Path: "/aws", Provider: endpointstest.YieldDefault(credential), RoleARN: "arn"}}})
	r, w := request("GET", "/aws"), discard{http.Header{}}
	got := testing.AllocsPerRun(1000, func() {
		if refusal := p.Routes["/aws"].Handler(w, r); refusal != nil {
			t.Fatal(refusal)
		}
	})
	if got > 10 {
		t.Errorf("a read makes %v allocations, want at most 10", got)
	}
}

func BenchmarkRead(b *testing.B) {
	p := awscontainer.New(awscontainer.Options{Entries: []awscontainer.Entry{{Path: "/aws", Provider: endpointstest.YieldDefault(credential), RoleARN: "arn"}}})
	r, w := request("GET", "/aws"), discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		if refusal := p.Routes["/aws"].Handler(w, r); refusal != nil {
			b.Fatal(refusal)
		}
	}
}
