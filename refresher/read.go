package refresher

import (
	"context"
	"iter"
	"time"
)

// patience is how long a reader waits for a better credential than the usable one at hand.
const patience = 250 * time.Millisecond

// Get returns a credential that is usable now. While there is none it waits for one until ctx ends,
// and then returns the last failure, not ctx's error. It returns at once when the last failure is
// [Denied] and nothing is being tried, nor about to be. A credential that is usable but about to end is replaced if a
// newer one arrives within a moment. Errors are always an [*Error].
func (r *Refresher) Get(ctx context.Context) (Credential, error) {
	var timeout <-chan time.Time
	for {
		now := r.clock.read()
		if r.options.OnDemand {
			r.lastRead.Store(int64(now.elapsed))
		}
		s := r.current.Load()
		left := s.left(now)
		if s.has() && left >= max(r.options.Floor, s.minimum) {
			return s.handOut(now), nil
		}
		usable := s.usable(now)
		if usable && !s.flying {
			r.nudge(s, now)
			return s.handOut(now), nil
		}
		if !usable && s.denied() && !s.flying && !r.aboutToTry(s, now) {
			return Credential{}, s.whyNot(now)
		}
		r.nudge(s, now)
		if usable && timeout == nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-s.changed:
		case <-timeout:
			return r.newest()
		case <-ctx.Done():
			return r.newest()
		}
	}
}

// aboutToTry: an attempt is due, or something new has come to light that leads to one.
func (r *Refresher) aboutToTry(s *snapshot, now reading) bool {
	return r.woken.Load() || s.next-now.elapsed <= spread
}

// newest is what can be had without waiting any longer.
func (r *Refresher) newest() (Credential, error) {
	now := r.clock.read()
	s := r.current.Load()
	if s.usable(now) {
		return s.handOut(now), nil
	}
	return Credential{}, s.whyNot(now)
}

// nudge tells the loop what its timer does not: that a clock jumped, or that a dormant target has a
// reader again. It never shortens a delay between attempts.
func (r *Refresher) nudge(s *snapshot, now reading) {
	if s.flying || s.failure != nil || s.usable(now) && !s.overdue(now) {
		return
	}
	r.wanted.Store(true)
	r.signal()
}

func (r *Refresher) signal() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// Watch yields the present credential and then each new one, and each failure as it happens; a
// failure takes nothing away from the credential before it. It ends with ctx. As long as somebody
// watches, the credential is refreshed ahead of time, whatever OnDemand and Keep say.
func (r *Refresher) Watch(ctx context.Context) iter.Seq2[Credential, error] {
	return func(yield func(Credential, error) bool) {
		r.watchers.Add(1)
		r.signal()
		defer func() {
			r.touch()
			r.watchers.Add(-1)
		}()
		var last Credential
		var reported *Error
		for {
			now := r.clock.read()
			s := r.current.Load()
			if s.usable(now) && (s.credential.Value != last.Value || !s.credential.Expires.Equal(last.Expires)) {
				last = s.credential
				if !yield(s.handOut(now), nil) {
					return
				}
			}
			if s.failure != nil && s.failure != reported {
				reported = s.failure
				if !yield(Credential{}, s.failure) {
					return
				}
			}
			select {
			case <-s.changed:
			case <-ctx.Done():
				return
			}
		}
	}
}

// touch records a read, which keeps a target awake and in its pool.
func (r *Refresher) touch() { r.lastRead.Store(int64(r.clock.read().elapsed)) }

// sinceRead is the time since the last read; watching is reading all the time.
func (r *Refresher) sinceRead(now reading) time.Duration {
	if r.watchers.Load() > 0 {
		return 0
	}
	return now.elapsed - time.Duration(r.lastRead.Load())
}
