package refresher_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// A node is a machine whose wall clock can be wrong and that can be suspended. The bubble's time is
// that of its processor; the right time goes on while it sleeps.
type node struct {
	wrong atomic.Int64 // how far the wall clock is ahead
	slept atomic.Int64 // time spent suspended
	boot  time.Time
}

func newNode() *node { return &node{boot: time.Now()} }

func (n *node) now() time.Time { return time.Now().Add(time.Duration(n.slept.Load())) }

func (n *node) wall() time.Time { return n.now().Add(time.Duration(n.wrong.Load())) }

func (n *node) clock() *refresher.Clock {
	return &refresher.Clock{Wall: n.wall, Elapsed: func() time.Duration { return n.now().Sub(n.boot) }}
}

func (n *node) step(d time.Duration)    { n.wrong.Add(int64(d)) }
func (n *node) suspend(d time.Duration) { n.slept.Add(int64(d)) }

// An SDK on the node compares the expiry with the node's clock, wrong as it is.
func (n *node) leftForClients(c refresher.Credential) time.Duration { return c.Expires.Sub(n.wall()) }

func TestClockIsWrongFromTheStart(t *testing.T) {
	for _, wrong := range []time.Duration{2 * time.Hour, -2 * time.Hour, 70 * time.Minute, time.Minute, 20 * time.Second, -20 * time.Second} {
		t.Run(wrong.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode()
				n.step(wrong)
				clock := n.clock()
				s := &service{life: time.Hour}
				r := s.start(t, refresher.Options{Floor: floor, Clock: clock})
				for range 24 * 60 {
					c := mustGet(t, r, time.Second)
					if left := time.Until(end(t, c)); left < floor {
						t.Fatalf("served a credential with %v left", left)
					}
					want := time.Until(end(t, c))
					if wrong.Abs() <= 30*time.Second {
						want -= wrong // too little to tell from latency: the expiry is as published
					}
					if got := n.leftForClients(c); got > want || got < want-time.Second {
						t.Fatalf("clients see %v left, want %v", got, want)
					}
					time.Sleep(time.Minute)
				}
				if s.calls() > 24*7/2 {
					t.Errorf("%d exchanges in a day", s.calls())
				}
				skew := -wrong
				if wrong.Abs() <= 30*time.Second {
					skew = 0
				}
				if got := clock.Skew(); got != skew {
					t.Errorf("Skew() = %v, want %v", got, skew)
				}
			})
		})
	}
}

func TestClockStepsAtRunTime(t *testing.T) {
	for _, c := range []struct {
		name       string
		before, by time.Duration
		readers    bool
		refreshed  int
	}{
		{"an hour forwards", 0, time.Hour, false, 1},
		{"an hour back", 0, -time.Hour, false, 1},
		{"an hour forwards, under load", 0, time.Hour, true, 1},
		{"an hour back, under load", 0, -time.Hour, true, 1},
		{"three hours forwards", 0, 3 * time.Hour, true, 1},
		{"three hours back", 0, -3 * time.Hour, true, 1},
		{"corrected forwards", -time.Hour, time.Hour, true, 1},
		{"corrected back", time.Hour, -time.Hour, true, 1},
		{"by ten seconds", 0, 10 * time.Second, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 10 {
				synctest.Test(t, func(t *testing.T) {
					n := newNode()
					n.step(c.before)
					s := &service{life: time.Hour, latency: always(100 * time.Millisecond)}
					r := s.start(t, refresher.Options{Floor: floor, Clock: n.clock()})
					mustGet(t, r, time.Second)
					time.Sleep(10*time.Minute + 7*time.Second)
					before := s.calls()
					n.step(c.by)
					stepped := time.Now()
					for time.Since(stepped) < 10*time.Minute {
						if c.readers {
							got := mustGet(t, r, 400*time.Millisecond)
							if left := time.Until(end(t, got)); left < floor {
								t.Fatalf("served a credential with %v left", left)
							}
							if c.by.Abs() > 30*time.Second && time.Since(stepped) > 20*time.Second {
								if left := n.leftForClients(got); left < floor || left > time.Hour {
									t.Fatalf("clients see %v left", left)
								}
							}
						}
						time.Sleep(500 * time.Millisecond)
					}
					if got := s.calls() - before; got != c.refreshed {
						t.Fatalf("%d exchanges after the step, want %d", got, c.refreshed)
					}
					if c.refreshed > 0 {
						at := s.since(stepped)[before]
						if at > 16*time.Second {
							t.Errorf("refreshed %v after the step, want within 16s", at)
						}
					}
				})
			}
		})
	}
}

// Two time daemons fight over the clock.
func TestFlappingClockCausesNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode()
		s := &service{life: time.Hour}
		r := s.start(t, refresher.Options{Floor: floor, Clock: n.clock()})
		mustGet(t, r, time.Second)
		for range 60 {
			n.step(time.Hour)
			time.Sleep(30 * time.Second)
			n.step(-time.Hour)
			time.Sleep(30 * time.Second)
			if left := time.Until(end(t, mustGet(t, r, time.Second))); left < floor {
				t.Fatalf("served a credential with %v left", left)
			}
		}
		if s.calls() > 1+2*60+3 {
			t.Errorf("%d exchanges for 120 steps", s.calls())
		}
	})
}

func TestMachineWasSuspended(t *testing.T) {
	for _, c := range []struct {
		name  string
		sleep time.Duration
	}{
		{"until the credential has expired", 3 * time.Hour},
		{"until it should have been renewed", 45 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode()
				s := &service{life: time.Hour, clock: n.now, latency: always(50 * time.Millisecond)}
				r := s.start(t, refresher.Options{Floor: floor, Clock: n.clock()})
				mustGet(t, r, time.Second)
				time.Sleep(5*time.Minute + 7*time.Second)
				n.suspend(c.sleep)
				resumed := time.Now()
				got := mustGet(t, r, 400*time.Millisecond)
				if left := end(t, got).Sub(n.now()); left < 30*time.Second {
					t.Errorf("first read after the resume got a credential with %v left", left)
				}
				time.Sleep(time.Second)
				if s.calls() != 2 {
					t.Fatalf("%d exchanges, want 2", s.calls())
				}
				if at := s.since(resumed)[1]; at != 0 {
					t.Errorf("refreshed %v after the resume, want at once", at)
				}
			})
		})
	}
}

// Nobody reads: the loop's own beat notices.
func TestSuspendIsNoticedWithoutReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode()
		s := &service{life: time.Hour, clock: n.now}
		r := s.start(t, refresher.Options{Floor: floor, Clock: n.clock()})
		time.Sleep(5*time.Minute + 7*time.Second) // in between two beats
		n.suspend(3 * time.Hour)
		if got := r.Status(); got.State != refresher.Expired || got.Usable {
			t.Errorf("status = %+v, want expired", got)
		}
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if got := r.Status().State; got != refresher.Fresh {
			t.Errorf("state 15s after the resume = %v, want fresh", got)
		}
	})
}

// What one service tells of the local clock helps with the credentials of another that tells nothing.
func TestServicesShareTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode()
		n.step(-40 * time.Minute) // so an hour looks like 100 minutes
		clock, start := n.clock(), time.Now()
		silent := &service{life: time.Hour, undated: true}
		r := silent.start(t, refresher.Options{Floor: floor, Clock: clock})
		time.Sleep(5 * time.Minute)
		(&service{life: time.Hour}).start(t, refresher.Options{Floor: floor, Clock: clock})
		synctest.Wait()
		if got := r.Status().Left; got != 55*time.Minute {
			t.Errorf("left = %v, want 55m", got)
		}
		time.Sleep(24 * time.Minute)
		if at := silent.since(start); len(at) != 2 || at[1] > 26*time.Minute {
			t.Errorf("exchanges at %v, want the second within 26m", at)
		}
	})
}

// Without Date headers the local clock is all there is.
func TestServiceWithoutDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour, undated: true}
		r := s.start(t, refresher.Options{Floor: floor})
		for range 24 * 60 {
			if left := time.Until(end(t, mustGet(t, r, time.Second))); left < floor {
				t.Fatalf("served a credential with %v left", left)
			}
			time.Sleep(time.Minute)
		}
		if s.calls() > 24*7/2 {
			t.Errorf("%d exchanges in a day", s.calls())
		}
	})
}
