package googlests_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// TestAgainstAStrictGoogle runs both forms of federation against services that verify everything.
func TestAgainstAStrictGoogle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := cloudtest.NewNetwork()
		issuer := cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: "https://oidc.example.test"})
		provider := cloudtest.PoolProvider{
			Name:   strings.TrimPrefix(audience, "//iam.googleapis.com/"),
			Issuer: issuer.URL(),
		}
		pool, _, _ := strings.Cut(audience, "/providers/")
		workload := "principal:" + pool + "/subject/system:serviceaccount:reports:runner"
		cloud := cloudtest.NewGoogle(cloudtest.GoogleOptions{
			Transport:       net,
			Providers:       []cloudtest.PoolProvider{provider},
			ServiceAccounts: []cloudtest.ServiceAccount{{Email: account, Impersonators: []string{workload}}},
		})
		net.Handle("oidc.example.test", issuer)
		net.Handle("sts.googleapis.com", cloud)
		net.Handle("iamcredentials.googleapis.com", cloud)
		token := refresher.Token{
			Type: refresher.TypeJWT,
			Raw: refresher.Secret(issuer.Mint(cloudtest.TokenOptions{
				Namespace: "reports", ServiceAccount: "runner", Audience: []string{"https:" + audience},
			})),
		}
		transport, err := upstream.New(upstream.Options{Base: net})
		if err != nil {
			t.Fatal(err)
		}
		newExchanger := func(o googlests.Options) *googlests.Exchanger {
			o.Audience, o.Transport = audience, transport
			x, err := googlests.New(o)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		direct := newExchanger(googlests.Options{})
		impersonating := newExchanger(googlests.Options{ServiceAccount: account, Lifetime: 30 * time.Minute})

		c, err := direct.Exchange(t.Context(), token, refresher.Target{})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := cloud.Principal(c.Value.(refresher.Bearer).Token.Reveal()); got != workload {
			t.Errorf("the federated token stands for %q, want %q", got, workload)
		}
		if left := time.Until(c.Expires); left < 59*time.Minute || left > time.Hour {
			t.Errorf("the federated token lives for %v, want an hour", left)
		}

		c, err = impersonating.Exchange(t.Context(), token, refresher.Target{})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := cloud.Principal(c.Value.(refresher.Bearer).Token.Reveal()); got != "serviceAccount:"+account {
			t.Errorf("the access token stands for %q, want the account", got)
		}
		if left := time.Until(c.Expires); left < 29*time.Minute || left > 30*time.Minute {
			t.Errorf("the access token lives for %v, want 30 min", left)
		}

		c, err = impersonating.Exchange(t.Context(), token, refresher.Target{Audience: "https://app.example"})
		if err != nil {
			t.Fatal(err)
		}
		claims, err := refresher.ParseClaims(c.Value.(refresher.Bearer).Token)
		if err != nil || len(claims.Audience) != 1 || claims.Audience[0] != "https://app.example" {
			t.Errorf("ID token is for %v (%v), want https://app.example", claims.Audience, err)
		}

		// What the services refuse is sorted, and the engine's record of the attempt is filled in.
		cloud.PutServiceAccount(cloudtest.ServiceAccount{Email: account})
		ctx, a := attempt(t)
		_, err = impersonating.Exchange(ctx, token, refresher.Target{})
		check(t, err, refresher.Settling, "PERMISSION_DENIED", "service account impersonation")
		if d := a.Data(); d.Status != 403 || d.Date.IsZero() {
			t.Errorf("attempt = %+v, want status 403 and a date", d)
		}
		provider.Disabled = true
		cloud.PutProvider(provider)
		_, err = direct.Exchange(t.Context(), token, refresher.Target{})
		check(t, err, refresher.Settling, "invalid_target", "token exchange")

		provider.Disabled, provider.AllowedAudiences = false, []string{"other"}
		cloud.PutProvider(provider)
		_, err = direct.Exchange(t.Context(), token, refresher.Target{})
		check(t, err, refresher.Denied, "invalid_grant", "token exchange")

		provider.AllowedAudiences = nil
		cloud.PutProvider(provider)
		time.Sleep(2 * time.Hour)
		_, err = direct.Exchange(t.Context(), token, refresher.Target{})
		check(t, err, refresher.SubjectToken, "invalid_grant", "token exchange")
	})
}
