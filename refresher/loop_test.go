package refresher

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// warmFleet has n Refreshers with a fresh credential and nothing to do.
func warmFleet(b *testing.B, n int) *fleet {
	f := newFleet(n, Options{Floor: 15 * time.Minute}, time.Second)
	f.run(b.Context(), time.Minute)
	return f
}

// What the loops of idle identities cost each quarter of a minute. The cost per identity must not grow
// with their number.
func BenchmarkBeat(b *testing.B) {
	for _, n := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("identities=%d", n), func(b *testing.B) {
			f := warmFleet(b, n)
			b.ReportAllocs()
			for b.Loop() {
				for _, p := range f.pods {
					f.clock.compare()
					now := f.clock.read()
					p.adopt(now)
					if p.untilDue(now) <= 0 {
						b.Fatal("due")
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/identity")
		})
	}
}

// What the engine adds to an exchange.
func BenchmarkExchange(b *testing.B) {
	f := warmFleet(b, 1)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		f.pods[0].attempt(ctx)
	}
}
