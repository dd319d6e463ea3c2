package cloudtest_test

import (
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

func TestGoogleTakesSAML(t *testing.T) {
	first := newWorld(t)
	idp := newSAMLIdP(first.hand)
	const saml2 = "urn:ietf:params:oauth:token-type:saml2"
	type options = cloudtest.SAMLTokenOptions
	for _, c := range []struct {
		name      string
		o         options
		tokenType string
		subject   func(map[string]any) string
		want      string // the principal's subject, or "error: description"
		refused   bool
	}{
		{"a Response for the provider", options{Audience: "https:" + audience}, saml2, nil, "reports", false},
		{"an audience without https:", options{Audience: audience, Bare: true}, saml2, nil, "reports", false},
		{
			"a mapping of its own", options{Audience: audience, Attributes: map[string][]string{"mail": {"x@example.test"}}}, saml2,
			func(claims map[string]any) string { return claims["attributes"].(map[string][]string)["mail"][0] }, "x@example.test", false,
		},
		{"for another provider", options{Audience: "https:" + audience + "s"}, saml2, nil, `invalid_grant: Invalid SAML response: the Assertion: an AudienceRestriction is for ["https:` + audience + `s"].`, true},
		{"tampered with", options{Audience: audience, Tampered: true}, saml2, nil, "invalid_grant: Invalid SAML response: the Assertion: the Signature does not verify", true},
		{"called a JWT", options{Audience: audience}, "urn:ietf:params:oauth:token-type:jwt", nil, `invalid_request: Invalid value for "subject_token_type": the identity provider does not take this type.`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			g := newGoogle(w)
			g.PutProvider(cloudtest.PoolProvider{
				Name: provider, SAMLEntityID: samlEntity, SAMLCertificates: []*x509.Certificate{idp.Certificate()}, Subject: c.subject,
			})
			form := w.exchangeForm()
			form["subject_token_type"], form["subject_token"] = c.tokenType, idp.Mint(c.o)
			answer, body := w.postForm(tokenURL, form)
			if c.refused {
				checkOAuth(w, c.want, http.StatusBadRequest)(answer, body)
				return
			}
			want := "principal://iam.googleapis.com/" + pool + "/subject/" + c.want
			if got, _ := g.Principal(field(w, body, "access_token")); got != want {
				t.Errorf("answer = %s %s for %q, want a token for %q", answer.Status, body, got, want)
			}
		})
	}
}

func TestFederatedTokenDoesNotOutliveItsAssertion(t *testing.T) {
	w := newWorld(t)
	idp := newSAMLIdP(w.hand)
	g := newGoogle(w)
	g.PutProvider(cloudtest.PoolProvider{Name: provider, SAMLEntityID: samlEntity, SAMLCertificates: []*x509.Certificate{idp.Certificate()}})
	form := w.exchangeForm()
	form["subject_token_type"] = "urn:ietf:params:oauth:token-type:saml2"
	form["subject_token"] = idp.Mint(cloudtest.SAMLTokenOptions{Audience: audience, Lifetime: 10 * time.Minute})
	_, body := w.postForm(tokenURL, form)
	token := field(w, body, "access_token")
	w.now = w.now.Add(10*time.Minute - time.Second)
	if !g.Valid(token) {
		t.Error("Valid a second before the assertion ends = false, want true")
	}
	w.now = w.now.Add(time.Second)
	if g.Valid(token) {
		t.Error("Valid when the assertion has ended = true, want false")
	}
}

func TestPoolProviderTrustsOneThing(t *testing.T) {
	for name, p := range map[string]cloudtest.PoolProvider{
		"nothing":            {Name: provider},
		"an issuer and SAML": {Name: provider, Issuer: issuerURL, SAMLEntityID: samlEntity},
		"AWS and SAML":       {Name: provider, AWSAccount: "123456789012", SAMLEntityID: samlEntity},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("NewGoogle does not panic")
				}
			}()
			cloudtest.NewGoogle(cloudtest.GoogleOptions{Providers: []cloudtest.PoolProvider{p}})
		})
	}
}
