package agent_test

import (
	"sync/atomic"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// An offset moves an agent's clocks ahead of the real ones.
type offset struct {
	ahead atomic.Int64
	start time.Time
	still bool // the clocks move by forward alone: nothing becomes due however long the test takes
}

func newOffset() *offset { return &offset{start: time.Now()} }

func newStillClock() *offset { return &offset{start: time.Now(), still: true} }

func (o *offset) forward(d time.Duration) { o.ahead.Add(int64(d)) }

func (o *offset) elapsed() time.Duration {
	ahead := time.Duration(o.ahead.Load())
	if o.still {
		return ahead
	}
	return time.Since(o.start) + ahead
}

func (o *offset) clock() *refresher.Clock {
	return &refresher.Clock{
		Wall:    func() time.Time { return o.start.Add(o.elapsed()) },
		Elapsed: o.elapsed,
	}
}
