// Package agent puts wisp together: it reads the configuration, makes the sources, exchangers and
// outlets that it names, and runs them under one roof. It is the only package that knows every kind.
package agent

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wisp-sidecar/wisp/agent/admin"
	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// Options are what an [Agent] needs besides its configuration. The zero value is usable.
type Options struct {
	Log     *slog.Logger     // nil: none
	Clock   *refresher.Clock // nil: the system's clocks
	Version string           // for the metrics
	// Getenv is the environment of sources that a platform describes there; nil is os.Getenv. Variables
	// that lead to wisp's own outlets count as unset: it would ask itself.
	Getenv func(string) string
	// Wanted are targets by identity, for a process that wants nothing else of it: its standing credential is
	// for that instead of for what it usually is, as far as the configuration allows it.
	Wanted map[string]refresher.Target
	// HostNetwork says that the loopback interface is the node's, so that everything on the node can
	// reach the outlets. Those without a secret are then refused.
	HostNetwork bool
}

// An Agent is a running wisp: identities, outlets, probes and metrics.
type Agent struct {
	config     *Config
	version    string
	log        *slog.Logger
	clock      *refresher.Clock
	getenv     func(string) string
	wanted     map[string]refresher.Target
	meters     *meters
	onNode     bool // see Options.HostNetwork
	watcher    *source.Watcher
	identities []*runningIdentity
	servers    []*server
	writers    []*runningWriter

	started     atomic.Bool
	draining    atomic.Bool
	made        time.Time
	lastRequest atomic.Int64 // a time.Duration, see elapsed
	quit        chan struct{}
	quitting    atomic.Bool
}

type runningIdentity struct {
	identity *refresher.Identity
	exchange exchangeOptions
	required bool
	obtained atomic.Bool
}

type runningWriter struct {
	writer   writer
	path     string // in the configuration
	required bool
}

// New assembles an Agent. It reads what it needs (CA file, secrets) and makes missing secret files,
// but opens no listener and sends nothing. What cannot be had is a [*ConfigError].
func New(c *Config, o Options) (*Agent, error) {
	log := cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	a := &Agent{
		config:  c,
		version: o.Version,
		log:     log,
		clock:   cmp.Or(o.Clock, systemClock()),
		watcher: source.NewWatcher(log),
		onNode:  o.HostNetwork,
		wanted:  o.Wanted,
		getenv:  c.foreign(o.Getenv),
		quit:    make(chan struct{}),
		made:    time.Now(),
	}
	a.meters = newMeters(a.clock, o.Version)
	p := &problems{lines: c.lines}
	a.assemble(p)
	if err := p.err(c.name); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Agent) assemble(p *problems) {
	transport, err := a.config.transport()
	if err != nil {
		p.at("upstream.caFile", "%v", err)
		return
	}
	around := surroundings{
		transport: transport, watcher: a.watcher, log: a.log, getenv: a.getenv,
		identities: map[string]*refresher.Identity{},
	}
	pool := &refresher.Pool{}
	byName := map[string]*runningIdentity{}
	for _, n := range a.config.inOrder() {
		c := &a.config.Identities[n]
		if on := c.builtOn(); on != "" && around.identities[on] == nil {
			continue // the problem is there
		}
		i, err := a.identity(c, around, pool)
		if err != nil {
			p.at(fmt.Sprintf("identities[%d]", n), "identity %q: %v", c.Name, err)
			continue
		}
		byName[c.Name] = i
		around.identities[c.Name] = i.identity
		a.identities = append(a.identities, i)
	}
	if len(p.list) == 0 {
		a.outlets(p, byName)
	}
}

func (a *Agent) identity(c *IdentityConfig, around surroundings, pool *refresher.Pool) (*runningIdentity, error) {
	around.log = around.log.With("identity", c.Name)
	from, err := c.Source.Options.source(around, c.Exchange.Options)
	if err != nil {
		return nil, err
	}
	exchanger, err := c.Exchange.Options.exchanger(around)
	if err != nil {
		return nil, err
	}
	usual := usualTarget(exchanger)
	standing := usual
	if t, ok := a.wanted[c.Name]; ok && t != (refresher.Target{}) && c.allow(t, usual) == nil {
		standing = t
	}
	i := &runningIdentity{exchange: c.Exchange.Options, required: c.IsRequired()}
	i.identity = refresher.NewIdentity(refresher.IdentityOptions{
		Name:      c.Name,
		Source:    from,
		Exchanger: exchanger,
		Target:    standing,
		Floor:     c.floor(),
		Pool:      pool,
		Allow:     func(asked refresher.Target) error { return c.allow(asked, usual) },
		Clock:     a.clock,
		Log:       a.log,
		OnAttempt: func(target refresher.Target, err *refresher.Error) {
			a.meters.attempt(c.Name, err)
			if err == nil && target == standing {
				i.obtained.Store(true)
			}
		},
	})
	a.meters.identity(i.identity)
	return i, nil
}

// usualTarget is what an identity's zero target stands for. Where one subject token gives many
// credentials, the exchanger knows.
func usualTarget(x refresher.Exchanger) refresher.Target {
	if scoped, ok := x.(interface{ DefaultScope() string }); ok {
		return refresher.Target{Scope: scoped.DefaultScope()}
	}
	return refresher.Target{}
}

// allow says whether callers may ask for t besides the usual target, whose scopes they may combine
// with those that are listed. Lists that are not set allow everything.
func (c *IdentityConfig) allow(t, usual refresher.Target) error {
	if t.Audience != "" {
		return listed(c.Audiences, t.Audience, "audience")
	}
	if len(c.Resources) > 0 {
		// The slash at the end, which Entra copies into the token, says nothing about who may ask.
		bare := func(r string) string { return strings.TrimRight(strings.TrimSuffix(r, "/.default"), "/") }
		allowed := []string{bare(usual.Scope)}
		for _, r := range c.Resources {
			allowed = append(allowed, bare(r))
		}
		return listed(allowed, bare(t.Scope), "resource")
	}
	if len(c.Scopes) > 0 {
		allowed := slices.Concat(c.Scopes, strings.Fields(usual.Scope))
		for _, scope := range strings.Fields(t.Scope) {
			if err := listed(allowed, scope, "scope"); err != nil {
				return err
			}
		}
	}
	return nil
}

// Identity returns an identity by its name, for asking it directly.
func (a *Agent) Identity(name string) (*refresher.Identity, bool) {
	for _, i := range a.identities {
		if i.identity.Name() == name {
			return i.identity, true
		}
	}
	return nil, false
}

// Refresh asks all identities for new credentials ahead of time. Each agrees at most every ten
// seconds.
func (a *Agent) Refresh() {
	for _, i := range a.identities {
		a.refresh(i)
	}
}

func (a *Agent) refresh(i *runningIdentity) bool {
	accepted := i.identity.Refresh()
	a.log.Info("refresh asked for", "identity", i.identity.Name(), "accepted", accepted)
	return accepted
}

// Quit asks Run to end gently: it goes on answering as the configuration's drain says, and then
// ends. Further calls have no effect.
func (a *Agent) Quit() {
	if !a.quitting.Swap(true) {
		close(a.quit)
	}
}

// Run opens the listeners and serves until ctx ends, which stops everything at once, or until it has
// drained after [Agent.Quit]. Only a listener that cannot be opened, a [*BindError], is an error: nothing
// that a cloud does ends wisp. Run must be called once.
func (a *Agent) Run(ctx context.Context) error {
	health, control, err := a.bind(ctx)
	if err != nil {
		return err
	}
	// The listeners close before the identities stop, so that no caller meets an identity at rest.
	working, stopWorking := context.WithCancel(ctx)
	defer stopWorking()
	serving, stopServing := context.WithCancel(working)
	defer stopServing()

	work, working := errgroup.WithContext(working)
	a.RunIdentities(working, work)
	for _, w := range a.writers {
		work.Go(func() error { return w.writer.Run(working) })
	}
	serve, serving := errgroup.WithContext(serving)
	for _, s := range a.servers {
		serve.Go(func() error { return s.server.Run(serving, s.listener) })
	}
	if health != nil {
		serve.Go(func() error { return endpoints.Serve(serving, a.healthServer(), health) })
	}
	if control != nil {
		serve.Go(func() error { return admin.Serve(serving, control, backend{a}, a.log) })
	}
	work.Go(func() error {
		defer stopWorking()
		<-serving.Done() // there may be no server to wait for: files need none
		return serve.Wait()
	})
	work.Go(func() error {
		select {
		case <-a.quit:
			a.drain(working)
		case <-working.Done():
		}
		stopServing()
		return nil
	})
	a.announce()
	err = work.Wait()
	a.log.Info("wisp ended")
	return err
}

// RunIdentities runs the identities alone, without any outlet, in group until ctx ends.
func (a *Agent) RunIdentities(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error { return a.watcher.Run(ctx) })
	for _, i := range a.identities {
		group.Go(func() error { return i.identity.Run(ctx) })
	}
}

// drain serves on for a while after the order to end: an application that ends at the same moment
// may still need the clouds to finish its work.
func (a *Agent) drain(ctx context.Context) {
	least, most := a.config.Drain.Min, a.config.Drain.most()
	a.draining.Store(true)
	a.log.Info("draining", "at_least", least, "at_most", most)
	for _, i := range a.identities {
		i.identity.Drain(most)
	}
	start := a.elapsed()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		drained := a.elapsed() - start
		quiet := a.elapsed() - max(time.Duration(a.lastRequest.Load()), start-quietPeriod)
		if drained >= most || (drained >= least && quiet >= quietPeriod) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// elapsed is the time since New. It never steps: the readings of the system's clock carry Go's monotonic one.
func (a *Agent) elapsed() time.Duration {
	if a.clock.Wall != nil {
		return a.clock.Wall().Sub(a.made)
	}
	return time.Since(a.made)
}

// quietPeriod without a request says that nobody needs us any more.
const quietPeriod = time.Second

func (a *Agent) answered(outlet string, status int) {
	a.lastRequest.Store(int64(a.elapsed()))
	a.meters.answer(outlet, status)
}

// announce logs what runs.
func (a *Agent) announce() {
	for _, i := range a.identities {
		a.log.Info("identity", "identity", i.identity.Name(), "yields", string(i.exchange.yields()), "required", i.required)
	}
	for _, s := range a.servers {
		var kinds []string
		for _, protocol := range s.protocols {
			kinds = append(kinds, protocol.Name)
		}
		a.log.Info("listening", "address", s.address.String(), "outlets", strings.Join(kinds, ","))
	}
}

// transport is the way to the clouds.
func (c *Config) transport() (*upstream.Transport, error) {
	return upstream.New(upstream.Options{CAFile: c.Upstream.CAFile, AllowInsecureLoopback: c.Upstream.AllowInsecureLoopback, Base: c.base})
}
