package refresher_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		s := &service{life: time.Hour, latency: always(time.Second), answer: func(int, *refresher.Attempt) error {
			if down.Load() {
				return errDown
			}
			return nil
		}}
		r := s.start(t, refresher.Options{Floor: floor})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var credentials, failures int
		var last refresher.Credential
		for c, err := range r.Watch(ctx) {
			if err != nil {
				failures++
				if code(err) != "Unreachable" {
					t.Errorf("Watch: %v", err)
				}
				if failures == 3 {
					down.Store(false)
				}
				continue
			}
			if c == last {
				t.Error("the same credential twice")
			}
			if left := time.Until(end(t, c)); left != time.Hour {
				t.Errorf("a credential with %v left, want a new one", left)
			}
			last = c
			switch credentials++; credentials {
			case 2:
				down.Store(true)
			case 3:
				cancel()
			}
		}
		if credentials != 3 || failures != 3 {
			t.Errorf("%d credentials and %d failures, want 3 and 3", credentials, failures)
		}
	})
}

func TestWatchStopsWithTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour}
		r := s.start(t, refresher.Options{Floor: floor})
		for range r.Watch(t.Context()) {
			break
		}
		s2 := &service{answer: failFrom(1, errDown)}
		for range s2.start(t, refresher.Options{}).Watch(t.Context()) {
			break
		}
	})
}

// Whoever begins to watch during an outage is not given what has expired.
func TestWatchDoesNotYieldTheExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour, answer: failFrom(2, errDown)}
		r := s.start(t, refresher.Options{Floor: floor})
		time.Sleep(2 * time.Hour)
		for c, err := range r.Watch(t.Context()) {
			if err == nil {
				t.Errorf("Watch yields %v, which has expired", c)
			}
			break
		}
	})
}

// A file that is written from an on-demand target has to be kept fresh although nobody calls Get.
func TestWatchingIsReading(t *testing.T) {
	for name, o := range map[string]refresher.Options{
		"on demand":            {Floor: floor, OnDemand: true},
		"kept for a minute":    {Keep: time.Minute},
		"read now and then":    {Floor: floor, OnDemand: true},
		"asked for beforehand": {Keep: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{life: time.Hour, latency: always(time.Second)}
				r := s.start(t, o)
				if name == "asked for beforehand" {
					mustGet(t, r, 2*time.Second)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
				defer cancel()
				start := time.Now()
				var until time.Time
				for c, err := range r.Watch(ctx) {
					if err != nil {
						t.Fatal(err)
					}
					if until.IsZero() && time.Since(start) > time.Second {
						t.Fatalf("the first credential came after %v", time.Since(start))
					}
					if !until.IsZero() && time.Until(until) < floor {
						t.Fatalf("the last credential had %v left when the next one came", time.Until(until))
					}
					until = end(t, c)
					if name == "read now and then" {
						mustGet(t, r, 2*time.Second)
					}
				}
				if n := s.calls(); n < 24 || n > 84 {
					t.Errorf("%d exchanges in a day of watching", n)
				}
				time.Sleep(3 * time.Hour)
				if got := r.Status().State; got != refresher.Dormant {
					t.Errorf("state three hours later = %v, want dormant", got)
				}
				before := s.calls()
				time.Sleep(24 * time.Hour)
				if s.calls() != before {
					t.Errorf("%d exchanges that nobody waits for", s.calls()-before)
				}
			})
		})
	}
}
