package entra_test

import (
	"cmp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/entra"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// A world has services that verify everything, in the time of the bubble that it is made in.
type world struct {
	*testing.T
	issuer    *cloudtest.Issuer
	entra     *cloudtest.Entra
	transport *upstream.Transport
}

// newIssuer makes keys, which takes most of a test's time.
func newIssuer() *cloudtest.Issuer {
	return cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: "https://oidc.example.test"})
}

// newWorld knows one application, which trusts what mint makes, in a tenant that has a domain.
func newWorld(t *testing.T, issuer *cloudtest.Issuer) *world {
	t.Helper()
	net := cloudtest.NewNetwork()
	w := &world{T: t, issuer: issuer}
	w.entra = cloudtest.NewEntra(cloudtest.EntraOptions{
		Transport: net,
		Apps:      []cloudtest.App{w.app(issuer.URL())},
		Domains:   map[string]string{"contoso.onmicrosoft.com": tenant},
		Lifetime:  75 * time.Minute,
	})
	net.Handle("oidc.example.test", issuer)
	net.Handle("login.microsoftonline.com", w.entra)
	var err error
	if w.transport, err = upstream.New(upstream.Options{Base: net}); err != nil {
		t.Fatal(err)
	}
	return w
}

// app is the application, with an issuer to trust.
func (w *world) app(issuer string) cloudtest.App {
	return cloudtest.App{TenantID: tenant, ClientID: client, Credentials: []cloudtest.FederatedCredential{{
		Issuer: issuer, Subject: "system:serviceaccount:reports:runner", Audience: "api://AzureADTokenExchange",
	}}}
}

// mint fills in what is right for the application.
func (w *world) mint(o cloudtest.TokenOptions) refresher.Secret {
	if o.Audience == nil {
		o.Audience = []string{"api://AzureADTokenExchange"}
	}
	o.Namespace, o.ServiceAccount = "reports", cmp.Or(o.ServiceAccount, "runner")
	return refresher.Secret(w.issuer.Mint(o))
}

func (w *world) exchanger(change func(*entra.Options)) *entra.Exchanger {
	w.Helper()
	o := entra.Options{TenantID: tenant, ClientID: client, Transport: w.transport}
	if change != nil {
		change(&o)
	}
	x, err := entra.New(o)
	if err != nil {
		w.Fatal(err)
	}
	return x
}

func TestAgainstAStrictEntra(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newIssuer())
		cloud, x := w.entra, w.exchanger(nil)
		token := refresher.Token{Raw: w.mint(cloudtest.TokenOptions{}), Type: refresher.TypeJWT}

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

		cloud.PutApp(w.app("https://oidc.example.test/"))
		refused(refresher.Settling, "AADSTS700211", refresher.Target{})

		cloud.PutApp(w.app(w.issuer.URL()))
		cloud.Inject(cloudtest.Fault{Throttle: true, RetryAfter: time.Minute, Times: 1})
		refused(refresher.Throttled, "AADSTS90055", refresher.Target{})
		if d := a.Data(); d.Status != 429 || d.RetryAfter != time.Minute || d.RequestID == "" {
			t.Errorf("attempt = %+v, want status 429, Retry-After 60 s and a request id", d)
		}

		time.Sleep(2 * time.Hour)
		refused(refresher.SubjectToken, "AADSTS700024", refresher.Target{})
	})
}

// TestApplicationsShareATransport holds that each of several applications, in several tenants, gets tokens of its
// own over one transport.
func TestApplicationsShareATransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const otherClient = "77777777-7777-8888-9999-aaaaaaaaaaaa"
		w := newWorld(t, newIssuer())
		second, third := w.app(w.issuer.URL()), w.app(w.issuer.URL())
		second.ClientID = otherClient
		third.TenantID = otherTenant
		w.entra.PutApp(second)
		w.entra.PutApp(third)
		token := refresher.Token{Raw: w.mint(cloudtest.TokenOptions{}), Type: refresher.TypeJWT}

		for _, app := range []cloudtest.App{w.app(""), second, third} {
			x := w.exchanger(func(o *entra.Options) {
				o.TenantID, o.ClientID, o.ExpectedTenantID = app.TenantID, app.ClientID, app.TenantID
			})
			c, err := x.Exchange(t.Context(), token, refresher.Target{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := w.entra.Validate(c.Value.(refresher.Bearer).Token.Reveal())
			if err != nil || got.ClientID != app.ClientID || got.TenantID != app.TenantID {
				t.Errorf("token = %+v (%v), want one of client %s in tenant %s", got, err, app.ClientID, app.TenantID)
			}
		}
	})
}

func TestExpectedTenantOfADomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newIssuer())
		token := refresher.Token{Raw: w.mint(cloudtest.TokenOptions{}), Type: refresher.TypeJWT}
		for expected, code := range map[string]string{tenant: "", otherTenant: entra.CodeTenantMismatch} {
			x := w.exchanger(func(o *entra.Options) { o.TenantID, o.ExpectedTenantID = "Contoso.onmicrosoft.com", expected })
			_, err := x.Exchange(t.Context(), token, refresher.Target{})
			if e := refresher.AsError(err); (code == "") != (e == nil) || e != nil && e.Code != code {
				t.Errorf("the domain's tenant, with %s expected: error = %v, want code %q", expected, err, code)
			}
		}
	})
}
