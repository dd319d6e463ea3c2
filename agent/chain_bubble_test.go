package agent_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/examples/pairs"
	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// A bubble is the world of all pairs in virtual time, with its services under the names that they have in
// reality, and the identities of an agent in it: of one after another, for a world's keys take time to make.
// It is to be made and used inside of synctest.Test.
type bubble struct {
	*testing.T
	*pairs.World
	internet *cloudtest.Network
	wrong    time.Duration // how far the node's clock is ahead; to be set before start
	volume   atomic.Int64  // Kubernetes tokens that were asked for

	identities map[string]*refresher.Identity
	stop       context.CancelFunc
	ended      *errgroup.Group
}

func newBubble(t *testing.T) *bubble {
	t.Helper()
	world, err := pairs.NewWorld(pairs.Options{URL: "https://world.example", Dir: t.TempDir(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	b := &bubble{T: t, World: world, internet: cloudtest.NewNetwork()}
	for host, service := range map[string]http.Handler{
		"sts.eu-west-1.amazonaws.com":   b.AWS,
		"sts.googleapis.com":            b.Google,
		"iamcredentials.googleapis.com": b.Google,
		"169.254.169.254":               b.AzureIMDS,
		"world.example":                 http.HandlerFunc(b.elsewhere),
	} {
		b.internet.Handle(host, service)
	}
	b.AWS.Delay(300 * time.Millisecond)
	b.Google.Delay(500 * time.Millisecond)
	return b
}

// elsewhere are the services of the world without a name of their own: GitHub's, and what gives out
// Kubernetes tokens.
func (b *bubble) elsewhere(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/kubernetes/") {
		b.volume.Add(1)
	}
	b.World.ServeHTTP(w, r)
}

// wall is what the node takes for the time.
func (b *bubble) wall() time.Time { return time.Now().Add(b.wrong) }

// start runs the identities of a document. None has a file: an inotify instance would keep virtual time from
// passing.
func (b *bubble) start(document string) {
	b.Helper()
	environ, err := b.Environ()
	if err != nil {
		b.Fatal(err)
	}
	config, err := agent.Parse("chain.yaml", []byte(document))
	if err != nil {
		b.Fatal(err)
	}
	config.Through(b.internet)
	a, err := agent.New(config, agent.Options{
		Clock:  &refresher.Clock{Wall: b.wall},
		Getenv: func(name string) string { return environ[name] },
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	b.stop, b.ended, b.identities = stop, &errgroup.Group{}, map[string]*refresher.Identity{}
	for _, c := range config.Identities {
		b.identities[c.Name], _ = a.Identity(c.Name)
	}
	a.RunIdentities(ctx, b.ended)
}

// started waits until every identity has its first credential, which takes the whole chain no longer than
// its exchanges do.
func (b *bubble) started() {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 3*time.Second)
	defer cancel()
	for name, identity := range b.identities {
		if _, err := identity.Credential(ctx, refresher.Target{}); err != nil {
			b.Fatalf("%s has no credential soon after the start: %v", name, err)
		}
	}
}

// end stops the identities, which has to be a matter of no time.
func (b *bubble) end() {
	b.Helper()
	asked := time.Now()
	b.stop()
	if err := b.ended.Wait(); err != nil {
		b.Errorf("Run() = %v, want nil", err)
	}
	if took := time.Since(asked); took > 0 {
		b.Errorf("it took %v to end", took)
	}
}

// read asks an identity as a program does that cannot wait. What it is given has to be good, in the eyes of
// the cloud that gave it.
func (b *bubble) read(name string) (refresher.Credential, error) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Nanosecond)
	defer cancel()
	credential, err := b.identities[name].Credential(ctx, refresher.Target{})
	if err != nil {
		return credential, err
	}
	if _, err := b.whom(credential); err != nil {
		b.Fatalf("%s was given out: %v", name, err)
	}
	if left := credential.Expires.Sub(b.wall()); left < 30*time.Second {
		b.Fatalf("%s was given out with %v left", name, left)
	}
	return credential, nil
}

func (b *bubble) mustRead(name string) refresher.Credential {
	b.Helper()
	credential, err := b.read(name)
	if err != nil {
		b.Fatalf("%s: %v", name, err)
	}
	return credential
}

// whom is whom a cloud takes a credential for now.
func (b *bubble) whom(c refresher.Credential) (string, error) {
	var principal string
	var valid bool
	switch value := c.Value.(type) {
	case refresher.AccessKey:
		principal, valid = b.AWS.Principal(value.ID, value.Secret.Reveal(), value.SessionToken.Reveal())
	case refresher.Bearer:
		principal, valid = b.Google.Principal(value.Token.Reveal())
	default:
		return "", fmt.Errorf("a %T", value)
	}
	if !valid {
		return "", errors.New("the cloud does not take the credential")
	}
	return principal, nil
}

// calls are how often each service was asked for what, by operation.
func (b *bubble) calls() map[string]int {
	return map[string]int{
		"volume":                    int(b.volume.Load()),
		"GitHub":                    b.GitHub.Calls("idtoken"),
		"Azure":                     b.AzureIMDS.Calls("token"),
		"AssumeRoleWithWebIdentity": b.AWS.Calls("AssumeRoleWithWebIdentity"),
		"AssumeRole":                b.AWS.Calls("AssumeRole"),
		"GetCallerIdentity":         b.AWS.Calls("GetCallerIdentity"),
		"token":                     b.Google.Calls("token"),
		"generateAccessToken":       b.Google.Calls("generateAccessToken"),
		"generateIdToken":           b.Google.Calls("generateIdToken"),
	}
}

// due is when an identity makes its next exchange.
func (b *bubble) due(name string) time.Duration { return b.identities[name].Status().Next }

// until lets time pass, at most a day, until something is the case. It looks every step.
func (b *bubble) until(what string, step time.Duration, ok func() bool) {
	b.Helper()
	for begin := time.Now(); !ok(); time.Sleep(step) {
		if time.Since(begin) > 24*time.Hour {
			b.Fatalf("%s: has not happened in a day", what)
		}
	}
}

// settle waits for a moment without an exchange under way.
func (b *bubble) settle() {
	b.Helper()
	b.until("a quiet moment", time.Second, func() bool {
		for _, identity := range b.identities {
			if identity.Status().Flying {
				return false
			}
		}
		return true
	})
}

// fresh reports whether these identities have credentials and nothing has failed since they came.
func (b *bubble) fresh(names ...string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return b.identities[name].Status().State != refresher.Fresh })
}
