package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/agent/admin"
	"github.com/wisp-sidecar/wisp/refresher"
)

// A request is what a one-shot command wants.
type request struct {
	identity string
	target   refresher.Target
	provider string // see admin.Question
	timeout  time.Duration
}

// A oneShot gets one credential: from the wisp that runs beside us if there is one, which has it already,
// else by an exchange of its own.
type oneShot struct {
	config  *agent.Config // nil if there is none
	missing error         // why there is none
	given   bool          // somebody has named a configuration file
	socket  string        // of the running wisp; empty: none is asked
}

// newOneShot reads the configuration. Without a file there may be none, and a running wisp all the same.
func newOneShot(f *globalFlags) (*oneShot, error) {
	o := &oneShot{given: f.config != ""}
	c, _, err := load(f.config)
	if err != nil && o.given {
		return nil, err
	}
	o.config, o.missing = c, err
	o.socket = f.socket(c)
	return o, nil
}

// get asks the running wisp, and exchanges only if none answers that has the same configuration.
func (o *oneShot) get(ctx context.Context, r request) (refresher.Credential, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	var unreachable error
	if o.socket != "" {
		c, err := o.ask(ctx, r)
		switch {
		case errors.As(err, new(*admin.UnreachableError)):
			unreachable = err
		case errors.Is(err, admin.ErrOther):
		case errors.Is(err, admin.ErrUnknown):
			return c, &usageError{fmt.Errorf("the wisp at %s has no identity %q", o.socket, r.identity)}
		case ctx.Err() != nil && errors.Is(err, ctx.Err()):
			return c, &refresher.Error{
				Class: refresher.Transient, Code: refresher.CodeNotReady,
				Err: fmt.Errorf("the wisp at %s has not answered within %v", o.socket, r.timeout), Hint: "wisp status says how it is doing",
			}
		default:
			return c, err
		}
	}
	if o.config == nil {
		return refresher.Credential{}, errors.Join(unreachable, o.missing)
	}
	return o.exchange(ctx, r)
}

func (o *oneShot) ask(ctx context.Context, r request) (refresher.Credential, error) {
	q := admin.Question{Identity: r.identity, Target: r.target, Provider: r.provider}
	if end, ok := ctx.Deadline(); ok {
		q.Patience = time.Until(end) * 9 / 10 // it has to answer before we stop listening
	}
	if o.given {
		q.Configuration = o.config.Digest()
	}
	return admin.NewClient(o.socket).Credential(ctx, q)
}

// exchange runs the identity, without any outlet, until there is a credential.
func (o *oneShot) exchange(ctx context.Context, r request) (refresher.Credential, error) {
	a, err := agent.New(o.config.Only(r.identity), agent.Options{Version: version, Wanted: map[string]refresher.Target{r.identity: r.target}})
	if err != nil {
		return refresher.Credential{}, err
	}
	identity, known := a.Identity(r.identity)
	if !known {
		return refresher.Credential{}, &usageError{fmt.Errorf("there is no identity %q", r.identity)}
	}
	running, stop := context.WithCancel(ctx)
	group, running := errgroup.WithContext(running)
	a.RunIdentities(running, group)
	c, err := identity.Credential(ctx, r.target)
	stop()
	_ = group.Wait()
	if err == nil && r.provider != "" {
		err = o.config.CheckProvider(r.identity, r.provider, c)
	}
	return c, err
}
