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
}

func newOffset() *offset { return &offset{start: time.Now()} }

func (o *offset) forward(d time.Duration) { o.ahead.Add(int64(d)) }

func (o *offset) clock() *refresher.Clock {
	return &refresher.Clock{
		Wall:    func() time.Time { return time.Now().Add(time.Duration(o.ahead.Load())) },
		Elapsed: func() time.Duration { return time.Since(o.start) + time.Duration(o.ahead.Load()) },
	}
}
