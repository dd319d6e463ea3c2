package refresher_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

func TestOnDemandSleepsUntilItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour}
		r := s.start(t, refresher.Options{Floor: floor, OnDemand: true})
		time.Sleep(24 * time.Hour)
		if r.Refresh() {
			t.Error("Refresh() = true for a target that nobody wants")
		}
		r.Wake()
		synctest.Wait()
		if got := r.Status(); s.calls() != 0 || got.State != refresher.Dormant {
			t.Fatalf("after an unread day: %d exchanges, state %v", s.calls(), got.State)
		}
		start := time.Now()
		mustGet(t, r, time.Second)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("the first read waited %v", waited)
		}
	})
}

func TestOnDemandStaysFreshWhileRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour, latency: always(time.Second)}
		r := s.start(t, refresher.Options{Floor: floor, OnDemand: true})
		mustGet(t, r, 2*time.Second)
		for range 48 {
			time.Sleep(30 * time.Minute)
			mustGet(t, r, time.Nanosecond)
		}
		if s.calls() > 84 {
			t.Errorf("%d exchanges in a day", s.calls())
		}
	})
}

func TestOnDemandIsWipedWhenUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour}
		r := s.start(t, refresher.Options{Floor: floor, OnDemand: true})
		mustGet(t, r, time.Second)
		time.Sleep(2 * time.Hour)
		before := s.calls()
		if before > 3 {
			t.Errorf("%d exchanges for one read", before)
		}
		if got := r.Status(); got.State != refresher.Dormant || got.Left != 0 || got.Lifetime != 0 {
			t.Errorf("status = %+v, want dormant and wiped", got)
		}
		time.Sleep(24 * time.Hour)
		if s.calls() != before {
			t.Errorf("%d exchanges while dormant", s.calls()-before)
		}
		mustGet(t, r, time.Second)
	})
}

// A target that wakes up is a cold start again, with its quick retries.
func TestWakingUpIsAColdStart(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			var faults atomic.Int32
			s := &service{life: time.Hour, answer: func(int, *refresher.Attempt) error {
				if faults.Add(-1) >= 0 {
					return errDown
				}
				return nil
			}}
			r := s.start(t, refresher.Options{Floor: floor, OnDemand: true})
			mustGet(t, r, time.Second)
			time.Sleep(3 * time.Hour)
			faults.Store(3)
			woken := time.Now()
			mustGet(t, r, time.Minute)
			if took := time.Since(woken); took > 1450*time.Millisecond+3 { // at least 250ms, then up to 400ms and 800ms
				t.Errorf("three failures took %v, want the fast delays", took)
			}
		})
	}
}

func TestFailingOnDemandTargetGivesUp(t *testing.T) {
	for name, err := range map[string]error{"down": errDown, "denied": errDenied} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{answer: failFrom(1, err)}
				r := s.start(t, refresher.Options{Floor: floor, OnDemand: true})
				if _, got := get(t, r, time.Second); code(got) != code(err) {
					t.Errorf("Get: %v, want %v", got, err)
				}
				time.Sleep(15 * time.Minute)
				before := s.calls()
				if got := r.Status().State; got != refresher.Dormant {
					t.Errorf("state = %v, want dormant", got)
				}
				time.Sleep(time.Hour)
				if s.calls() != before {
					t.Errorf("%d exchanges nobody waits for", s.calls()-before)
				}
				if _, got := get(t, r, time.Second); code(got) != code(err) || s.calls() == before {
					t.Errorf("Get: %v after %d exchanges, want %v of a new one", got, s.calls()-before, err)
				}
			})
		})
	}
}

// However often a denied target is read, it is tried at the pace of its retries.
func TestReadersDoNotPushADeniedTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{answer: failFrom(1, errDenied)}
		r := s.start(t, refresher.Options{Floor: floor, OnDemand: true})
		for range 3600 {
			_, _ = get(t, r, time.Millisecond)
			time.Sleep(time.Second)
		}
		if s.calls() > 25 {
			t.Errorf("%d exchanges in an hour, want at most 25", s.calls())
		}
	})
}

func TestKeepBoundsTheAge(t *testing.T) {
	for _, c := range []struct {
		name   string
		life   time.Duration
		oldest time.Duration
	}{
		{"of a long-lived token", time.Hour, time.Minute},
		{"of one that ends soon after", 80 * time.Second, 60 * time.Second},
		{"of one that ends before", 40 * time.Second, 30 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{life: c.life, latency: always(time.Second)}
				r := s.start(t, refresher.Options{Keep: time.Minute})
				for range 600 {
					got := mustGet(t, r, 2*time.Second)
					if age := time.Since(got.Issued); age > c.oldest {
						t.Fatalf("read a token that is %v old", age)
					}
					if left := time.Until(end(t, got)); left < min(30*time.Second, c.life/4) {
						t.Fatalf("read a token with %v left", left)
					}
					if !got.Expires.Equal(end(t, got)) {
						t.Fatalf("the token says it ends %v before it does", end(t, got).Sub(got.Expires))
					}
					time.Sleep(time.Second)
				}
			})
		})
	}
}

func TestKeptTokensAreNotRefreshedAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode()
		s := &service{life: time.Hour}
		r := s.start(t, refresher.Options{Keep: time.Minute, Clock: n.clock()})
		mustGet(t, r, time.Second)
		n.step(2 * time.Hour) // not even for a step of the clock
		time.Sleep(24 * time.Hour)
		if got := r.Status(); s.calls() != 1 || got.State != refresher.Dormant || got.Left != 0 {
			t.Errorf("after one read and an idle day: %d exchanges, status %+v", s.calls(), got)
		}
	})
}

func TestFailingKeptTargetGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour, answer: failFrom(2, errDown)}
		r := s.start(t, refresher.Options{Keep: time.Minute})
		mustGet(t, r, time.Second)
		time.Sleep(61 * time.Second)
		if _, err := get(t, r, time.Second); code(err) != "Unreachable" {
			t.Errorf("Get: %v, want Unreachable", err)
		}
		time.Sleep(10 * time.Minute)
		before := s.calls()
		time.Sleep(time.Hour)
		if s.calls() != before {
			t.Errorf("%d exchanges nobody waits for", s.calls()-before)
		}
	})
}

func TestThousandCallersOfAKeptToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour, latency: always(500 * time.Millisecond)}
		r := s.start(t, refresher.Options{Keep: time.Minute})
		for round := 1; round <= 3; round++ {
			var group sync.WaitGroup
			for range 1000 {
				group.Go(func() { mustGet(t, r, time.Second) })
			}
			group.Wait()
			if s.calls() != round {
				t.Errorf("%d exchanges in round %d", s.calls(), round)
			}
			time.Sleep(2 * time.Minute)
		}
	})
}
