package refresher

import "time"

// A State says in one word how a credential is doing.
type State string

const (
	// Cold: there never was a credential.
	Cold State = "cold"
	// Fresh: the credential is good and nothing has failed since it came.
	Fresh State = "fresh"
	// Stale: the credential is good, but its replacement fails.
	Stale State = "stale"
	// Expired: there was a credential, and its life is over.
	Expired State = "expired"
	// Dormant: nobody has asked for this credential for a while, so there is none.
	Dormant State = "dormant"
)

// A Status is a consistent look at a [Refresher].
type Status struct {
	State        State
	Left         time.Duration // remaining life of the credential; ≤ 0 if there is none
	Usable       bool          // it would be handed out
	Flying       bool          // an exchange is under way
	Failure      *Error        // last failure since the last success; nil if there was none
	Next         time.Duration // time until the next attempt; negative if it is overdue
	SinceAttempt time.Duration // time since the last attempt began; negative if there was none
	SinceBeat    time.Duration // time since the loop turned, or an attempt should have ended: over a minute means that it hangs
	Lifetime     time.Duration // the credential's lifetime; 0 without one
}

// Status reports how the Refresher is doing.
func (r *Refresher) Status() Status {
	now := r.clock.read()
	s := r.current.Load()
	status := Status{
		Left:         s.left(now),
		Usable:       s.usable(now),
		Flying:       s.flying,
		Failure:      s.failure,
		Next:         s.next - now.elapsed,
		SinceAttempt: -1,
		SinceBeat:    max(0, now.elapsed-time.Duration(r.lastBeat.Load())),
		Lifetime:     s.life,
	}
	if s.attempted {
		status.SinceAttempt = now.elapsed - s.attempt
	}
	switch {
	case status.Usable && s.failure == nil:
		status.State = Fresh
	case status.Usable:
		status.State = Stale
	case s.has():
		status.State = Expired
	case s.dormant:
		status.State = Dormant
	default:
		status.State = Cold
	}
	return status
}
