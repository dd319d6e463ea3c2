package clients_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/compatibility.md")

// A pairing is one client at one outlet, and what has become of it.
type pairing struct {
	client client
	outlet outlet

	process  process
	first    answer            // of a warm wisp
	failures map[string]string // by check
	log      strings.Builder
}

// Every client at every outlet of its cloud: before the first credential, with it, with the next one, while the cloud is
// down, and with a secret that is none.
func TestClients(t *testing.T) {
	kit := install(t)
	s := newStage(t, kit)
	cast := &company{T: t, kit: kit, stage: s, places: make(chan struct{}, runtime.NumCPU()+1)}
	cast.env()
	cast.assemble()
	defer cast.dismiss()
	cast.phases()
	for _, p := range cast.pairings {
		t.Run(p.client.name+"/"+p.outlet.name, func(t *testing.T) {
			for _, check := range checks {
				if failure := p.failures[check]; failure != "" {
					t.Errorf("%s: %s", check, failure)
				}
			}
			t.Logf("the client says:\n%s", p.log.String())
		})
	}
	cast.report()
}

// A company is all pairings of a run.
type company struct {
	*testing.T
	kit      *installation
	stage    *stage
	pairings []*pairing
	missing  []string // clients that this machine cannot have
	// places limit how many programs start at the same time: half a hundred would be a trial of the machine.
	places chan struct{}
}

// assemble finds out who plays. A client that cannot be had is an error where CI=true.
func (c *company) assemble() {
	for _, client := range clients {
		if err := c.kit.unavailable[client.from]; err != nil {
			if os.Getenv("CI") == "true" {
				c.Errorf("%s cannot be had, and CI has to have it: %v", client.name, err)
			}
			c.missing = append(c.missing, client.name)
			c.Run(client.name, func(t *testing.T) { t.Skipf("cannot be had: %v", err) })
			continue
		}
		for _, outlet := range outlets {
			if outlet.cloud == client.cloud && reason(client.name, outlet.name, "") == "" {
				c.pairings = append(c.pairings, &pairing{client: client, outlet: outlet, failures: map[string]string{}})
			}
		}
	}
}

// phases is what happens to all of them, in order.
func (c *company) phases() {
	c.phase(coldStart, func() {
		c.each(coldStart, c.begin)
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.each(coldStart, c.insist)
		}()
		<-time.After(5 * time.Second) // by then they have asked, and some have given up
		c.stage.recover(c.T)
		<-done
	})
	c.phase(firstUse, func() {
		c.each("", func(p *pairing) error {
			if p.process != nil {
				return nil
			}
			return c.begin(p) // what reads once needs something to read
		})
		c.each(firstUse, func(p *pairing) (err error) {
			if p.first.Who == "" { // else this client has come that far already
				p.first, err = c.good(p)
			}
			return err
		})
	})
	over := time.After(lifetime + 2*time.Second)
	c.stage.limit(longLifetime) // wisp has renewed everything long before that
	c.phase(wrongSecret, func() { c.each(wrongSecret, func(p *pairing) error { return c.refused(p, p.outlet.wrong) }) })
	c.phase(noSecret, func() { c.each(noSecret, func(p *pairing) error { return c.refused(p, p.outlet.missing) }) })
	c.phase(failure, func() { c.each(failure, func(p *pairing) error { return c.refused(p, p.outlet.fails) }) })
	<-over
	c.phase(renewal, func() {
		c.each(renewal, func(p *pairing) error {
			if p.first.Who == "" {
				return errors.New("there was none to renew")
			}
			next, err := c.good(p)
			if slices.ContainsFunc(next.Credentials, func(credential string) bool { return slices.Contains(p.first.Credentials, credential) }) {
				return fmt.Errorf("the client still has the credential from %v before", lifetime)
			}
			return err
		})
	})
	c.phase(outage, func() {
		c.stage.fail()
		c.stage.asked(c.T) // in vain
		c.each(outage, func(p *pairing) error {
			_, err := c.good(p)
			return err
		})
	})
}

func (c *company) phase(name string, play func()) {
	start := time.Now()
	play()
	c.Logf("%s: %v", name, time.Since(start).Round(100*time.Millisecond))
}

// each does something with all pairings that a check applies to, at the same time.
func (c *company) each(check string, do func(*pairing) error) {
	var all sync.WaitGroup
	for _, p := range c.pairings {
		if check != "" && reason(p.client.name, p.outlet.name, check) != "" {
			continue
		}
		all.Go(func() {
			if err := do(p); err != nil && p.failures[check] == "" {
				p.failures[check] = err.Error()
			}
		})
	}
	all.Wait()
}

// begin starts a client.
func (c *company) begin(p *pairing) error {
	var err error
	p.process, err = c.launch(p, p.outlet.env)
	return err
}

func (c *company) launch(p *pairing, env map[string]string) (process, error) {
	home := c.TempDir()
	vars := map[string]string{
		"CONFORMANCE_API": c.stage.urls.api,
		"AWS_REGION":      region, "AWS_DEFAULT_REGION": region, "AWS_ENDPOINT_URL_STS": c.stage.urls.aws,
		"CLOUDSDK_CONFIG": filepath.Join(home, "gcloud"), "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
	}
	for name, value := range env {
		vars[name] = c.stage.expand(value)
	}
	if script := p.client.script[p.outlet.gives]; script != "" {
		// Before everything else: what the machine calls python or aws may be something else.
		return &tool{
			script: `PATH="` + c.kit.python + `:$PATH"` + "\n" + script,
			dir:    home, environ: environ(home, vars), gives: p.outlet.gives, use: c.stage.use, places: c.places,
		}, nil
	}
	c.places <- struct{}{}
	defer func() { <-c.places }()
	return startDriver(c.Context(), p.client.program(c.kit, p.outlet.args...), home, environ(home, vars))
}

// insist asks for a credential as long as there is none: a client may give up, but not for good.
func (c *company) insist(p *pairing) error {
	if p.process == nil {
		return nil // has failed already
	}
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	last := ""
	for ctx.Err() == nil {
		a, err := p.process.get(ctx)
		if err != nil {
			return err
		}
		if a.Error == "" {
			p.first, err = p.check(a)
			return err
		}
		if a.Error != last {
			fmt.Fprintf(&p.log, "while it is cold: %s\n", a.Error)
		}
		last = a.Error
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return fmt.Errorf("no credential in %v; the last error was: %s", patience, last)
}

// good asks for a credential, which has to be there at once, and to be the right one.
func (c *company) good(p *pairing) (answer, error) {
	if p.process == nil {
		return answer{}, errors.New("the client has not started")
	}
	a, err := p.process.get(c.Context())
	if err != nil {
		return a, err
	}
	return p.check(a)
}

// check says what is wrong with an answer.
func (p *pairing) check(a answer) (answer, error) {
	switch {
	case a.Error != "":
		return answer{}, fmt.Errorf("the client fails: %s", a.Error)
	case len(a.Credentials) == 0 || len(a.Credentials) > len(p.outlet.who):
		return answer{}, fmt.Errorf("the client has %d credentials, want 1 to %d", len(a.Credentials), len(p.outlet.who))
	}
	if want := strings.Join(p.outlet.who[:len(a.Credentials)], " "); a.Who != want {
		return answer{}, fmt.Errorf("the cloud takes the client for %q, want %q", a.Who, want)
	}
	return a, nil
}

// refused starts another of these clients, with changes of its environment, and expects that it fails by itself and that
// it has not heard of the right secret.
func (c *company) refused(p *pairing, changes map[string]string) error {
	env := maps.Clone(p.outlet.env)
	for name, value := range changes {
		env[name] = value
		if value == "" {
			delete(env, name)
		}
	}
	process, err := c.launch(p, env)
	if err != nil {
		return err
	}
	start := time.Now()
	a, err := process.get(c.Context())
	said := a.Error + process.end()
	switch {
	case err != nil:
		return err
	case a.Error == "":
		return fmt.Errorf("the client gets a credential for %s", a.Who)
	case slices.ContainsFunc(c.stage.secrets(), func(secret string) bool { return strings.Contains(said, secret) }):
		return errors.New("the client tells a secret of wisp's")
	}
	fmt.Fprintf(&p.log, "refused after %v: %s\n", time.Since(start).Round(10*time.Millisecond), a.Error)
	return nil
}

// dismiss ends all processes, and looks for secrets in what has been logged.
func (c *company) dismiss() {
	for _, p := range c.pairings {
		if p.process != nil {
			p.log.WriteString(p.process.end())
		}
	}
	for _, secret := range c.stage.secrets() {
		if strings.Contains(c.stage.log.String(), secret) {
			c.Error("wisp's log has a secret in it")
		}
	}
}
