package agent_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/examples/pairs"
	"github.com/wisp-sidecar/wisp/refresher"
)

// newPairs makes the world of all pairs behind a socket.
func newPairs(t *testing.T) *pairs.World {
	t.Helper()
	var world *pairs.World
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { world.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	world, err := pairs.NewWorld(pairs.Options{URL: server.URL, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return world
}

// Whatever a workload can prove itself with becomes a credential of whatever cloud takes it, by
// configuration alone.
func TestPairs(t *testing.T) {
	world := newPairs(t)
	environ, err := world.Environ()
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range world.Pairs() {
		t.Run(pair.Name, func(t *testing.T) {
			t.Parallel()
			c, err := agent.Parse(pair.Name, []byte("upstream: {allowInsecureLoopback: true}\nidentities:\n"+pair.Identities))
			if err != nil {
				t.Fatalf("%v\n%s", err, pair.Identities)
			}
			a, err := agent.New(c, agent.Options{Getenv: func(name string) string { return environ[name] }})
			if err != nil {
				t.Fatal(err)
			}
			group, ctx := errgroup.WithContext(t.Context())
			a.RunIdentities(ctx, group)
			identity, _ := a.Identity(pair.Name)
			credential, err := identity.Credential(ctx, refresher.Target{})
			if err != nil {
				t.Fatalf("no credential: %v (%s)", err, refresher.AsError(err).Hint)
			}
			if err := pair.Accepts(credential); err != nil {
				t.Error(err)
			}
			if left := time.Until(credential.Expires); left <= 0 {
				t.Errorf("the credential expires at %v", credential.Expires)
			}
		})
	}
}
