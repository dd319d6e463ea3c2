package refresher_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// A service is a fake token service whose clock is always right. Its credentials hold the Unix time
// in nanoseconds of their own end, so that a reader can tell whether it was given an expired one.
type service struct {
	life    time.Duration
	latency func(n int) time.Duration // of the n-th exchange (from 1); nil: none
	undated bool                      // answers carry no Date
	// answer decides what the n-th exchange comes to; nil: success.
	answer func(n int, a *refresher.Attempt) error
	// spoil, if not nil, changes what a successful exchange gives.
	spoil func(n int, c *refresher.Credential)
	// clock is the right time; nil: the bubble's.
	clock func() time.Time

	mu    sync.Mutex
	times []time.Time
}

func (s *service) now() time.Time {
	if s.clock != nil {
		return s.clock()
	}
	return time.Now()
}

func (s *service) fetch(ctx context.Context) (refresher.Credential, error) {
	s.mu.Lock()
	s.times = append(s.times, time.Now())
	n := len(s.times)
	s.mu.Unlock()

	if s.latency != nil {
		select {
		case <-time.After(s.latency(n)):
		case <-ctx.Done():
			return refresher.Credential{}, ctx.Err()
		}
	}
	a := refresher.AttemptFrom(ctx)
	if !s.undated {
		a.Record(func(d *refresher.AttemptData) { d.Date, d.DateAt = s.now(), time.Now() })
	}
	if s.answer != nil {
		if err := s.answer(n, a); err != nil {
			return refresher.Credential{}, err
		}
	}
	end := s.now().Add(s.life)
	c := refresher.Credential{
		Value:   stamped(end),
		Expires: end,
	}
	if s.spoil != nil {
		s.spoil(n, &c)
	}
	return c, nil
}

// always is the same latency for each exchange.
func always(d time.Duration) func(int) time.Duration {
	return func(int) time.Duration { return d }
}

// start runs a Refresher on the service until the test ends.
func (s *service) start(t *testing.T, o refresher.Options) *refresher.Refresher {
	r := refresher.New(s.fetch, o)
	go func() {
		if err := r.Run(t.Context()); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	return r
}

// calls is the number of exchanges so far.
func (s *service) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.times)
}

// since returns when the exchanges began, counted from start.
func (s *service) since(start time.Time) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []time.Duration
	for _, at := range s.times {
		all = append(all, at.Sub(start))
	}
	return all
}

// end is when the service will cease to accept c, whatever c says itself.
func end(t *testing.T, c refresher.Credential) time.Time {
	t.Helper()
	nanos, err := strconv.ParseInt(c.Value.(refresher.Bearer).Token.Reveal(), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(0, nanos)
}

// get reads with the given patience.
func get(t *testing.T, r *refresher.Refresher, hold time.Duration) (refresher.Credential, error) {
	ctx, cancel := context.WithTimeout(t.Context(), hold)
	defer cancel()
	return r.Get(ctx)
}

// mustGet reads, and fails the test if there is nothing to read.
func mustGet(t *testing.T, r *refresher.Refresher, hold time.Duration) refresher.Credential {
	t.Helper()
	c, err := get(t, r, hold)
	if err != nil {
		t.Fatalf("Get: %v; status %+v", err, r.Status())
	}
	return c
}

// code is the code of err; "" if it is no [refresher.Error].
func code(err error) string {
	var e *refresher.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.Code
}

func failure(class refresher.Class, code string) error {
	return &refresher.Error{Class: class, Code: code}
}

var (
	errDown      = failure(refresher.Transient, "Unreachable")
	errThrottled = failure(refresher.Throttled, "Throttling")
	errToken     = failure(refresher.SubjectToken, "ExpiredToken")
	errSettling  = failure(refresher.Settling, "NoProvider")
	errDenied    = failure(refresher.Denied, "AccessDenied")
)

// stamped is a credential's value that ends when it says.
func stamped(end time.Time) refresher.Value {
	return refresher.Bearer{Token: refresher.Secret(strconv.FormatInt(end.UnixNano(), 10)), Type: refresher.TypeAccessToken}
}
