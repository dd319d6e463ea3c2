package entra_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/entra"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

func TestAgainstAStrictEntra(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := cloudtest.NewNetwork()
		issuer := cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: "https://oidc.example.test/"})
		app := cloudtest.App{
			TenantID: tenant, ClientID: client,
			Credentials: []cloudtest.FederatedCredential{{
				Issuer:   issuer.URL(),
				Subject:  "system:serviceaccount:reports:runner",
				Audience: "api://AzureADTokenExchange",
			}},
		}
		cloud := cloudtest.NewEntra(cloudtest.EntraOptions{
			Transport: net, Apps: []cloudtest.App{app}, Lifetime: 75 * time.Minute,
		})
		net.Handle("oidc.example.test", issuer)
		net.Handle("login.microsoftonline.com", cloud)
		token := refresher.Token{
			Type: refresher.TypeJWT,
			Raw: refresher.Secret(issuer.Mint(cloudtest.TokenOptions{
				Namespace: "reports", ServiceAccount: "runner", Audience: []string{"api://AzureADTokenExchange"},
			})),
		}
		transport, err := upstream.New(upstream.Options{Base: net})
		if err != nil {
			t.Fatal(err)
		}
		x, err := entra.New(entra.Options{TenantID: tenant, ClientID: client, Transport: transport})
		if err != nil {
			t.Fatal(err)
		}

		for scope, audience := range map[string]string{
			"":                                     "https://management.azure.com/",
			entra.Scope("https://vault.azure.net"): "https://vault.azure.net",
		} {
			c, err := x.Exchange(t.Context(), token, refresher.Target{Scope: scope})
			if err != nil {
				t.Fatal(err)
			}
			got, err := cloud.Validate(c.Value.(refresher.Bearer).Token.Reveal())
			if err != nil || got.Audience != audience || got.ClientID != client {
				t.Errorf("token for scope %q = %+v (%v), want audience %s", scope, got, err, audience)
			}
			if left := time.Until(c.Expires); left < 74*time.Minute || left > 75*time.Minute {
				t.Errorf("the token lives for %v, want 75 min", left)
			}
		}

		// What Entra refuses is sorted, and the engine's record of the attempt is filled in.
		a := new(refresher.Attempt)
		refused := func(class refresher.Class, code string, target refresher.Target) {
			t.Helper()
			_, err := x.Exchange(refresher.WithAttempt(t.Context(), a), token, target)
			if e := refresher.AsError(err); e == nil || e.Class != class || e.Code != code {
				t.Errorf("error = %v, want %v %s", err, class, code)
			}
		}
		refused(refresher.Denied, "AADSTS500011", refresher.Target{Scope: "https://unknown.example/.default"})
		refused(refresher.Denied, "AADSTS1002012", refresher.Target{Scope: "https://vault.azure.net"})

		app.Credentials[0].Issuer = "https://oidc.example.test"
		cloud.PutApp(app)
		refused(refresher.Settling, "AADSTS700211", refresher.Target{})

		app.Credentials[0].Issuer = issuer.URL()
		cloud.PutApp(app)
		cloud.Inject(cloudtest.Fault{Throttle: true, RetryAfter: time.Minute, Times: 1})
		refused(refresher.Throttled, "AADSTS90055", refresher.Target{})
		if d := a.Data(); d.Status != 429 || d.RetryAfter != time.Minute || d.RequestID == "" {
			t.Errorf("attempt = %+v, want status 429, Retry-After 60 s and a request id", d)
		}

		time.Sleep(2 * time.Hour)
		refused(refresher.SubjectToken, "AADSTS700024", refresher.Target{})
	})
}
