package refresher_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// failFrom lets the exchanges from the n-th on fail.
func failFrom(first int, err error) func(int, *refresher.Attempt) error {
	return func(n int, _ *refresher.Attempt) error {
		if n >= first {
			return err
		}
		return nil
	}
}

// untilCalls sleeps until n exchanges have ended, for a day at most.
func untilCalls(t *testing.T, s *service, n int) {
	t.Helper()
	for range 24 * 60 * 60 {
		synctest.Wait()
		if s.calls() >= n {
			return
		}
		time.Sleep(time.Second)
	}
	t.Fatalf("%d exchanges in a day, want %d", s.calls(), n)
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			s := &service{life: time.Hour, answer: func(n int, a *refresher.Attempt) error {
				if n == 1 {
					a.Record(func(d *refresher.AttemptData) { d.Status, d.RetryAfter = 429, 7*time.Second })
					return errThrottled
				}
				return nil
			}}
			r := s.start(t, refresher.Options{Floor: floor})
			if _, err := get(t, r, 2*time.Second); code(err) != "Throttling" {
				t.Errorf("Get meanwhile: %v, want Throttling", err)
			}
			mustGet(t, r, time.Minute)
			if at := s.since(start)[1]; at < 7*time.Second || at > 9*time.Second {
				t.Errorf("second exchange after %v, want in [7s, 9s]", at)
			}
		})
	}
}

// What the transport could not make sense of reaches the engine as zero.
func TestNoRetryAfterMeansTheUsualDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour, answer: func(n int, a *refresher.Attempt) error {
			a.Record(func(d *refresher.AttemptData) { d.Status, d.RetryAfter = 503, 0 })
			return failFrom(1, errDown)(n, a)
		}}
		r := s.start(t, refresher.Options{Floor: floor})
		synctest.Wait()
		if next := r.Status().Next; next > 250*time.Millisecond {
			t.Errorf("next exchange in %v, want the first fast delay", next)
		}
	})
}

// An exchange can "succeed" with something useless. It then has failed, and the old credential stays.
func TestBadCredentials(t *testing.T) {
	value := func(v refresher.Value) func(*refresher.Credential) {
		return func(c *refresher.Credential) { c.Value = v }
	}
	expires := func(in time.Duration) func(*refresher.Credential) {
		return func(c *refresher.Credential) { c.Expires = time.Now().Add(in) }
	}
	for name, spoil := range map[string]func(*refresher.Credential){
		"nothing":              func(c *refresher.Credential) { *c = refresher.Credential{} },
		"no value":             value(nil),
		"an empty token":       value(refresher.Bearer{Type: refresher.TypeAccessToken}),
		"no access key ID":     value(refresher.AccessKey{Secret: "s", SessionToken: "t"}),
		"no secret access key": value(refresher.AccessKey{ID: "ASIA", SessionToken: "t"}),
		"no session token":     value(refresher.AccessKey{ID: "ASIA", Secret: "s"}),
		"no expiry":            func(c *refresher.Credential) { c.Expires = time.Time{} },
		"expired on arrival":   expires(-time.Minute),
		"expires now":          expires(0),
		"expires in 20s":       expires(20 * time.Second),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{life: time.Hour, spoil: func(n int, c *refresher.Credential) {
					if n > 1 {
						spoil(c)
					}
				}}
				r := s.start(t, refresher.Options{Floor: floor})
				old := mustGet(t, r, time.Second)
				untilCalls(t, s, 3)
				status := r.Status()
				if f := status.Failure; f == nil || f.Class != refresher.Transient || f.Code != refresher.CodeBadCredential {
					t.Errorf("failure = %#v, want a transient %s", f, refresher.CodeBadCredential)
				}
				if status.State != refresher.Stale {
					t.Errorf("state = %v, want stale", status.State)
				}
				if got := mustGet(t, r, time.Second); got != old {
					t.Errorf("Get = %v, want the old credential", got)
				}
				before := s.calls()
				time.Sleep(10 * time.Minute)
				if more := s.calls() - before; more > 80 { // they cluster before the floor: 17 on average, one run in 20,000 has 50
					t.Errorf("%d exchanges in ten minutes", more)
				}
			})
		})
	}
}

func TestImplausibleLifetimeIsClamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: 365 * 24 * time.Hour}
		r := s.start(t, refresher.Options{Floor: floor})
		c := mustGet(t, r, time.Second)
		if got := time.Until(c.Expires); got != 7*24*time.Hour {
			t.Errorf("expires in %v, want 168h", got)
		}
	})
}

// A Date that is an hour early must not make a credential live an hour longer than was asked for.
func TestWrongDateDoesNotLengthenLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour, answer: func(_ int, a *refresher.Attempt) error {
			a.Record(func(d *refresher.AttemptData) { d.Date, d.Requested = d.Date.Add(-time.Hour), time.Hour })
			return nil
		}}
		r := s.start(t, refresher.Options{Floor: floor})
		c := mustGet(t, r, time.Second)
		if left := r.Status().Left; left > time.Hour+5*time.Second {
			t.Errorf("left = %v, want no more than was asked for", left)
		}
		if got := time.Until(c.Expires); got > time.Hour+5*time.Second {
			t.Errorf("expires in %v, want no more than was asked for", got)
		}
	})
}

// Services whose clocks disagree must not make us ask again and again.
func TestContradictoryDatesCauseNoStorm(t *testing.T) {
	for name, wrong := range map[string]func(n int) time.Duration{
		"each answer from another time":  func(n int) time.Duration { return time.Duration(n%3-1) * 3 * time.Hour },
		"one service early, one is late": func(n int) time.Duration { return time.Duration(n%2*2-1) * 40 * time.Minute },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{life: time.Hour, answer: func(n int, a *refresher.Attempt) error {
					a.Record(func(d *refresher.AttemptData) { d.Date, d.Requested = d.Date.Add(wrong(n)), time.Hour })
					return nil
				}}
				s.start(t, refresher.Options{Floor: floor})
				time.Sleep(24 * time.Hour)
				if s.calls() > 24*60 {
					t.Errorf("%d exchanges in a day", s.calls())
				}
			})
		})
	}
}

// An hour of failure costs the service a bounded number of calls.
func TestExchangesInAnHourOfFailure(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		most int
	}{
		{"denied", errDenied, 25},
		{"settling, then denied", errSettling, 50},
		{"down", errDown, 200},
		{"throttled", errThrottled, 200},
		{"token refused", errToken, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const failing = 10 // so that luck evens out
				s := &service{answer: failFrom(1, c.err)}
				healthy := &service{life: time.Hour}
				clock := &refresher.Clock{}
				for range failing {
					s.start(t, refresher.Options{Floor: floor, Clock: clock})
				}
				other := healthy.start(t, refresher.Options{Floor: floor, Clock: clock})
				for range 3600 {
					time.Sleep(time.Second)
					mustGet(t, other, time.Nanosecond)
				}
				if s.calls() > failing*c.most {
					t.Errorf("%d exchanges of %d identities in an hour, want at most %d of each", s.calls(), failing, c.most)
				}
				if healthy.calls() > 3 {
					t.Errorf("the healthy identity made %d exchanges in an hour", healthy.calls())
				}
			})
		})
	}
}

func TestSettlingBecomesDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &service{answer: failFrom(1, errSettling)}
		r := s.start(t, refresher.Options{Floor: floor})
		time.Sleep(9 * time.Minute)
		if got := r.Status().Failure.Class; got != refresher.Settling {
			t.Errorf("class after 9m = %v, want settling", got)
		}
		time.Sleep(time.Until(start.Add(12 * time.Minute)))
		if got := r.Status().Failure; got.Class != refresher.Denied || got.Code != "NoProvider" {
			t.Errorf("failure after 12m = %#v, want NoProvider, denied", got)
		}
	})
}

// The ten minutes count from the first failure of the present streak, not from the start.
func TestSettlingStartsAnewAfterASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: 15 * time.Minute, answer: failFrom(5, errSettling)}
		r := s.start(t, refresher.Options{Floor: floor})
		untilCalls(t, s, 5)
		time.Sleep(9 * time.Minute)
		if got := r.Status().Failure.Class; got != refresher.Settling {
			t.Errorf("class after 9m = %v, want settling", got)
		}
		time.Sleep(3 * time.Minute)
		if got := r.Status().Failure.Class; got != refresher.Denied {
			t.Errorf("class after 12m = %v, want denied", got)
		}
	})
}

// Somebody mends the policy after half an hour.
func TestDenialIsMended(t *testing.T) {
	const mended = 30 * time.Minute
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			s := &service{life: time.Hour, answer: downFor(mended, errDenied)}
			r := s.start(t, refresher.Options{Floor: floor})
			for time.Since(start) < time.Hour && !r.Status().Usable {
				time.Sleep(time.Second)
			}
			if took := time.Since(start); took > mended+7*time.Minute+30*time.Second+time.Second {
				t.Errorf("credential %v after the denial ended, want at most 7m30s", took-mended)
			}
		})
	}
}

func TestForcedRefreshEndsADenial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{life: time.Hour, latency: always(time.Second), answer: downFor(30*time.Minute, errDenied)}
		r := s.start(t, refresher.Options{Floor: floor})
		time.Sleep(30 * time.Minute)
		for r.Status().Flying || r.Status().SinceAttempt < 10*time.Second {
			time.Sleep(time.Second)
		}
		if !r.Refresh() {
			t.Error("Refresh() = false, want true")
		}
		synctest.Wait()
		mustGet(t, r, 2*time.Second)
	})
}

func TestForcedRefreshIsRateLimited(t *testing.T) {
	for name, latency := range map[string]time.Duration{"a quick service": 10 * time.Millisecond, "a slow service": 15 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &service{life: time.Hour, latency: always(latency)}
				r := s.start(t, refresher.Options{Floor: floor})
				old := mustGet(t, r, time.Minute)
				time.Sleep(time.Minute)
				var group sync.WaitGroup
				for n := range 100 {
					group.Go(func() {
						time.Sleep(time.Duration(n) * 10 * time.Millisecond)
						r.Refresh()
						if got := mustGet(t, r, time.Nanosecond); latency > time.Second && got != old {
							t.Errorf("Get = %v while the new credential is on its way", got)
						}
					})
				}
				group.Wait()
				time.Sleep(12 * time.Second)
				r.Refresh() // still under way, where the service is slow
				time.Sleep(time.Minute)
				want := 3
				if latency > time.Second {
					want = 2
				}
				if got := s.calls(); got != want {
					t.Errorf("%d exchanges, want %d", got, want)
				}
			})
		})
	}
}

// Entra refuses a correct configuration now and then. Nobody should notice.
func TestOneRefusalWhileTheCredentialIsGood(t *testing.T) {
	for _, err := range []error{errSettling, errToken, errDown} {
		t.Run(fmt.Sprint(err), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				s := &service{life: time.Hour, answer: func(n int, _ *refresher.Attempt) error {
					if n == 2 {
						return err
					}
					return nil
				}}
				r := s.start(t, refresher.Options{Floor: floor})
				mustGet(t, r, time.Second)
				for s.calls() < 3 {
					time.Sleep(time.Second)
					if c := mustGet(t, r, time.Nanosecond); time.Until(c.Expires) < floor {
						t.Fatalf("a credential with %v left", time.Until(c.Expires))
					}
				}
				at := s.since(start)
				if pause := at[2] - at[1]; pause > 30*time.Second+1 {
					t.Errorf("retried after %v, want within 30s", pause)
				}
			})
		})
	}
}
