package refresher_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

const floor = 15 * time.Minute

func TestGetWaitsForTheFirstCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour, latency: always(3 * time.Second)}
		r := s.start(t, refresher.Options{Floor: floor})
		start := time.Now()
		c := mustGet(t, r, time.Minute)
		if waited := time.Since(start); waited != 3*time.Second {
			t.Errorf("Get waited %v, want 3s", waited)
		}
		if !c.Issued.Equal(start) || !c.Expires.Equal(end(t, c)) {
			t.Errorf("credential of %v to %v, want %v to %v", c.Issued, c.Expires, start, end(t, c))
		}
	})
}

// The reason is worth more to the caller than "context deadline exceeded".
func TestGetReturnsTheLastFailure(t *testing.T) {
	for _, c := range []struct {
		name string
		s    *service
		want string
	}{
		{"while the first exchange is under way", &service{latency: always(10 * time.Second)}, refresher.CodeNotReady},
		{"after failures", &service{answer: func(int, *refresher.Attempt) error { return errDown }}, "Unreachable"},
		{"after a failure that is no *Error", &service{answer: func(int, *refresher.Attempt) error { return errors.New("plain") }}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := c.s.start(t, refresher.Options{Floor: floor})
				start := time.Now()
				_, err := get(t, r, 800*time.Millisecond)
				if waited := time.Since(start); waited != 800*time.Millisecond {
					t.Errorf("Get waited %v, want 800ms", waited)
				}
				if _, ok := errors.AsType[*refresher.Error](err); !ok || code(err) != c.want || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Get: %v (%T), want an *Error with code %q", err, err, c.want)
				}
			})
		})
	}
}

func TestGetReturnsADenialAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour, latency: always(time.Second), answer: func(int, *refresher.Attempt) error { return errDenied }}
		r := s.start(t, refresher.Options{Floor: floor})
		start := time.Now()
		for range 2 {
			_, err := get(t, r, time.Minute)
			if code(err) != "AccessDenied" {
				t.Errorf("Get: %v, want AccessDenied", err)
			}
			// The first call waits for the exchange under way, the second for nothing.
			if waited := time.Since(start); waited != time.Second {
				t.Errorf("answered after %v, want 1s", waited)
			}
		}
	})
}

func TestGetWithEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour}
		r := s.start(t, refresher.Options{Floor: floor})
		mustGet(t, r, time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.Get(ctx); err != nil {
			t.Errorf("Get of what is there: %v", err)
		}
	})
}

// Below the floor a reader waits for the exchange under way, but only for a moment.
func TestGetBelowTheFloor(t *testing.T) {
	for _, c := range []struct {
		name    string
		latency time.Duration // of the second exchange
		waited  time.Duration
		newer   bool
	}{
		{"the new credential is nearly there", 100 * time.Millisecond, 100 * time.Millisecond, true},
		{"the service is slow", 2 * time.Second, 250 * time.Millisecond, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				second := make(chan struct{})
				s := &service{life: 15 * time.Minute, latency: func(n int) time.Duration {
					if n == 2 {
						close(second)
						return c.latency
					}
					return 0
				}}
				r := s.start(t, refresher.Options{Floor: floor})
				time.Sleep(time.Second)
				begun := time.Now()
				old := mustGet(t, r, time.Minute)
				if waited := time.Since(begun); waited != 0 {
					t.Errorf("Get waited %v although nothing is under way", waited)
				}
				<-second
				begun = time.Now()
				got := mustGet(t, r, time.Minute)
				if waited := time.Since(begun); waited != c.waited {
					t.Errorf("Get waited %v, want %v", waited, c.waited)
				}
				if newer := got != old; newer != c.newer {
					t.Errorf("got the new credential: %v, want %v", newer, c.newer)
				}
			})
		})
	}
}

func TestNoReaderStartsAnAttemptDuringBackOff(t *testing.T) {
	for name, err := range map[string]error{"down": errDown, "throttled": errThrottled, "denied": errDenied, "settling": errSettling} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{answer: func(int, *refresher.Attempt) error { return err }}
				r := s.start(t, refresher.Options{Floor: floor})
				for range 500 {
					synctest.Wait()
					before, next := s.calls(), r.Status().Next
					ctx, cancel := context.WithTimeout(t.Context(), next/2)
					_, _ = r.Get(ctx)
					cancel()
					synctest.Wait()
					if s.calls() != before {
						t.Fatalf("an exchange %v before it was due", r.Status().Next)
					}
					time.Sleep(100 * time.Millisecond)
				}
			})
		})
	}
}

func TestThousandReadersOfAWarmCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour}
		r := s.start(t, refresher.Options{Floor: floor})
		want := mustGet(t, r, time.Second)
		var group sync.WaitGroup
		for range 1000 {
			group.Go(func() {
				if got, err := r.Get(t.Context()); got != want || err != nil {
					t.Errorf("Get = %v, %v, want %v", got, err, want)
				}
			})
		}
		group.Wait()
		if s.calls() != 1 {
			t.Errorf("%d exchanges, want 1", s.calls())
		}
	})
}

// While the old credential lives it is served, to its last useful moment and not beyond.
func TestGetServesToTheEnd(t *testing.T) {
	for life, least := range map[time.Duration]time.Duration{time.Hour: 30 * time.Second, time.Minute: 15 * time.Second} {
		t.Run(fmt.Sprint(life), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{life: life, answer: func(n int, _ *refresher.Attempt) error {
					if n > 1 {
						return errDown
					}
					return nil
				}}
				r := s.start(t, refresher.Options{Floor: floor})
				c := mustGet(t, r, time.Second)
				time.Sleep(time.Until(end(t, c)) - least)
				if got := mustGet(t, r, time.Second); got != c {
					t.Errorf("Get = %v, want %v", got, c)
				}
				time.Sleep(time.Nanosecond)
				if _, err := get(t, r, time.Nanosecond); code(err) != "Unreachable" {
					t.Errorf("Get with less than %v left: %v, want the failure", least, err)
				}
			})
		})
	}
}

// warmed is a Refresher that has its credential, outside of a bubble.
func warmed(t testing.TB) *refresher.Refresher {
	s := &service{life: time.Hour}
	r := refresher.New(s.fetch, refresher.Options{Floor: floor})
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = r.Run(ctx) })
	t.Cleanup(func() { cancel(); group.Wait() })
	if _, err := r.Get(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCachedGetDoesNotAllocate(t *testing.T) {
	r, ctx := warmed(t), context.Background()
	allocs := testing.AllocsPerRun(1000, func() {
		if _, err := r.Get(ctx); err != nil {
			t.Error(err)
		}
	})
	if allocs > 0 {
		t.Errorf("a cached Get makes %v allocations, want none", allocs)
	}
}

func BenchmarkGet(b *testing.B) {
	r, ctx := warmed(b), context.Background()
	b.Run("one reader", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = r.Get(ctx)
		}
	})
	b.Run("a reader per processor", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, _ = r.Get(ctx)
			}
		})
	})
}
