package refresher_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// stale is a token that ended some time ago by the right clock.
func stale(ago time.Duration) refresher.Token {
	token := numbered(1)
	token.Issued, token.Expires = time.Now().Add(-ago-time.Hour), time.Now().Add(-ago)
	return token
}

// The service refuses what has expired by its own, right clock.
func strict(token refresher.Token) error {
	if !token.Expires.IsZero() && time.Now().After(token.Expires) {
		return errToken
	}
	return nil
}

func TestExpiredTokenIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFile(numbered(1)) // good for an hour, never renewed
		c := &cloud{service: &service{life: time.Hour}, judge: strict}
		i := run(t, refresher.IdentityOptions{Source: f, Exchanger: c, Floor: floor})
		time.Sleep(59*time.Minute + 50*time.Second) // until it has ten seconds left: from then on it stays at home
		if i.Status().State != refresher.Fresh {
			t.Fatalf("status = %+v, want fresh", i.Status())
		}
		before := c.calls()
		for range 60 * 80 {
			time.Sleep(time.Second)
			if s := i.Status(); s.Left > 30*time.Second {
				credential, err := i.Credential(t.Context(), refresher.Target{})
				if err != nil || time.Until(credential.Expires) < 30*time.Second {
					t.Fatalf("Credential with %v left: %v, %v", s.Left, credential, err)
				}
			}
		}
		s := i.Status()
		if s.Failure == nil || s.Failure.Code != refresher.CodeSubjectExpired || s.Failure.Class != refresher.SubjectToken {
			t.Errorf("failure = %#v, want %s", s.Failure, refresher.CodeSubjectExpired)
		}
		if c.calls() != before {
			t.Errorf("the expired token was sent %d times", c.calls()-before)
		}
		f.write(numbered(2), nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := i.Status().State; got != refresher.Fresh {
			t.Errorf("state a second after the renewal = %v, want fresh", got)
		}
	})
}

func TestTokenThatSaysNothingIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{service: &service{life: time.Hour}}
		i := run(t, refresher.IdentityOptions{Source: newFile(refresher.Token{Raw: "opaque"}), Exchanger: c})
		if i.Status().State != refresher.Fresh {
			t.Errorf("status = %+v, want fresh", i.Status())
		}
	})
}

// Until a service has told its time, the clock may be what is wrong: the token is sent now and then.
func TestDoubtfulTokenIsSentNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{service: &service{life: time.Hour, undated: true}, judge: strict}
		i := run(t, refresher.IdentityOptions{Source: newFile(stale(time.Minute)), Exchanger: c, Floor: floor})
		time.Sleep(time.Hour)
		log := c.exchanges()
		if len(log) < 10 || len(log) > 120 {
			t.Errorf("sent %d times in an hour", len(log))
		}
		for n := range log[1:] {
			if pause := log[n+1].at.Sub(log[n].at); pause < 30*time.Second {
				t.Errorf("sent again after %v, want 30s at least", pause)
			}
		}
		if s := i.Status(); s.Failure == nil || s.Failure.Class != refresher.SubjectToken {
			t.Errorf("status = %+v, want a refused token", s)
		}
	})
}

func TestDoubtEndsWithTheFirstDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{service: &service{life: time.Hour}, judge: strict}
		run(t, refresher.IdentityOptions{Source: newFile(stale(time.Minute)), Exchanger: c, Floor: floor})
		time.Sleep(time.Hour)
		if c.calls() != 1 {
			t.Errorf("sent %d times, want once: the answer showed that the clock is right", c.calls())
		}
	})
}

// A node whose clock is fast finds a good token expired, at the start and after a step of the clock.
func TestFastClockIsFoundOut(t *testing.T) {
	for name, steps := range map[string][2]time.Duration{
		"fast from the start":   {2 * time.Hour, 0},
		"set wrong at run time": {0, 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode()
				n.step(steps[0])
				f := newFile(numbered(0))
				c := &cloud{service: &service{life: time.Hour}, judge: strict}
				i := run(t, refresher.IdentityOptions{Source: f, Exchanger: c, Floor: floor, Clock: n.clock()})
				for minute := range 180 {
					if minute == 10 {
						n.step(steps[1])
						time.Sleep(16 * time.Second)
						synctest.Wait()
					}
					if minute%48 == 47 {
						f.write(numbered(minute), nil) // the kubelet's work
					}
					credential, err := i.Credential(t.Context(), refresher.Target{})
					if err != nil {
						t.Fatal(err)
					}
					if left := n.leftForClients(credential); left < floor || left > time.Hour {
						t.Fatalf("clients see %v left", left)
					}
					time.Sleep(time.Minute)
				}
				if c.calls() > 3*7/2+1 {
					t.Errorf("%d exchanges in three hours", c.calls())
				}
			})
		})
	}
}

// The clock is slow: a token that is in truth expired looks good, and is sent at the usual pace.
func TestTokenFromTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode()
		n.step(-2 * time.Hour)
		c := &cloud{service: &service{life: time.Hour}, judge: strict}
		i := run(t, refresher.IdentityOptions{Source: newFile(numbered(1)), Exchanger: c, Floor: floor, Clock: n.clock()})
		if i.Status().State != refresher.Fresh || c.calls() != 1 {
			t.Errorf("%d exchanges, status %+v, want fresh", c.calls(), i.Status())
		}
	})
}
