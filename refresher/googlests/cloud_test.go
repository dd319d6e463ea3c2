package googlests_test

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/awssts"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// TestAgainstAStrictGoogle runs both forms of federation against services that verify everything.
func TestAgainstAStrictGoogle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newIssuer())
		cloud, token := w.google, w.mint(cloudtest.TokenOptions{})
		newExchanger := func(o googlests.Options) *googlests.Exchanger {
			o.Audience = audience
			return w.exchanger(o)
		}
		provider := w.provider()
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

func TestDelegatesAgainstAStrictGoogle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const first, second = "outer-step@acme-prod.iam.gserviceaccount.com", "inner-step@acme-prod.iam.gserviceaccount.com"
		w := newWorld(t, newIssuer())
		w.google.PutServiceAccount(cloudtest.ServiceAccount{Email: first, Impersonators: []string{workload}})
		w.google.PutServiceAccount(cloudtest.ServiceAccount{Email: second, Impersonators: []string{"serviceAccount:" + first}})
		w.google.PutServiceAccount(cloudtest.ServiceAccount{Email: account, Impersonators: []string{"serviceAccount:" + second}})

		chain := func(delegates ...string) googlests.Options {
			return googlests.Options{ServiceAccount: account, Delegates: delegates}
		}
		if got, want := w.principal(chain(first, second), w.mint(cloudtest.TokenOptions{})), "serviceAccount:"+account; got != want {
			t.Errorf("through two delegates the token stands for %q, want %q", got, want)
		}
		id, err := w.exchanger(chain(first, second)).
			Exchange(t.Context(), w.mint(cloudtest.TokenOptions{}), refresher.Target{Audience: "https://app.example"})
		if err != nil {
			t.Fatal(err)
		}
		claims, err := refresher.ParseClaims(id.Value.(refresher.Bearer).Token)
		if err != nil {
			t.Fatal(err)
		}

		// Accounts can be named by number, which is the subject of their ID tokens.
		numeric := chain(first, second)
		numeric.ServiceAccount = claims.Subject
		if got, want := w.principal(numeric, w.mint(cloudtest.TokenOptions{})), "serviceAccount:"+account; got != want {
			t.Errorf("account %s is %q, want %q", claims.Subject, got, want)
		}

		for name, o := range map[string]googlests.Options{
			"no delegates":       chain(),
			"half of them":       chain(first),
			"the other half":     chain(second),
			"in the wrong order": chain(second, first),
		} {
			_, err := w.exchanger(o).Exchange(t.Context(), w.mint(cloudtest.TokenOptions{}), refresher.Target{})
			if e := refresher.AsError(err); e == nil || e.Class != refresher.Settling || e.Code != "PERMISSION_DENIED" {
				t.Errorf("%s: error = %v, want settling PERMISSION_DENIED", name, err)
			}
		}
	})
}

func TestWorkforceAgainstAStrictGoogle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const somebody = "principal://iam.googleapis.com/locations/global/workforcePools/staff-pool/subject/system:serviceaccount:reports:runner"
		w := newWorld(t, newIssuer())
		w.google.PutProvider(cloudtest.PoolProvider{
			Name: strings.TrimPrefix(workforce, "//iam.googleapis.com/"), Issuer: w.issuer.URL(), AllowedAudiences: []string{"staff-app"},
		})
		w.google.PutProject(cloudtest.Project{ID: "acme-tools", Number: "987654321", Consumers: []string{somebody}})
		w.google.PutProject(cloudtest.Project{ID: "acme-prod"})
		token := w.mint(cloudtest.TokenOptions{Audience: []string{"staff-app"}})

		for name, o := range map[string]googlests.Options{
			"user project":            {Audience: workforce, UserProject: "acme-tools"},
			"user project by number":  {Audience: workforce, UserProject: "987654321"},
			"client":                  {Audience: workforce, ClientID: "app", ClientSecret: "open sesame"},
			"client and user project": {Audience: workforce, ClientID: "app", ClientSecret: "open sesame", UserProject: "acme-prod"},
		} {
			if got := w.principal(o, token); got != somebody {
				t.Errorf("%s: the token stands for %q, want %q", name, got, somebody)
			}
			billed := o.UserProject
			if o.ClientID != "" {
				billed = ""
			}
			if got := w.google.BilledTo("token"); got != billed {
				t.Errorf("%s: user project = %q, want %q", name, got, billed)
			}
		}
	})
}

// A cluster of a GKE fleet, on AWS or anywhere else, has its fleet's pool, and is named by its membership.
func TestFleetAgainstAStrictGoogle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			pool     = "acme-fleet.svc.id.goog"
			cluster  = "identitynamespace:" + pool + ":https://gkehub.googleapis.com/projects/acme-fleet/locations/global/memberships/on-aws"
			somebody = "serviceAccount:" + pool + "[reports/runner]"
		)
		w := newWorld(t, newIssuer())
		w.google.PutProvider(cloudtest.PoolProvider{Name: cluster, Issuer: w.issuer.URL()})
		w.google.PutServiceAccount(cloudtest.ServiceAccount{Email: account, Impersonators: []string{somebody}})
		token := w.mint(cloudtest.TokenOptions{Audience: []string{googlests.FleetPool(cluster)}})
		if got := w.principal(googlests.Options{Audience: cluster}, token); got != somebody {
			t.Errorf("the federated token stands for %q, want %q", got, somebody)
		}
		if got := w.principal(googlests.Options{Audience: cluster, ServiceAccount: account}, token); got != "serviceAccount:"+account {
			t.Errorf("the access token stands for %q, want the account", got)
		}
		w.google.PutServiceAccount(cloudtest.ServiceAccount{Email: account})
		_, err := w.exchanger(googlests.Options{Audience: cluster, ServiceAccount: account}).Exchange(t.Context(), token, refresher.Target{})
		if e := refresher.AsError(err); e == nil || !strings.Contains(e.Hint, somebody) {
			t.Errorf("error = %v, hint %q; want one that names %s", err, e.Hint, somebody)
		}
		_, err = w.exchanger(googlests.Options{Audience: cluster}).Exchange(t.Context(), w.mint(cloudtest.TokenOptions{}), refresher.Target{})
		if e := refresher.AsError(err); e == nil || e.Code != "invalid_grant" || e.Class != refresher.Denied {
			t.Errorf("with a token for another pool: %v, want invalid_grant, denied", err)
		}
	})
}

func TestQuotaProjectAgainstAStrictGoogle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newIssuer())
		w.google.PutProject(cloudtest.Project{ID: "acme-billing", Consumers: []string{workload}})
		o := googlests.Options{ServiceAccount: account, QuotaProject: "acme-billing"}
		w.principal(o, w.mint(cloudtest.TokenOptions{}))
		if got := w.google.BilledTo("generateAccessToken"); got != "acme-billing" {
			t.Errorf("impersonation is billed to %q, want acme-billing", got)
		}
		if got := w.google.BilledTo("token"); got != "" {
			t.Errorf("the token exchange is billed to %q, want the pool's own project", got)
		}
		_, err := w.exchanger(o).Exchange(t.Context(), w.mint(cloudtest.TokenOptions{}), refresher.Target{Audience: "https://app.example"})
		if err != nil || w.google.BilledTo("generateIdToken") != "acme-billing" {
			t.Errorf("ID token = %v, billed to %q, want acme-billing", err, w.google.BilledTo("generateIdToken"))
		}
	})
}

func TestLongLifetimesAgainstAStrictGoogle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newIssuer())
		w.google.PutServiceAccount(cloudtest.ServiceAccount{Email: account, Impersonators: []string{workload}, ExtendedLifetime: true})
		for _, lifetime := range []time.Duration{10 * time.Minute, time.Hour, 12 * time.Hour} {
			x := w.exchanger(googlests.Options{ServiceAccount: account, Lifetime: lifetime})
			c, err := x.Exchange(t.Context(), w.mint(cloudtest.TokenOptions{}), refresher.Target{})
			if err != nil {
				t.Fatal(err)
			}
			if got := time.Until(c.Expires).Round(time.Second); got != lifetime {
				t.Errorf("the access token lives for %v, want %v", got, lifetime)
			}
		}
	})
}

func TestUniverseAgainstAStrictGoogle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newIssuer())
		w.net = cloudtest.NewNetwork() // where nobody answers for googleapis.com
		w.net.Handle("sts.cloud.example", w.google)
		w.net.Handle("iamcredentials.cloud.example", w.google)
		var err error
		if w.transport, err = upstream.New(upstream.Options{Base: w.net}); err != nil {
			t.Fatal(err)
		}
		o := googlests.Options{UniverseDomain: "cloud.example", ServiceAccount: account}
		if got, want := w.principal(o, w.mint(cloudtest.TokenOptions{})), "serviceAccount:"+account; got != want {
			t.Errorf("the token stands for %q, want %q", got, want)
		}
	})
}

// ofIdP is a provider that trusts a SAML identity provider.
func ofIdP(name string, idp *cloudtest.SAMLIdP) cloudtest.PoolProvider {
	return cloudtest.PoolProvider{
		Name: name, SAMLEntityID: idp.EntityID(), SAMLCertificates: []*x509.Certificate{idp.Certificate()},
	}
}

func TestSAMLAgainstAStrictGoogle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, newIssuer())
		idp := cloudtest.NewSAMLIdP(cloudtest.SAMLOptions{EntityID: "https://idp.example.test"})
		w.google.PutProvider(ofIdP(w.provider().Name, idp))
		token := refresher.Token{
			Type: refresher.TypeSAML2,
			Raw:  refresher.Secret(idp.Mint(cloudtest.SAMLTokenOptions{NameID: "runner", Audience: "https:" + audience})),
		}
		const want = "principal://iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/clusters/subject/runner"
		if got := w.principal(googlests.Options{}, token); got != want {
			t.Errorf("the token stands for %q, want %q", got, want)
		}
	})
}

// TestSignedAWSRequestAgainstStrictClouds shows Google a request that only AWS can judge.
func TestSignedAWSRequestAgainstStrictClouds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const awsAccount, role = "123456789012", "arn:aws:iam::123456789012:role/runner"
		w := newWorld(t, newIssuer())
		w.google.PutProvider(cloudtest.PoolProvider{Name: w.provider().Name, AWSAccount: awsAccount})
		w.net.Handle("sts.eu-west-1.amazonaws.com", cloudtest.NewAWS(cloudtest.AWSOptions{
			Transport: w.net,
			Providers: []cloudtest.OIDCProvider{{Account: awsAccount, Issuer: w.issuer.URL(), Audiences: []string{"sts.amazonaws.com"}}},
			Roles:     []cloudtest.Role{{ARN: role, Issuer: w.issuer.URL(), Subjects: []string{"*"}}},
		}))
		amazon, err := awssts.New(awssts.Options{RoleARN: role, Region: "eu-west-1", SessionName: "runner-0", Transport: w.transport})
		if err != nil {
			t.Fatal(err)
		}
		c, err := amazon.Exchange(t.Context(), w.mint(cloudtest.TokenOptions{Audience: []string{"sts.amazonaws.com"}}), refresher.Target{})
		if err != nil {
			t.Fatal(err)
		}
		token := refresher.Token{Type: refresher.TypeAWSRequest, Raw: signedIdentity(t, c.Value.(refresher.AccessKey))}

		const want = "principal://iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/clusters/subject/arn:aws:sts::123456789012:assumed-role/runner/runner-0"
		if got := w.principal(googlests.Options{}, token); got != want {
			t.Errorf("the token stands for %q, want %q", got, want)
		}
		time.Sleep(16 * time.Minute)
		_, err = w.exchanger(googlests.Options{}).Exchange(t.Context(), token, refresher.Target{})
		check(t, err, refresher.SubjectToken, "invalid_grant", "token exchange")
		checkHint(t, err, []string{"15 minutes", "clock"})
	})
}

// signedIdentity is a signed request for GetCallerIdentity, as Google takes it.
func signedIdentity(t *testing.T, key refresher.AccessKey) refresher.Secret {
	t.Helper()
	const sha256OfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"https://sts.eu-west-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Goog-Cloud-Target-Resource", audience)
	credentials := aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret.Reveal(), SessionToken: key.SessionToken.Reveal()}
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, r, sha256OfNothing, "sts", "eu-west-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	headers := []map[string]string{{"key": "host", "value": r.URL.Host}}
	for name, values := range r.Header {
		headers = append(headers, map[string]string{"key": strings.ToLower(name), "value": values[0]})
	}
	text, err := json.Marshal(map[string]any{"url": r.URL.String(), "method": r.Method, "headers": headers})
	if err != nil {
		t.Fatal(err)
	}
	return refresher.Secret(url.QueryEscape(string(text)))
}
