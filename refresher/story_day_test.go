package refresher_test

import (
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

func TestHealthyDay(t *testing.T) {
	for _, c := range []struct {
		name        string
		life, floor time.Duration
		latency     time.Duration
		perDay      int
	}{
		{"AWS", time.Hour, 15 * time.Minute, 300 * time.Millisecond, 84},
		{"AWS, half an hour", 30 * time.Minute, 15 * time.Minute, 300 * time.Millisecond, 200},
		{"AWS, twelve hours", 12 * time.Hour, 15 * time.Minute, 300 * time.Millisecond, 7},
		{"Google", time.Hour, 6 * time.Minute, 500 * time.Millisecond, 84},
		{"Entra, slow", 75 * time.Minute, 6 * time.Minute, 8 * time.Second, 84},
		{"a subject token", time.Hour, 0, 0, 84},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{life: c.life, latency: always(c.latency)}
				r := s.start(t, refresher.Options{Floor: c.floor})
				mustGet(t, r, time.Minute)
				for range 24 * 60 * 6 {
					time.Sleep(10 * time.Second)
					got := mustGet(t, r, time.Nanosecond)
					if left := time.Until(end(t, got)); left < c.floor {
						t.Fatalf("read a credential with %v left", left)
					}
				}
				if s.calls() > c.perDay {
					t.Errorf("%d exchanges, want at most %d", s.calls(), c.perDay)
				}
			})
		})
	}
}

// The shortest AWS session is below the floor all its life: every client asks all the time.
func TestFifteenMinuteSessions(t *testing.T) {
	for range 5 {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			s := &service{life: 15 * time.Minute, latency: always(200 * time.Millisecond)}
			r := s.start(t, refresher.Options{Floor: 15 * time.Minute})
			for range 60 * 60 * 2 {
				mustGet(t, r, 800*time.Millisecond)
				time.Sleep(500 * time.Millisecond)
			}
			if s.calls() > 14 {
				t.Errorf("%d exchanges in an hour, want at most 14", s.calls())
			}
			at := s.since(start)
			for n := range at[1:] {
				if age := at[n+1] - at[n]; age < 270*time.Second || age > 451*time.Second {
					t.Errorf("refresh %d at the age of %v, want in [270s, 450s]", n, age)
				}
			}
		})
	}
}

// The old credential is served to its true end; then the error; and soon after the outage, the new one.
func TestOutages(t *testing.T) {
	for _, c := range []struct {
		lasts      time.Duration
		unreadable bool // whether reads fail before it is over, at the worst moment to begin
		belowFloor bool
	}{
		{5 * time.Minute, false, false},
		{20 * time.Minute, false, true},
		{60 * time.Minute, true, true},
	} {
		t.Run(c.lasts.String(), func(t *testing.T) {
			for range 10 {
				synctest.Test(t, func(t *testing.T) {
					var down atomic.Bool
					s := &service{life: time.Hour, answer: func(int, *refresher.Attempt) error {
						if down.Load() {
							return errDown
						}
						return nil
					}}
					r := s.start(t, refresher.Options{Floor: floor})
					old := mustGet(t, r, time.Second)
					time.Sleep(23 * time.Minute) // a refresh is due in [23m24s, 39m]
					for r.Status().Next > time.Second {
						time.Sleep(time.Second)
					}
					down.Store(true)
					failed := 0
					for range int(c.lasts / time.Second) {
						time.Sleep(time.Second)
						left := time.Until(end(t, old))
						got, err := get(t, r, time.Nanosecond)
						switch {
						case err == nil && got != old:
							t.Fatal("a new credential during the outage")
						case err == nil && left < 30*time.Second:
							t.Fatalf("served with %v left", left)
						case err == nil && left < floor && !c.belowFloor:
							t.Fatalf("below the floor, with %v left, in an outage of %v", left, c.lasts)
						case err != nil && left >= 30*time.Second:
							t.Fatalf("Get with %v left: %v", left, err)
						case err != nil && code(err) != "Unreachable":
							t.Fatalf("Get: %v, want the failure", err)
						}
						if err != nil {
							failed++
						}
					}
					if (failed > 0) != c.unreadable {
						t.Errorf("%d reads failed during an outage of %v", failed, c.lasts)
					}
					over := time.Now()
					down.Store(false)
					for r.Status().State != refresher.Fresh {
						time.Sleep(time.Second)
					}
					if took := time.Since(over); took > 121*time.Second {
						t.Errorf("recovered %v after the outage", took)
					}
				})
			}
		})
	}
}

// A day of everything that can go wrong, at random. What must hold: a reader is never given an expired
// credential, nor one so close to its end that it would expire on the way.
func TestDayOfRandomFaults(t *testing.T) {
	for range 5 {
		synctest.Test(t, func(t *testing.T) {
			n := newNode()
			faults := []error{errDown, errDown, errThrottled, errToken, errSettling, errDenied, failure(refresher.Transient, refresher.CodeForeignResponse)}
			var fault atomic.Pointer[error]                                                           // what the service suffers from now
			lives := []time.Duration{15 * time.Minute, time.Hour, 75 * time.Minute, 40 * time.Second} // a quarter of 40s is 10s
			s := &service{life: time.Hour, clock: n.now, latency: func(int) time.Duration {
				return time.Duration(rand.ExpFloat64() * float64(time.Second))
			}}
			s.answer = func(_ int, a *refresher.Attempt) error {
				if rand.N(20) == 0 {
					panic("something unforeseen")
				}
				if f := fault.Load(); f != nil {
					if rand.N(3) == 0 {
						a.Record(func(d *refresher.AttemptData) { d.RetryAfter = rand.N(time.Minute) })
					}
					return *f
				}
				return nil
			}
			s.spoil = func(_ int, c *refresher.Credential) {
				switch life := lives[rand.N(len(lives))]; rand.N(8) {
				case 0:
					c.Value = refresher.Bearer{}
				case 1:
					c.Expires = n.now().Add(-time.Minute)
				case 2:
					c.Expires = n.now().Add(life)
					c.Value = stamped(c.Expires)
				}
			}
			r := s.start(t, refresher.Options{Floor: floor, Clock: n.clock()})
			for range 24 * 60 * 12 {
				time.Sleep(5 * time.Second)
				switch rand.N(720) { // each about once an hour
				case 0:
					n.step(rand.N(4*time.Hour) - 2*time.Hour)
				case 1:
					n.suspend(rand.N(2 * time.Hour))
				case 2:
					r.Wake()
				case 3:
					r.Refresh()
				case 4, 5:
					fault.Store(&faults[rand.N(len(faults))])
				case 6, 7, 8, 9:
					fault.Store(nil)
				}
				c, err := get(t, r, 400*time.Millisecond)
				if err != nil {
					continue
				}
				if left := end(t, c).Sub(n.now()); left < 10*time.Second {
					t.Fatalf("served a credential with %v left", left)
				}
			}
			if s.calls() > 24*200 {
				t.Errorf("%d exchanges in a day", s.calls())
			}
		})
	}
}
