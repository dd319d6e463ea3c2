package refresher

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

const (
	// flightTimeout bounds one exchange with all its calls.
	flightTimeout = 20 * time.Second
	// sourceTimeout bounds what a source may take: the programs that print tokens are allowed two
	// minutes, and some seconds to end when they are told to.
	sourceTimeout = 2*time.Minute + 5*time.Second
	// logInterval is the least time between warnings about the same failure.
	logInterval = time.Minute
)

// attempt makes one exchange and publishes what came of it.
func (r *Refresher) attempt(ctx context.Context) {
	record := &Attempt{clock: r.clock}
	limit := cmp.Or(r.options.Limit, flightTimeout)
	flight, cancel := context.WithTimeout(WithAttempt(ctx, record), limit)
	defer cancel()

	start := r.clock.read()
	r.lastBeat.Store(int64(start.elapsed + limit)) // the loop turns again by then
	flying := *r.current.Load()
	if !flying.attempted {
		r.firstAttempt = start.elapsed
	}
	flying.flying, flying.attempted, flying.attempt = true, true, start.elapsed
	r.current.Store(&flying)
	if r.drainLeft.Load() > 0 {
		r.drained = true
	}
	credential, err := r.call(flight)
	if ctx.Err() != nil {
		landed := flying
		landed.flying = false
		r.publish(&landed)
		return
	}
	facts := record.Data()
	r.clock.observe(facts)
	if err == nil {
		err = r.succeed(credential, start, facts)
	}
	failure := AsError(err)
	if failure != nil {
		r.fail(failure, facts)
	}
	if r.options.OnAttempt != nil {
		r.options.OnAttempt(failure)
	}
}

// call runs fetch and turns a panic into an error: one bad answer must not take the other identities
// down. The panic's value may quote what it choked on, so only its type is told.
func (r *Refresher) call(ctx context.Context) (c Credential, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("exchange panicked", "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = &Error{Class: Transient, Code: CodePanic, Hint: "this is a defect of wisp; the log has the stack"}
		}
	}()
	return r.fetch(ctx)
}

// succeed checks the credential, and publishes it with the time of the next refresh.
func (r *Refresher) succeed(c Credential, start reading, facts AttemptData) error {
	unusable := func(why string) error {
		return &Error{Class: Transient, Code: CodeBadCredential, Err: fmt.Errorf("the service's answer %s", why)}
	}
	if c.Value == nil || !c.Value.usable() {
		return unusable("lacks a part of the credential")
	}
	// Where the service's clock and ours disagree on what is left, the shorter life is believed.
	now := r.clock.read()
	serverNow := now.service().Add(start.elapsed - now.elapsed)
	if facts.Date.After(serverNow) {
		serverNow = facts.Date
	}
	if claimed := c.Expires.Sub(serverNow); claimed > maxLifetime {
		r.log.Warn("credential claims an implausible lifetime", "lifetime", claimed)
		c.Expires = serverNow.Add(maxLifetime)
	}
	life := believedLifetime(c.Expires, serverNow, facts.Requested)
	if life < hardMinimum {
		return unusable(fmt.Sprintf("expires in %v, which is too soon to be of use", life.Round(time.Second)))
	}
	c.Issued = start.wall

	lo, hi := refreshWindow(life, r.options.Floor)
	s := &snapshot{
		credential: c,
		deadline:   start.elapsed + life,
		life:       life,
		minimum:    minimum(life),
		window:     hi,
		next:       start.elapsed + lo + rand.N(hi-lo+1),
		attempted:  true,
		attempt:    start.elapsed,
	}
	if keep := r.options.Keep; keep > 0 {
		s.minimum, s.dormant = max(s.minimum, life-keep), true
	}

	if !r.obtained && shortLifetime(life, r.options.Floor) && r.options.Keep == 0 {
		r.log.Warn("credential lives so briefly that clients will refresh at every call", "lifetime", life.Round(time.Second), "wanted", 2*r.options.Floor)
	}
	r.obtained = true
	r.retry.reset()
	r.publish(s)
	attrs := []slog.Attr{slog.Time("expires", s.handOut(now).Expires)}
	if !s.dormant {
		attrs = append(attrs, slog.Duration("refresh_in", (s.next-now.elapsed).Round(time.Second)))
	}
	r.log.LogAttrs(context.Background(), slog.LevelInfo, "credential refreshed", attrs...)
	return nil
}

// fail publishes why there is no newer credential, and plans the next attempt.
func (r *Refresher) fail(failure *Error, facts AttemptData) {
	now := r.clock.read()
	s := *r.current.Load()
	s.flying = false
	first := s.failure == nil
	if first {
		r.failingSince = s.attempt
	}
	p := plight{
		class:        failure.Class,
		hadOne:       r.obtained,
		left:         s.left(now),
		floor:        r.options.Floor,
		sinceStart:   now.elapsed - r.firstAttempt,
		failingSince: now.elapsed - r.failingSince,
	}
	if failure.Code == CodeForeignResponse && p.sinceStart >= fastPeriod {
		p.class = Settling
	}
	delay := r.retry.delay(p, facts.RetryAfter)
	if facts.SubjectChanged && (first || s.failure.Class != SubjectToken) {
		// Once: some sources have a new token at every call.
		delay, r.wakeAfter = 0, now.elapsed+wakeInterval
	}
	counted := *failure
	counted.Class = p.settled()
	s.failure = &counted
	s.next = now.elapsed + delay
	r.publish(&s)

	level := slog.LevelDebug
	if first || counted.Code != r.loggedCode || now.elapsed-r.loggedAt >= logInterval {
		level, r.loggedCode, r.loggedAt = slog.LevelWarn, counted.Code, now.elapsed
	}
	attrs := []slog.Attr{slog.String("class", counted.Class.String()), slog.Any("err", failure), slog.Duration("retry_in", delay.Round(time.Millisecond))}
	if counted.Hint != "" {
		attrs = append(attrs, slog.String("hint", counted.Hint))
	}
	if facts.RequestID != "" {
		attrs = append(attrs, slog.String("request_id", facts.RequestID))
	}
	r.log.LogAttrs(context.Background(), level, "exchange failed", attrs...)
}
