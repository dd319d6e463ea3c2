package refresher

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// tooOld is the remaining life under which a subject token is not worth sending.
	tooOld = 10 * time.Second
	// doubtfulInterval is how often an apparently expired token is sent while the local clock may
	// be the one that is wrong.
	doubtfulInterval = 30 * time.Second
	// idTokenKeep is how long an ID token is handed out: some clients take its life for an hour
	// from receipt, whatever it says (Go's idtoken package does), so it has to be new.
	idTokenKeep = time.Minute
)

// IdentityOptions describe an [Identity]. Name, Source and Exchanger are required.
type IdentityOptions struct {
	Name      string
	Source    Source
	Exchanger Exchanger
	Target    Target             // what the zero Target stands for
	Floor     time.Duration      // see [Options]; not applied to ID tokens
	Pool      *Pool              // where other targets live; nil: only the default target is served
	Allow     func(Target) error // says which other targets may be asked for; nil: any
	Clock     *Clock             // shared by the process; nil: one of its own
	Log       *slog.Logger       // nil: none
	// OnAttempt, if not nil, is called after each exchange; err is nil after a success. It must be
	// safe for concurrent use.
	OnAttempt func(target Target, err *Error)
}

// An Identity is a named pair of [Source] and [Exchanger] with its Refreshers: one for the default
// target, which runs all the time, and one for each other target that is asked for, in the [Pool].
// All methods are safe for concurrent use.
type Identity struct {
	options  IdentityOptions
	clock    *Clock
	log      *slog.Logger
	standing *Refresher

	running chan struct{} // closed when Run has begun

	mu  sync.Mutex                                         // guards:
	run func(run func(context.Context)) context.CancelFunc // starts a goroutine below Run; nil while Run does not run
}

// NewIdentity returns an Identity that does nothing until [Identity.Run].
func NewIdentity(o IdentityOptions) *Identity {
	i := &Identity{
		running: make(chan struct{}),
		options: o,
		clock:   cmp.Or(o.Clock, &Clock{}),
		log:     cmp.Or(o.Log, slog.New(slog.DiscardHandler)).With("identity", o.Name),
	}
	i.standing = i.refresher(o.Target, false)
	return i
}

// Name returns the identity's name.
func (i *Identity) Name() string { return i.options.Name }

// Run watches the source and keeps the default credential fresh until ctx ends. It must be called
// once. It returns an error only if the source cannot be used at all.
func (i *Identity) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	i.accept(func(run func(context.Context)) context.CancelFunc {
		ctx, cancel := context.WithCancel(ctx)
		group.Go(func() error { run(ctx); return nil })
		return cancel
	})
	close(i.running)
	if runner, ok := i.options.Source.(Runner); ok {
		group.Go(func() error { return runner.Run(ctx) })
	}
	if notifier, ok := i.options.Source.(Notifier); ok {
		group.Go(func() error { return i.follow(ctx, notifier.Changed()) })
	}
	group.Go(func() error { return i.standing.Run(ctx) })
	<-ctx.Done()
	i.accept(nil)
	if i.options.Pool != nil {
		i.options.Pool.forget(i)
	}
	return group.Wait()
}

func (i *Identity) accept(run func(func(context.Context)) context.CancelFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.run = run
}

// follow tells the Refreshers of each new subject token.
func (i *Identity) follow(ctx context.Context, changed <-chan struct{}) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			for _, r := range i.refreshers() {
				r.Wake()
			}
		}
	}
}

// Credential returns a credential for t that is usable now, as [Refresher.Get] does. The zero Target
// is the identity's default. It is what endpoints call.
func (i *Identity) Credential(ctx context.Context, t Target) (Credential, error) {
	r, err := i.of(ctx, t)
	if err != nil {
		return Credential{}, err
	}
	return r.Get(ctx)
}

// Watch yields each new credential for t, and each failure, as [Refresher.Watch] does.
func (i *Identity) Watch(ctx context.Context, t Target) iter.Seq2[Credential, error] {
	return func(yield func(Credential, error) bool) {
		r, err := i.of(ctx, t)
		if err != nil {
			yield(Credential{}, err)
			return
		}
		r.Watch(ctx)(yield)
	}
}

// of finds or makes the Refresher of a target. Other targets than the default one have to wait for Run.
func (i *Identity) of(ctx context.Context, t Target) (*Refresher, error) {
	if t == (Target{}) || t == i.options.Target {
		return i.standing, nil
	}
	if i.options.Pool == nil {
		return nil, &Error{Class: Denied, Code: CodeTargetNotAllowed, Err: errors.New("this identity serves one target only")}
	}
	if i.options.Allow != nil {
		if err := i.options.Allow(t); err != nil {
			return nil, &Error{Class: Denied, Code: CodeTargetNotAllowed, Err: err}
		}
	}
	select {
	case <-i.running:
		return i.options.Pool.get(i, t)
	case <-ctx.Done():
		return nil, i.notRunning()
	}
}

func (i *Identity) notRunning() error {
	return &Error{Class: Transient, Code: CodeNotReady, Err: fmt.Errorf("identity %q is not running", i.options.Name)}
}

// refresher makes the Refresher of a target.
func (i *Identity) refresher(t Target, onDemand bool) *Refresher {
	log := i.log
	if onDemand {
		log = log.With("target", t.String())
	}
	o := Options{Floor: i.options.Floor, OnDemand: onDemand, Limit: sourceTimeout + flightTimeout, Clock: i.clock, Log: log}
	if t.Audience != "" {
		o.Floor = 0
		if onDemand {
			o.Keep = idTokenKeep
		}
	}
	o.OnAttempt = func(err *Error) {
		if err == nil && !onDemand {
			i.wakeOthers()
		}
		if i.options.OnAttempt != nil {
			i.options.OnAttempt(t, err)
		}
	}
	var doubtful doubt
	return New(func(ctx context.Context) (Credential, error) { return i.exchange(ctx, t, &doubtful) }, o)
}

// exchange makes one attempt: read the token, trade it.
func (i *Identity) exchange(ctx context.Context, t Target, d *doubt) (Credential, error) {
	token, err := i.token(ctx)
	if err != nil {
		return Credential{}, err
	}
	if err := d.worthSending(token, i.clock.read()); err != nil {
		return Credential{}, err
	}
	flight, cancel := context.WithTimeout(ctx, flightTimeout)
	defer cancel()
	credential, err := i.options.Exchanger.Exchange(flight, token, t)
	if err != nil && AsError(err).Class == SubjectToken {
		// Refused: was it replaced while it was on its way?
		if newer, e := i.token(ctx); e == nil && newer.Raw != token.Raw {
			AttemptFrom(ctx).Record(func(d *AttemptData) { d.SubjectChanged = true })
		}
	}
	return credential, err
}

func (i *Identity) token(ctx context.Context) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, sourceTimeout)
	defer cancel()
	return i.options.Source.Token(ctx)
}

// A doubt remembers when a token was last sent although it looked expired. One goroutine uses it.
type doubt struct {
	sent bool
	at   time.Duration
}

// worthSending keeps a token at home that the service can only refuse. But if the local clock has
// not been checked since it was last set, or must be wrong, because the token comes from the future, then it is sent now
// and then all the same: otherwise a clock that is fast would never be found out.
func (d *doubt) worthSending(token Token, now reading) error {
	here := now.service()
	if token.Expires.IsZero() || token.Expires.Sub(here) > tooOld {
		return nil
	}
	if !now.synced || token.Issued.After(here) {
		if !d.sent || now.elapsed-d.at >= doubtfulInterval {
			d.sent, d.at = true, now.elapsed
			return nil
		}
	}
	return &Error{
		Class: SubjectToken,
		Code:  CodeSubjectExpired,
		Err:   fmt.Errorf("subject token %s expired at %s", token.Fingerprint(), token.Expires.UTC().Format(time.RFC3339)),
		Hint:  "whatever renews the token has stopped, or the clock is wrong; a volume that is mounted with subPath never changes",
	}
}

func (i *Identity) refreshers() []*Refresher {
	all := []*Refresher{i.standing}
	if i.options.Pool != nil {
		all = append(all, i.options.Pool.of(i)...)
	}
	return all
}

// wakeOthers tells the targets in the pool that the default one has succeeded: whatever was in their way,
// too, may be gone.
func (i *Identity) wakeOthers() {
	for _, r := range i.refreshers()[1:] {
		r.Wake()
	}
}

// Status reports how the default credential is doing.
func (i *Identity) Status() Status { return i.standing.Status() }

// Refresh asks for new credentials ahead of time, see [Refresher.Refresh]. It reports whether any is
// on its way.
func (i *Identity) Refresh() bool {
	any := false
	for _, r := range i.refreshers() {
		any = r.Refresh() || any
	}
	return any
}

// Drain ends proactive refreshing, see [Refresher.Drain].
func (i *Identity) Drain(grace time.Duration) {
	for _, r := range i.refreshers() {
		r.Drain(grace)
	}
}
