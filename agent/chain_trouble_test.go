package agent_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// AWS is away for twenty minutes, and with it all that Google can ask about its callers. Both hops hold
// credentials of their own, so nobody notices, even if one of them is due right then.
func TestChainOutlastsOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		b.start(kubernetesAWSGoogle)
		b.started()
		for _, due := range []string{"aws", "google"} {
			// At the latest, a credential is due with 21 minutes left. The rest of this margin is for the next try
			// after the outage, a minute away at most, and for the half minute that nobody is given.
			const margin = 90 * time.Second
			b.until(due+" is due", time.Second, func() bool {
				return b.due(due) < margin+5*time.Second && min(b.due("aws"), b.due("google")) > margin
			})
			before := b.calls()
			b.AWS.Refuse(true)
			noticed := false
			pass := func() {
				time.Sleep(time.Second)
				b.mustRead("aws")
				b.mustRead("google")
				noticed = noticed || !b.fresh(due)
			}
			for begin := time.Now(); time.Since(begin) < 20*time.Minute; {
				pass()
			}
			if !noticed {
				t.Errorf("%s made no exchange during the outage", due)
			}
			b.AWS.Refuse(false)
			over := time.Now()
			for !b.fresh("aws", "google") {
				pass()
			}
			if took := time.Since(over); took > 121*time.Second {
				t.Errorf("recovered %v after the outage, when %s was due", took, due)
			}
			for name, n := range b.calls() {
				if n -= before[name]; n > 100 {
					t.Errorf("%d times %s in an outage of 20 minutes, when %s was due", n, name, due)
				}
			}
		}
		b.end()
	})
}

// The clouds are away when everything starts. Once they are back, the chain is complete: the later hops do
// not wait for their own next try.
func TestChainColdStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		for _, c := range chains {
			const within = 5 * time.Second
			b.coldStart(c.document)
			back := time.Now()
			first, last := c.hops[0].identity, c.hops[len(c.hops)-1].identity
			b.until(first+" starts", 100*time.Millisecond, func() bool { return b.fresh(first) })
			if took := time.Since(back); took > 63*time.Second {
				t.Errorf("%s: %s has a credential %v after the clouds came back", c.name, first, took)
			}
			b.wantSoonAfter(first, last, within)
			b.end()
		}
	})
}

// coldStart starts identities five minutes before there is any cloud.
func (b *bubble) coldStart(document string) {
	b.Helper()
	b.AWS.Refuse(true)
	b.Google.Refuse(true)
	b.start(document)
	time.Sleep(5 * time.Minute)
	b.AWS.Refuse(false)
	b.Google.Refuse(false)
}

// wantSoonAfter waits for the last hop, the first one having recovered just now.
func (b *bubble) wantSoonAfter(first, last string, within time.Duration) {
	b.Helper()
	recovered := time.Now()
	b.until(last+" recovers", 100*time.Millisecond, func() bool { return b.fresh(last) })
	if took := time.Since(recovered); took > within {
		b.Errorf("%s: has a credential %v after %s, want one within %v", last, took, first, within)
	}
}

// What the chains are permitted by.
var (
	trustedRole = cloudtest.Role{
		ARN: "arn:aws:iam::123456789012:role/kubernetes", Issuer: "https://oidc.example", Subjects: []string{workload},
	}
	trustedAccount = cloudtest.ServiceAccount{
		Email:         "reports@shop-prod.iam.gserviceaccount.com",
		Impersonators: []string{"principalSet://iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/shop/*"},
	}
)

// Somebody takes away what the first hop is permitted by, and two hours later gives it back. Each hop
// serves what it has to its end; then the last one says whom it waits for and what to do about that, and
// asks its own cloud for nothing; and it is back right after the first.
func TestChainDenied(t *testing.T) {
	for _, c := range []struct {
		name     string
		document string
		hops     []string
		deny     func(b *bubble)
		permit   func(b *bubble)
		asks     string        // the call that the last hop makes of its own cloud
		within   time.Duration // after the first hop the last one is back
	}{
		{
			"AWS, before Google", kubernetesAWSGoogle, []string{"aws", "google"},
			func(b *bubble) { b.AWS.PutRole(cloudtest.Role{ARN: trustedRole.ARN}) },
			func(b *bubble) { b.AWS.PutRole(trustedRole) },
			"token", 5 * time.Second,
		},
		{
			"Google, before AWS", azureGoogleAWS, []string{"google", "aws"},
			func(b *bubble) { b.Google.PutServiceAccount(cloudtest.ServiceAccount{Email: trustedAccount.Email}) },
			func(b *bubble) { b.Google.PutServiceAccount(trustedAccount) },
			"AssumeRoleWithWebIdentity", 5 * time.Second,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				first, last := c.hops[0], c.hops[1]
				b := newBubble(t)
				b.start(c.document)
				b.started()
				b.until(first+" is due", time.Second, func() bool { return b.due(first) < time.Minute })

				begin := time.Now()
				c.deny(b)
				ends := map[string]time.Time{}
				lost := map[string]error{}
				asked := 0
				for ; time.Since(begin) < 2*time.Hour; time.Sleep(time.Second) {
					for _, name := range c.hops {
						credential, err := b.read(name)
						// The expiry is that of the service, which the engine does not believe to the second.
						if left := time.Until(ends[name]); err != nil && left > 32*time.Second {
							t.Fatalf("%s, with %v left: %v", name, left, err)
						}
						switch {
						case err == nil && lost[name] != nil:
							t.Fatalf("%s has a credential again, from a cloud that denies it", name)
						case err == nil:
							ends[name] = credential.Expires
						case name == first && lost[first] == nil:
							asked = b.calls()[c.asks]
						}
						lost[name] = err
					}
				}
				if n := b.calls()[c.asks]; n != asked {
					t.Errorf("%s made %d exchanges without a subject token", last, n-asked)
				}
				var told strings.Builder
				for _, name := range c.hops {
					if lost[name] == nil {
						t.Fatalf("%s has a credential two hours after it was denied", name)
					}
					e := refresher.AsError(lost[name])
					fmt.Fprintf(&told, "%s: %s: %v\n\t%s\n", name, e.Class, e, e.Hint)
				}
				golden(t, filepath.Join("testdata", "chain", first+"-denied.golden"), told.String())

				c.permit(b)
				permitted := time.Now()
				b.until(first+" recovers", 100*time.Millisecond, func() bool { return b.fresh(first) })
				if took := time.Since(permitted); took > 452*time.Second {
					t.Errorf("%s: recovered %v after it was permitted", first, took)
				}
				b.wantSoonAfter(first, last, c.within)
				b.end()
			})
		})
	}
}

// A chain by ID token is back soon after its first hop, as all chains are. The tokens are another target of
// the first hop, with a schedule of its own.
func TestChainOfIDTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		google := func() bool { return b.fresh("google") }
		for range 20 {
			b.coldStart(azureGoogleAWS)
			b.until("google starts", 100*time.Millisecond, google)
			b.wantSoonAfter("google", "aws", 5*time.Second)

			b.Google.PutServiceAccount(cloudtest.ServiceAccount{Email: trustedAccount.Email})
			time.Sleep(2 * time.Hour)
			b.Google.PutServiceAccount(trustedAccount)
			b.until("google recovers", 100*time.Millisecond, google)
			b.wantSoonAfter("google", "aws", 5*time.Second)
			b.end()
		}
	})
}

// An issuer's keys are replaced, and the old ones withdrawn, while a token that they signed is on its way.
// AWS cannot verify it; the next try has a new token, and nobody has noticed.
func TestChainKeyRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		b.start(kubernetesAWSGoogle)
		b.started()
		for range 2 {
			b.until("aws makes an exchange", 50*time.Millisecond, func() bool { return b.identities["aws"].Status().Flying })
			before := b.calls()
			b.Kubernetes.Rotate()
			b.Kubernetes.Forget()
			rotated := time.Now()
			time.Sleep(time.Second)
			b.until("aws recovers", time.Second, func() bool {
				b.mustRead("aws")
				b.mustRead("google")
				return b.fresh("aws")
			})
			if took := time.Since(rotated); took > 122*time.Second {
				t.Errorf("recovered %v after the rotation", took)
			}
			if n := b.calls()["AssumeRoleWithWebIdentity"] - before["AssumeRoleWithWebIdentity"]; n != 1 {
				t.Errorf("recovered by %d exchanges, want 1", n)
			}
		}
		b.end()
	})
}

// Whatever a chain is doing, it ends at once and asks nobody for anything any more.
func TestChainEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t)
		for _, c := range chains {
			for _, after := range []time.Duration{
				0,                       // nothing is answered yet
				100 * time.Millisecond,  // the first hop makes its exchange, and the second waits for that
				400 * time.Millisecond,  // the second call is under way
				900 * time.Millisecond,  // the third
				1500 * time.Millisecond, // everything is there, or almost
				5 * time.Hour,           // everything is there, and was renewed
			} {
				b.start(c.document)
				time.Sleep(after)
				b.end()
				before := b.calls()
				time.Sleep(time.Hour)
				if diff := cmp.Diff(before, b.calls()); diff != "" {
					t.Errorf("%s: calls after the end, which came %v after the start (-want +got):\n%s", c.name, after, diff)
				}
			}
		}
	})
}
