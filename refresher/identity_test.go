package refresher_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// A file is a source whose token a test replaces, and which may notify of it.
type file struct {
	mu      sync.Mutex
	token   refresher.Token
	err     error
	changed chan struct{}
}

func newFile(token refresher.Token) *file {
	return &file{token: token, changed: make(chan struct{}, 1)}
}

func (f *file) Token(context.Context) (refresher.Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.token, f.err
}

func (f *file) Changed() <-chan struct{} { return f.changed }

// write replaces the token.
func (f *file) write(token refresher.Token, err error) {
	f.mu.Lock()
	f.token, f.err = token, err
	f.mu.Unlock()
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// numbered is the n-th token of a workload, good for an hour.
func numbered(n int) refresher.Token {
	return refresher.Token{
		Raw:     refresher.Secret(fmt.Sprint("token-", n)),
		Type:    refresher.TypeJWT,
		Issued:  time.Now(),
		Expires: time.Now().Add(time.Hour),
	}
}

// An exchange is one call of an exchanger.
type exchange struct {
	token  refresher.Secret
	target refresher.Target
	at     time.Time
}

// A cloud is an exchanger on a service.
type cloud struct {
	*service
	judge func(token refresher.Token) error // nil: every token is good

	mu  sync.Mutex
	log []exchange
}

func (c *cloud) Exchange(ctx context.Context, token refresher.Token, target refresher.Target) (refresher.Credential, error) {
	c.mu.Lock()
	c.log = append(c.log, exchange{token.Raw, target, time.Now()})
	c.mu.Unlock()
	credential, err := c.fetch(ctx)
	if c.judge != nil {
		if err := c.judge(token); err != nil {
			return refresher.Credential{}, err
		}
	}
	return credential, err
}

func (c *cloud) exchanges() []exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log[:len(c.log):len(c.log)]
}

// run runs an identity until the test ends.
func run(t *testing.T, o refresher.IdentityOptions) *refresher.Identity {
	i := refresher.NewIdentity(o)
	go func() {
		if err := i.Run(t.Context()); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	synctest.Wait()
	return i
}

func TestIdentityTradesTheCurrentToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFile(numbered(1))
		c := &cloud{service: &service{life: time.Hour}}
		i := run(t, refresher.IdentityOptions{Name: "reports", Source: source, Exchanger: c, Floor: floor, Target: refresher.Target{Scope: "s"}})
		if _, err := i.Credential(t.Context(), refresher.Target{}); err != nil || i.Name() != "reports" {
			t.Errorf("Credential of %q: %v", i.Name(), err)
		}
		source.write(numbered(2), nil)
		time.Sleep(40 * time.Minute)
		log := c.exchanges()
		if len(log) != 2 || log[0].token != "token-1" || log[1].token != "token-2" || log[1].target.Scope != "s" {
			t.Errorf("exchanges = %v, want token-1 and then token-2 for scope s", log)
		}
		if i.Status().State != refresher.Fresh {
			t.Errorf("state = %v, want fresh", i.Status().State)
		}
	})
}

// The kubelet's clockwork is no reason to refresh.
func TestRotationCausesNoExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFile(numbered(0))
		c := &cloud{service: &service{life: time.Hour}}
		run(t, refresher.IdentityOptions{Source: source, Exchanger: c, Floor: floor})
		for n := range 60 {
			time.Sleep(time.Second)
			source.write(numbered(n), nil)
		}
		synctest.Wait()
		if c.calls() != 1 {
			t.Errorf("%d exchanges, want 1", c.calls())
		}
	})
}

// Not even when every exchange fails: a file that is rewritten all the time sets no pace.
func TestRotationEverySecondWhileRefused(t *testing.T) {
	for _, err := range []error{errToken, errSettling, errDenied} {
		t.Run(code(err), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				source := newFile(numbered(0))
				c := &cloud{service: &service{answer: failFrom(1, err)}}
				run(t, refresher.IdentityOptions{Source: source, Exchanger: c, Floor: floor})
				time.Sleep(time.Hour)
				start, before, n := time.Now(), c.calls(), 0
				for range 60 {
					time.Sleep(time.Second)
					n++
					source.write(numbered(n), nil)
				}
				synctest.Wait()
				// Refused tokens are tried again every 30s on average anyway, which one run in a million does nine times a minute.
				if extra := c.calls() - before; extra > 15 {
					t.Errorf("%d exchanges in a minute of rotations, at %v", extra, c.since(start)[before:])
				}
				log := c.exchanges()
				if first := log[before]; first.token == "token-0" || first.at.Sub(start) > 2*time.Second+1 {
					t.Errorf("first exchange with %v after %v, want with the new one at once", first.token.Reveal(), first.at.Sub(start))
				}
			})
		})
	}
}

func TestNewTokenWakes(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		had   bool // there is a good credential
		wakes bool
	}{
		{"refused token, cold", errToken, false, true},
		{"refused token, warm", errToken, true, true},
		{"settling, cold", errSettling, false, true},
		{"settling, warm", errSettling, true, true},
		{"denied, cold", errDenied, false, true},
		{"denied, warm", errDenied, true, true},
		{"down, cold", errDown, false, true},
		{"down, warm", errDown, true, false},
		{"throttled, cold", errThrottled, false, false},
		{"throttled, warm", errThrottled, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := 1
				if c.had {
					first = 2
				}
				source := newFile(numbered(1))
				cl := &cloud{service: &service{life: time.Hour, answer: failFrom(first, c.err)}}
				i := run(t, refresher.IdentityOptions{Source: source, Exchanger: cl, Floor: floor})
				for i.Status().Failure == nil || i.Status().Next < 3*time.Second {
					time.Sleep(time.Second)
					synctest.Wait()
				}
				if c.had && i.Status().Left < floor {
					t.Fatalf("only %v left", i.Status().Left)
				}
				before := cl.calls()
				source.write(numbered(2), nil)
				time.Sleep(time.Second)
				synctest.Wait()
				if woke := cl.calls() > before; woke != c.wakes {
					t.Errorf("an exchange within a second of the new token: %v, want %v", woke, c.wakes)
				}
			})
		})
	}
}

// The token is replaced while the refusal of the old one is on its way.
func TestTokenRotatedDuringTheExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFile(numbered(1))
		c := &cloud{service: &service{life: time.Hour}}
		c.judge = func(token refresher.Token) error {
			if token.Raw == "token-1" {
				source.write(numbered(2), nil)
				return errToken
			}
			return nil
		}
		i := run(t, refresher.IdentityOptions{Source: source, Exchanger: c, Floor: floor})
		time.Sleep(time.Minute)
		if log := c.exchanges(); len(log) != 2 || !log[1].at.Equal(log[0].at) {
			t.Errorf("exchanges = %v, want two, the second at once", log)
		}
		if i.Status().State != refresher.Fresh {
			t.Errorf("status = %+v, want fresh", i.Status())
		}
	})
}

// minting is a source that has a new token at every call, as services that sign on request do.
type minting struct{ file }

func (m *minting) Token(context.Context) (refresher.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.token.Raw += "+"
	return m.token, nil
}

func TestRefusedTokensOfAMintingSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &cloud{service: &service{answer: failFrom(1, errToken)}}
		i := refresher.NewIdentity(refresher.IdentityOptions{Source: source{&minting{file{token: numbered(1)}}}, Exchanger: c, Floor: floor})
		go func() { _ = i.Run(t.Context()) }()
		time.Sleep(time.Hour)
		if c.calls() > 200 {
			t.Errorf("%d exchanges in an hour of refusals", c.calls())
		}
	})
}

// source hides everything else a source can do.
type source struct{ refresher.Source }

func TestTokenCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		f := newFile(refresher.Token{})
		f.err = failure(refresher.SubjectToken, refresher.CodeSubjectMissing)
		c := &cloud{service: &service{life: time.Hour}}
		i := run(t, refresher.IdentityOptions{Source: f, Exchanger: c, Floor: floor})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := i.Credential(ctx, refresher.Target{}); code(err) != refresher.CodeSubjectMissing {
			t.Errorf("Credential: %v, want %s", err, refresher.CodeSubjectMissing)
		}
		for range 5 { // half-written, half-written, …
			time.Sleep(5 * time.Second)
			f.write(refresher.Token{}, failure(refresher.SubjectToken, refresher.CodeSubjectInvalid))
		}
		time.Sleep(time.Until(start.Add(30 * time.Second)))
		f.write(numbered(1), nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if c.calls() != 1 || i.Status().State != refresher.Fresh {
			t.Errorf("a second after the token came: %d exchanges, status %+v", c.calls(), i.Status())
		}
	})
}

func TestRunEndsWithAUselessSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("no such program")
		i := refresher.NewIdentity(refresher.IdentityOptions{
			Source:    useless{newFile(numbered(1)), broken},
			Exchanger: &cloud{service: &service{life: time.Hour}},
		})
		if err := i.Run(t.Context()); !errors.Is(err, broken) {
			t.Errorf("Run: %v, want %v", err, broken)
		}
	})
}

type useless struct {
	*file
	err error
}

func (u useless) Run(context.Context) error {
	time.Sleep(time.Second)
	return u.err
}
