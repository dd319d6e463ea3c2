package cluster_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A cluster changes from one mode to the other by a second release, and no Pod gets in without wisp meanwhile. What one
// release has injected the other one leaves as it is, though it would do so with another image.
func TestChangeOfMode(t *testing.T) {
	c := clusterOf(t, webhookMode)
	image := c.install(t, tableValues(t))
	old, err := c.create(t.Context(), "canary", canary())
	must(t, err)

	second := maps.Clone(tableValues(t))
	second["mode"], second["image"] = policyMode, map[string]any{"repository": "wisp", "tag": "second"}
	ended := c.neverWithout(t)
	c.runHelm(t, "install", "wisp-second", "../../charts/wisp", "--values", c.write(t, "second.json", second))
	// The policy comes before webhooks.
	c.await(t, "the second release", func(ctx context.Context) error { return c.injectsWith(ctx, "wisp:second") })
	c.uninstall(t)
	var again []byte
	c.await(t, "the end of the first release", func(ctx context.Context) (err error) {
		again, err = c.create(ctx, "canary", fresh(t, old)) // refused as long as the server knows a webhook that is no more
		return err
	})
	if d := cmp.Diff(string(compact(t, old)), string(compact(t, again))); d != "" || sidecar(again) != image {
		t.Errorf("a Pod of the first release, now (-) and under the second one:\n%s", d)
	}
	ended()

	ended = c.neverWithout(t)
	image = c.deploy(t, tableValues(t))
	c.runHelm(t, "uninstall", "wisp-second")
	c.await(t, "the end of the second release", func(ctx context.Context) error { return c.injectsWith(ctx, image) })
	ended()
}

// neverWithout makes Pods until ended is called, none of which may get in without wisp. They may be refused. It returns when the
// first one has got in.
func (c *cluster) neverWithout(t *testing.T) (ended func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	first, done := make(chan struct{}), make(chan struct{})
	made, without := 0, 0
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			pod, err := c.create(ctx, "canary", canary())
			if err != nil {
				continue
			}
			if made++; made == 1 {
				close(first)
			}
			if sidecar(pod) == "" {
				without++
			}
		}
	}()
	t.Cleanup(func() { stop(); <-done })
	select {
	case <-first:
	case <-time.After(2 * time.Minute):
		t.Fatal("no Pod gets in")
	}
	return func() {
		t.Helper()
		stop()
		<-done
		if without > 0 {
			t.Errorf("%d of %d Pods got in without wisp", without, made)
		}
	}
}
