package refresher

import (
	"errors"
	"fmt"
	"time"
)

// A snapshot is what a Refresher publishes: the newest credential, and why there is no newer one. It
// is immutable; changed is closed when the next one replaces it.
type snapshot struct {
	credential Credential    // Value is nil while there is none; Expires is the service's time
	deadline   time.Duration // end of life on the elapsed clock
	life       time.Duration // how long the credential lives from the moment it was asked for, by the more pessimistic clock
	minimum    time.Duration // remaining life under which it is not handed out
	window     time.Duration // age at which a newer one is due at the latest

	failure *Error        // last failure since the last success, with its class as it counts now
	next    time.Duration // when the next attempt is due, on the elapsed clock
	dormant bool          // no attempt is due until somebody asks
	flying  bool          // an attempt is under way

	attempted bool          // there was an attempt
	attempt   time.Duration // when the last one began, on the elapsed clock

	changed chan struct{}
}

func (s *snapshot) has() bool { return s.credential.Value != nil }

// left is the remaining life: the smaller of what the two clocks say; 0 without a credential.
func (s *snapshot) left(now reading) time.Duration {
	if !s.has() {
		return 0
	}
	return min(s.deadline-now.elapsed, s.credential.Expires.Sub(now.service()))
}

// usable: it may be handed out.
func (s *snapshot) usable(now reading) bool { return s.has() && s.left(now) >= s.minimum }

// justTried: an attempt began so recently that nobody may force another one.
func (s *snapshot) justTried(now reading) bool {
	return s.attempted && now.elapsed-s.attempt < forcedInterval
}

// denied: asking again soon cannot help.
func (s *snapshot) denied() bool { return s.failure != nil && s.failure.Class == Denied }

// overdue: the credential is older than it should ever get, by either clock.
func (s *snapshot) overdue(now reading) bool { return s.has() && s.left(now) < s.life-s.window }

// handOut is the credential with an expiry that is right for the local clock: a client compares it
// with the same wrong clock that we have.
func (s *snapshot) handOut(now reading) Credential {
	c := s.credential
	if now.skew != 0 {
		c.Expires = now.wall.Add(s.left(now)).Truncate(time.Second)
	}
	return c
}

// whyNot is the reason that there is nothing to hand out.
func (s *snapshot) whyNot(now reading) error {
	if s.failure != nil {
		return s.failure
	}
	e := &Error{Class: Transient, Code: CodeNotReady, Err: errors.New("no exchange has begun yet"), Hint: "wait a moment longer"}
	if s.flying {
		e.Err = fmt.Errorf("the first exchange, begun %v ago, has not ended", (now.elapsed - s.attempt).Round(time.Millisecond))
		e.Hint = "wait longer: a program that prints the token may take two minutes, and a cloud 20 seconds"
	}
	return e
}
