package refresher

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

const (
	// beat is the longest time a Refresher sleeps: no timer is armed for longer, because timers do
	// not notice a suspended machine or a stepped clock.
	beat = 15 * time.Second
	// forcedInterval is the least time between refreshes that somebody asked for.
	forcedInterval = 10 * time.Second
	// wakeInterval is the least time between exchanges that new subject tokens cause: a file that is
	// rewritten every second is not worth an exchange every second.
	wakeInterval = 30 * time.Second
	// spread is the jitter of what would otherwise happen on a whole node at once: a rotation, a
	// step of the clock.
	spread = time.Second
	// idleFailing is how long an unread dynamic target without a credential keeps trying.
	idleFailing = 5 * time.Minute
)

// Options configure a [Refresher]. The zero value is usable.
type Options struct {
	// Floor is the remaining life below which clients of this credential start to refresh by
	// themselves. It shapes the schedule; 0 means that no client minds.
	Floor time.Duration
	// OnDemand keeps the Refresher asleep until somebody reads, and lets it sleep again when nobody
	// has read for a whole lifetime.
	OnDemand bool
	// Keep, if positive, bounds how long a credential is handed out, however long it lives, and
	// nothing is refreshed ahead of a reader. It implies OnDemand. (Some clients take an ID token's
	// life for an hour from receipt, so only new ones may be handed out.)
	Keep time.Duration
	// Limit bounds one attempt. 0 means 20 seconds.
	Limit time.Duration
	// Clock is shared by the Refreshers of a process. Nil means one of its own.
	Clock *Clock
	// Log gets one line per credential and per new failure. Nil means none.
	Log *slog.Logger
	// OnAttempt, if not nil, is called after each exchange, from the Refresher's goroutine. err is nil
	// after a success.
	OnAttempt func(err *Error)
}

// A Refresher keeps one credential fresh: it owns all attempts to get it, decides when the next one
// is due, and keeps the last good credential until its real end. Readers load an immutable snapshot;
// no lock is held around the network, and no reader can start, fail or cancel an exchange. All
// methods are safe for concurrent use.
type Refresher struct {
	fetch   func(context.Context) (Credential, error)
	options Options
	clock   *Clock
	log     *slog.Logger

	current   atomic.Pointer[snapshot]
	lastRead  atomic.Int64 // elapsed time of the last Get; OnDemand only
	watchers  atomic.Int64 // Watches under way
	lastBeat  atomic.Int64 // elapsed time at which the loop turned, or has to
	poke      chan struct{}
	woken     atomic.Bool // there is a new subject token
	forced    atomic.Bool
	wanted    atomic.Bool  // a reader found nothing to read
	drainLeft atomic.Int64 // while draining: refresh only what has less life left than this

	// Owned by Run.
	retry        retry
	firstAttempt time.Duration
	failingSince time.Duration
	obtained     bool
	wakeAfter    time.Duration // before that, no new subject token causes an exchange
	jumps        int
	drained      bool
	loggedCode   string
	loggedAt     time.Duration
}

// New returns a Refresher that gets its credential from fetch. It does nothing until [Refresher.Run].
//
// fetch makes one attempt, as [Exchanger] says. Its context carries an [Attempt] and a deadline, and
// does not end when a reader leaves.
func New(fetch func(context.Context) (Credential, error), o Options) *Refresher {
	if o.Keep > 0 {
		o.OnDemand = true
	}
	r := &Refresher{
		fetch:   fetch,
		options: o,
		clock:   cmp.Or(o.Clock, &Clock{}),
		log:     cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
		poke:    make(chan struct{}, 1),
	}
	now := r.clock.read()
	r.lastBeat.Store(int64(now.elapsed))
	r.wakeAfter = now.elapsed
	r.current.Store(&snapshot{dormant: o.OnDemand, next: now.elapsed, changed: make(chan struct{})})
	return r
}

// Run refreshes until ctx ends, and returns nil then: no failure of an exchange ends it. It must be
// called once; it is the only goroutine that fetches.
func (r *Refresher) Run(ctx context.Context) error {
	now := r.clock.read()
	r.jumps = now.jumps
	r.adopt(now)
	for ctx.Err() == nil {
		r.lastBeat.Store(int64(now.elapsed))
		if wait := r.untilDue(now); wait <= 0 {
			r.attempt(ctx)
		} else {
			timer := time.NewTimer(min(wait, beat))
			select {
			case <-ctx.Done():
			case <-timer.C:
			case <-r.poke:
			}
			timer.Stop()
		}
		r.clock.compare()
		now = r.clock.read()
		r.adopt(now)
	}
	return nil
}

// adopt turns what others have asked for since into the time of the next attempt.
func (r *Refresher) adopt(now reading) {
	s := *r.current.Load()
	before := s.next
	if r.watchers.Load() > 0 {
		s.dormant = false
	}
	if r.wanted.Swap(false) && s.failure == nil && !s.usable(now) {
		s.dormant, s.next = false, min(s.next, now.elapsed)
	}
	if r.woken.Swap(false) && r.newTokenHelps(&s, now) {
		if next := r.wakeTime(&s, now); next < s.next {
			s.next, r.wakeAfter = next, next+wakeInterval
		}
	}
	if r.forced.Swap(false) && !s.dormant && !s.justTried(now) { // one who asks may have looked before the last attempt began
		s.next = min(s.next, now.elapsed)
	}
	if now.jumps != r.jumps {
		r.jumps = now.jumps
		if s.has() && s.failure == nil && !s.dormant {
			s.next = min(s.next, now.elapsed+rand.N(spread))
		}
	}
	if s.failure == nil && s.overdue(now) && !s.dormant {
		s.next = min(s.next, now.elapsed)
	}
	if s.next != before || s.dormant != r.current.Load().dormant {
		// Nobody waits for a change of the schedule, so the readers' channel stays.
		r.current.Store(&s)
	}
}

// newTokenHelps: a rotation by itself is no reason to refresh, or the kubelet's clockwork would
// double the load of the token services and align it.
func (r *Refresher) newTokenHelps(s *snapshot, now reading) bool {
	if s.failure == nil {
		return false
	}
	switch s.failure.Class {
	case SubjectToken, Settling, Denied:
		return true
	case Throttled:
		return false
	default:
		return !s.usable(now)
	}
}

// wakeTime is when a new subject token is tried.
func (r *Refresher) wakeTime(s *snapshot, now reading) time.Duration {
	soon := now.elapsed + rand.N(spread)
	switch s.failure.Code {
	case CodeSubjectMissing, CodeSubjectInvalid, CodeSubjectExpired:
		return soon // nothing was sent for want of this token
	}
	return max(soon, r.wakeAfter)
}

// untilDue is the time until the next attempt, ≤ 0 if it is due.
func (r *Refresher) untilDue(now reading) time.Duration {
	s := r.current.Load()
	if grace := time.Duration(r.drainLeft.Load()); grace > 0 && (r.drained || s.left(now) >= grace) {
		return beat
	}
	wait := s.next - now.elapsed
	if s.dormant {
		wait = beat
		if !s.has() || s.usable(now) {
			return wait
		}
	} else if wait > 0 || !r.idle(s, now) {
		return wait
	}
	// Wiped, not only left to age: nobody needs what nobody has read for so long. The next reader
	// finds a cold start.
	r.obtained = false
	r.publish(&snapshot{dormant: true, next: now.elapsed})
	return beat
}

// idle: nobody has read the credential for as long as it lives.
func (r *Refresher) idle(s *snapshot, now reading) bool {
	limit := idleFailing
	if s.has() && r.options.Keep == 0 {
		limit = s.life
	}
	return r.options.OnDemand && r.sinceRead(now) >= limit
}

func (r *Refresher) publish(s *snapshot) {
	s.changed = make(chan struct{})
	close(r.current.Swap(s).changed)
}

// Wake says that there may be a new subject token. It leads to an exchange only if the last one
// failed in a way that a new token can mend.
func (r *Refresher) Wake() {
	r.woken.Store(true)
	r.signal()
}

// Refresh asks for a new credential ahead of time. It reports false, and does nothing, if an exchange
// is under way or began in the last ten seconds, or if nobody has wanted the credential lately (see
// OnDemand). The present credential stays until the new one is there.
func (r *Refresher) Refresh() bool {
	s := r.current.Load()
	if s.flying || s.dormant || s.justTried(r.clock.read()) {
		return false
	}
	r.forced.Store(true)
	r.signal()
	return true
}

// Drain ends proactive refreshing, because the process is about to end: only a credential that
// would not outlive grace by a minute is refreshed once more. Reads go on.
func (r *Refresher) Drain(grace time.Duration) {
	r.drainLeft.Store(int64(grace + time.Minute))
	r.signal()
}
