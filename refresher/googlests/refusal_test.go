package googlests_test

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
)

// A refused exchange is right but for one thing.
type refused struct {
	name    string
	token   cloudtest.TokenOptions
	options googlests.Options
	target  refresher.Target
	raw     refresher.Token // instead of one that is minted
	cloud   func(*world)
}

// provide changes the provider.
func provide(change func(*cloudtest.PoolProvider)) func(*world) {
	return func(w *world) {
		p := w.provider()
		change(&p)
		w.google.PutProvider(p)
	}
}

// says makes the token service refuse with invalid_grant, in words that the fakes may not have.
func says(text string) func(*world) {
	return func(w *world) {
		w.google.Inject(cloudtest.Fault{
			Operation: "token", Status: http.StatusBadRequest, Body: oauthError("invalid_grant", text),
			Header: http.Header{"Content-Type": {"application/json"}},
		})
	}
}

func projects(consumers ...string) func(*world) {
	return func(w *world) {
		w.google.PutProject(cloudtest.Project{ID: "acme-billing", Consumers: consumers})
	}
}

func staff(w *world) {
	w.google.PutProvider(cloudtest.PoolProvider{
		Name: strings.TrimPrefix(workforce, "//iam.googleapis.com/"), Issuer: w.issuer.URL(),
		AllowedAudiences: []string{"https:" + audience},
	})
	projects()(w)
}

func refusals() []refused {
	type token = cloudtest.TokenOptions
	type options = googlests.Options
	impersonating := options{ServiceAccount: account}
	idp := cloudtest.NewSAMLIdP(cloudtest.SAMLOptions{EntityID: "https://idp.example.test"})
	saml := provide(func(p *cloudtest.PoolProvider) { *p = ofIdP(p.Name, idp) })
	assertion := func(o cloudtest.SAMLTokenOptions) refresher.Token {
		o.Audience = cmp.Or(o.Audience, "https:"+audience)
		return refresher.Token{Raw: refresher.Secret(idp.Mint(o)), Type: refresher.TypeSAML2}
	}
	signed := refresher.Token{Raw: "%7B%7D", Type: refresher.TypeAWSRequest}
	return []refused{
		{name: "token that expired", token: token{Issued: time.Now().Add(-2 * time.Hour)}},
		{name: "token from the future", token: token{Issued: time.Now().Add(time.Hour)}},
		{name: "token of more than a day", token: token{Lifetime: 25 * time.Hour}},
		{name: "token without exp", token: token{Claims: map[string]any{"exp": nil}}},
		{name: "token without iat", token: token{Claims: map[string]any{"iat": nil}}},
		{name: "token for Kubernetes", token: token{Audience: []string{"https://kubernetes.default.svc"}}},
		{name: "token for the default audience, of a provider that has its own", cloud: provide(func(p *cloudtest.PoolProvider) { p.AllowedAudiences = []string{"acme"} })},
		{name: "token of another issuer", token: token{Claims: map[string]any{"iss": "https://oidc.example.test/"}}},
		{name: "token with an unknown key", token: token{KeyID: "k9"}},
		{name: "token with a bad signature", token: token{WrongKey: true}},
		{name: "token without a signature", token: token{Algorithm: "none"}},
		{name: "token signed with the public key as a secret", token: token{Algorithm: "HS256"}},
		{name: "token signed with RS384", token: token{Algorithm: "RS384"}},
		{name: "token that is no JWT", raw: refresher.Token{Raw: "opaque"}},
		{name: "token with a long subject", token: token{Claims: map[string]any{"sub": strings.Repeat("x", 128)}}},
		{name: "token that the attribute condition rejects", cloud: provide(func(p *cloudtest.PoolProvider) {
			p.Condition = func(map[string]any) bool { return false }
		})},
		{name: "issuer that does not answer", cloud: func(w *world) { w.issuer.Refuse(true) }},
		{name: "provider that is disabled", cloud: provide(func(p *cloudtest.PoolProvider) { p.Disabled = true })},
		{name: "provider that does not exist", options: options{Audience: audience + "s"}},
		{name: "token type that the provider does not take", options: options{SubjectTokenType: refresher.TypeAWSRequest}},
		{name: "scope that is none", options: options{Scopes: []string{"cloud-platform"}}},
		{name: "client that is unknown", options: options{ClientID: "app", ClientSecret: "wrong"}},
		{name: "workforce without a project", options: options{Audience: workforce}, cloud: staff},
		{name: "workforce that may not use the project", options: options{Audience: workforce, UserProject: "acme-billing"}, cloud: staff},

		{name: "assertion outside its time", raw: assertion(cloudtest.SAMLTokenOptions{Lifetime: -time.Minute}), cloud: saml},
		{name: "assertion for somebody else", raw: assertion(cloudtest.SAMLTokenOptions{Audience: "https://acme.example"}), cloud: saml},
		{name: "assertion of another identity provider", raw: assertion(cloudtest.SAMLTokenOptions{Issuer: "https://other.example"}), cloud: saml},
		{name: "assertion with a bad signature", raw: assertion(cloudtest.SAMLTokenOptions{WrongKey: true}), cloud: saml},
		{name: "assertion that is not base64", raw: refresher.Token{Raw: "<saml>", Type: refresher.TypeSAML2}, cloud: saml},
		{name: "assertion for a provider of JWTs", raw: assertion(cloudtest.SAMLTokenOptions{})},
		{name: "signed request that is too old", raw: signed, cloud: says("The header x-amz-date is not within the last 15 minutes.")},
		{name: "signed request for another provider", raw: signed, cloud: says("The header x-goog-cloud-target-resource does not name the provider.")},
		{name: "signed request of another account", raw: signed, cloud: says("The AWS account does not match the one of the identity provider.")},
		{name: "signed request that AWS refuses", raw: signed, cloud: says("Received invalid AWS response of type: 403 Forbidden")},

		{name: "token service that is throttled", cloud: func(w *world) { w.google.Inject(cloudtest.Fault{Operation: "token", Throttle: true}) }},
		{name: "token service that is down", cloud: func(w *world) { w.google.Inject(cloudtest.Fault{Operation: "token", Status: 503}) }},
		{name: "token service that breaks off", cloud: func(w *world) { w.google.Inject(cloudtest.Fault{Operation: "token", Malformed: true}) }},
		{name: "token service that refuses connections", cloud: func(w *world) { w.google.Refuse(true) }},

		{name: "account that may not be impersonated", options: impersonating, cloud: func(w *world) {
			w.google.PutServiceAccount(cloudtest.ServiceAccount{Email: account})
		}},
		{name: "account that may not be impersonated, for an ID token", options: impersonating, target: refresher.Target{Audience: "https://app.example"}, cloud: func(w *world) {
			w.google.PutServiceAccount(cloudtest.ServiceAccount{Email: account})
		}},
		{name: "account that does not exist", options: options{ServiceAccount: middle}},
		{name: "delegate that lacks the role", options: options{ServiceAccount: account, Delegates: []string{middle}}, cloud: func(w *world) {
			w.google.PutServiceAccount(cloudtest.ServiceAccount{Email: middle, Impersonators: []string{workload}})
		}},
		{name: "lifetime that the organization does not allow", options: options{ServiceAccount: account, Lifetime: 2 * time.Hour}},
		{name: "scope of the account that is none", options: options{ServiceAccount: account, Scopes: []string{"cloud-platform"}}},
		{name: "quota project that may not be used", options: options{ServiceAccount: account, QuotaProject: "acme-billing"}, cloud: projects("principal:somebody-else")},
		{name: "federated token that is refused", options: impersonating, cloud: func(w *world) {
			w.google.Inject(cloudtest.Fault{Operation: "generateAccessToken", Status: 401, Body: apiError(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", "")})
		}},
		{name: "IAM API that is disabled", options: impersonating, cloud: func(w *world) {
			w.google.Inject(cloudtest.Fault{Operation: "generateAccessToken", Status: 403, Body: apiError(403, "PERMISSION_DENIED", "IAM Service Account Credentials API has not been used in project 123456789 before or it is disabled.", `{"reason":"SERVICE_DISABLED"}`)})
		}},
		{name: "IAM API that is throttled", options: impersonating, cloud: func(w *world) {
			w.google.Inject(cloudtest.Fault{Operation: "generateAccessToken", Throttle: true})
		}},
		{name: "mesh in place of the IAM API", options: impersonating, cloud: func(w *world) {
			w.google.Inject(cloudtest.Fault{Operation: "generateAccessToken", Status: 403, Body: "RBAC: access denied"})
		}},
		{name: "ID token without an account", target: refresher.Target{Audience: "https://app.example"}},
	}
}

// TestRefusals shows what a reader gets to see of every wrong input.
func TestRefusals(t *testing.T) {
	issuer := newIssuer()
	var texts bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		for _, test := range refusals() {
			issuer.Clear()
			w := newWorld(t, issuer)
			token := test.raw
			if token.Raw == "" {
				token = w.mint(test.token)
			}
			if test.cloud != nil {
				test.cloud(w)
			}
			_, err := w.exchanger(test.options).Exchange(t.Context(), token, test.target)
			if err == nil {
				t.Errorf("%s: Exchange succeeded", test.name)
				continue
			}
			checkClean(t, err)
			e := refresher.AsError(err)
			fmt.Fprintf(&texts, "%s\n\t%s\n\t%s\n", test.name, e.Class, e)
			if e.Hint != "" {
				fmt.Fprintf(&texts, "\thint: %s\n", e.Hint)
			}
		}
	})
	checkGolden(t, "refusals", texts.Bytes())
}
