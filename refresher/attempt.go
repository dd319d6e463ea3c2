package refresher

import (
	"context"
	"sync"
	"time"
)

// An Attempt is the record of one exchange: what the engine wants to know about it besides its
// result. The engine puts one into the context of every exchange; the transport that all clouds
// share (package upstream) and the exchanger fill it in. The zero value is ready to use, it is safe
// for concurrent use, and all its methods accept a nil *Attempt, for callers outside the engine.
type Attempt struct {
	clock *Clock // the engine's; nil outside it

	mu   sync.Mutex // guards:
	data AttemptData
}

// AttemptData are the facts of an [Attempt].
type AttemptData struct {
	Status     int           // last HTTP status; 0 while no response was seen
	RetryAfter time.Duration // how long the service asked us to wait; 0 if it did not
	Date       time.Time     // the service's clock when its answer arrived: the Date header plus RTT/2; zero if unknown
	DateAt     time.Time     // time.Now() at that moment, with its monotonic reading
	RTT        time.Duration // time from sending the request to the header of its response
	RequestID  string        // for the service's support
	Body       []byte        // start of the last non-2xx body, for the exchanger to classify; never logged
	Requested  time.Duration // the lifetime that was asked for; 0 if none was
	// SubjectChanged: the service refused the subject token, and the source has a newer one by now.
	SubjectChanged bool
}

type attemptKey struct{}

// WithAttempt returns a context that carries a.
func WithAttempt(ctx context.Context, a *Attempt) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

// AttemptFrom returns the Attempt that ctx carries, or nil.
func AttemptFrom(ctx context.Context) *Attempt {
	a, _ := ctx.Value(attemptKey{}).(*Attempt)
	return a
}

// Record changes the attempt's facts under its lock.
func (a *Attempt) Record(change func(*AttemptData)) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.data)
}

// Data returns a copy of the facts.
func (a *Attempt) Data() AttemptData {
	if a == nil {
		return AttemptData{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.data
}

// ServerNow is the service's time now, as far as its last answer told; if it told nothing, what
// earlier answers told of the local clock; else the local time.
func (a *Attempt) ServerNow() time.Time {
	if d := a.Data(); !d.Date.IsZero() {
		return d.Date
	}
	if a == nil || a.clock == nil {
		return time.Now()
	}
	return a.clock.read().service()
}
