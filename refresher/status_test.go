package refresher_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

func TestStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		s := &service{life: time.Hour, latency: always(time.Second), answer: func(int, *refresher.Attempt) error {
			if down.Load() {
				return errDown
			}
			return nil
		}}
		r := s.start(t, refresher.Options{Floor: floor})
		synctest.Wait()
		if got := r.Status(); got.State != refresher.Cold || !got.Flying || got.Failure != nil || got.SinceAttempt != 0 {
			t.Errorf("during the first exchange: %+v", got)
		}
		time.Sleep(10 * time.Second)
		if got := r.Status(); got.State != refresher.Cold || got.Failure == nil || got.Left != 0 || got.Usable {
			t.Errorf("after failures: %+v", got)
		}
		down.Store(false)
		c := mustGet(t, r, 10*time.Second)
		if got := r.Status(); got.State != refresher.Fresh || got.Failure != nil || got.Lifetime != time.Hour || got.Left != time.Until(c.Expires)-time.Second {
			t.Errorf("with a credential for %v: %+v", time.Until(c.Expires), got)
		}
		down.Store(true)
		time.Sleep(50 * time.Minute)
		if got := r.Status(); got.State != refresher.Stale || !got.Usable || got.Failure == nil {
			t.Errorf("while the refresh fails: %+v", got)
		}
		time.Sleep(20 * time.Minute)
		if got := r.Status(); got.State != refresher.Expired || got.Usable || got.Left > 0 {
			t.Errorf("past the end: %+v", got)
		}
		down.Store(false)
		mustGet(t, r, 2*time.Minute)
		if got := r.Status(); got.State != refresher.Fresh || got.Failure != nil {
			t.Errorf("after recovery: %+v", got)
		}
	})
}

func TestStatusBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &refresher.Clock{Elapsed: func() time.Duration { return 100 * 24 * time.Hour }}
		r := refresher.New((&service{}).fetch, refresher.Options{Clock: clock})
		if got := r.Status(); got.State != refresher.Cold || got.SinceAttempt >= 0 || got.SinceBeat > time.Minute {
			t.Errorf("status = %+v, want cold, no attempt, no hang", got)
		}
	})
}

func TestElapsedTimeMayBeginAnywhere(t *testing.T) {
	for _, origin := range []time.Duration{-time.Hour, 0, 100 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			s := &service{life: time.Hour}
			r := s.start(t, refresher.Options{Floor: floor, Clock: &refresher.Clock{
				Elapsed: func() time.Duration { return time.Since(start) + origin },
			}})
			synctest.Wait()
			if got := r.Status().State; got != refresher.Fresh {
				t.Errorf("with elapsed time from %v: %v, want fresh", origin, got)
			}
		})
	}
}

// The loop turns at least every quarter of a minute, so a minute without a turn means that it hangs.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: 12 * time.Hour, latency: always(19 * time.Second)}
		r := s.start(t, refresher.Options{Floor: floor})
		for range 3600 {
			time.Sleep(time.Second)
			if since := r.Status().SinceBeat; since > 20*time.Second {
				t.Fatalf("SinceBeat = %v", since)
			}
		}
	})
}

func TestOnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		done := make(chan struct{})
		s := &service{life: time.Hour, answer: func(n int, _ *refresher.Attempt) error {
			return []error{errDown, fmt.Errorf("from afar: %w", errThrottled), nil, nil}[n-1]
		}}
		s.start(t, refresher.Options{Floor: floor, OnAttempt: func(err *refresher.Error) {
			log = append(log, fmt.Sprint(err))
			if len(log) == 3 {
				close(done)
			}
		}})
		<-done
		if got, want := fmt.Sprint(log), "[Unreachable Throttling <nil>]"; got != want {
			t.Errorf("OnAttempt saw %v, want %v", got, want)
		}
	})
}

func TestDrain(t *testing.T) {
	const grace = 30 * time.Second
	for _, c := range []struct {
		name string
		age  time.Duration // of the credential when the drain begins
		life time.Duration
		want int // exchanges after that, within five minutes
	}{
		{"it outlives the process by far", 10 * time.Minute, time.Hour, 0},
		{"it was about to be refreshed", 23 * time.Minute, time.Hour, 0},
		{"it is short but outlives the process", 4 * time.Minute, 15 * time.Minute, 0},
		{"it would not outlive the process", time.Second, 80 * time.Second, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{life: c.life}
				r := s.start(t, refresher.Options{Floor: floor})
				mustGet(t, r, time.Second)
				time.Sleep(c.age)
				before := s.calls()
				r.Drain(grace)
				mustGet(t, r, time.Second)
				time.Sleep(5 * time.Minute)
				if got := s.calls() - before; got != c.want {
					t.Errorf("%d exchanges while draining, want %d", got, c.want)
				}
			})
		})
	}
}
