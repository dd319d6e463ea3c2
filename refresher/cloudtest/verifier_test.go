package cloudtest_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

func TestVerify(t *testing.T) {
	type options = cloudtest.TokenOptions
	trust := cloudtest.Trust{Issuer: issuerURL, Audiences: []string{"api://cloud", "other"}, MaxLifetime: 24 * time.Hour}
	claim := func(name string, value any) options {
		return options{Claims: map[string]any{name: value}}
	}
	first := newWorld(t)
	for _, c := range []struct {
		name  string
		token options
		want  cloudtest.Reason // 0: accepted
	}{
		{"a good RS256 token", options{}, 0},
		{"a good ES256 token", options{Algorithm: "ES256"}, 0},
		{"without kid any key may verify it", options{OmitKeyID: true}, 0},
		{"without kid an ES256 key may, too", options{OmitKeyID: true, Algorithm: "ES256"}, 0},
		{"one of several audiences is enough", options{Audience: []string{"x", "api://cloud"}}, 0},
		{"the audience may be a string", claim("aud", "other"), 0},
		{"24 hours are not too long", options{Lifetime: 24 * time.Hour}, 0},
		{"no algorithm", options{Algorithm: "none"}, cloudtest.UnsupportedAlgorithm},
		{"signed with the public key as HMAC secret", options{Algorithm: "HS256"}, cloudtest.UnsupportedAlgorithm},
		{"PS256", options{Algorithm: "PS256"}, cloudtest.UnsupportedAlgorithm},
		{"RS384", options{Algorithm: "RS384"}, cloudtest.UnsupportedAlgorithm},
		{"RS512", options{Algorithm: "RS512"}, cloudtest.UnsupportedAlgorithm},
		{"an unknown kid, though the key is right", options{KeyID: "nobody"}, cloudtest.UnknownKey},
		{"another key under the right kid", options{WrongKey: true}, cloudtest.BadSignature},
		{"another key and no kid", options{WrongKey: true, OmitKeyID: true}, cloudtest.BadSignature},
		{"no issuer", claim("iss", nil), cloudtest.MissingClaim},
		{"the issuer with a slash more", claim("iss", issuerURL+"/"), cloudtest.WrongIssuer},
		{"no audience", claim("aud", nil), cloudtest.MissingClaim},
		{"an empty audience", claim("aud", []string{}), cloudtest.MissingClaim},
		{"an audience of numbers", claim("aud", []int{1}), cloudtest.Malformed},
		{"another audience", options{Audience: []string{"sts.amazonaws.com"}}, cloudtest.WrongAudience},
		{"no expiry", claim("exp", nil), cloudtest.MissingClaim},
		{"an expiry that is a string", claim("exp", "1893456000"), cloudtest.MissingClaim},
		{"an expiry with a fraction", claim("exp", 1893456000.5), cloudtest.MissingClaim},
		{"expires this very second", options{Issued: start.Add(-time.Hour)}, cloudtest.Expired},
		{"no iat", claim("iat", nil), cloudtest.MissingClaim},
		{"issued in a second", claim("iat", start.Unix()+1), cloudtest.NotYetValid},
		{"valid in a second", claim("nbf", start.Unix()+1), cloudtest.NotYetValid},
		{"lives a second longer than a day", options{Lifetime: 24*time.Hour + time.Second}, cloudtest.LivesTooLong},
		{"no subject", claim("sub", nil), cloudtest.MissingClaim},
		{"an empty subject", claim("sub", ""), cloudtest.MissingClaim},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			if c.token.Audience == nil {
				c.token.Audience = []string{"api://cloud"}
			}
			verifier := cloudtest.NewVerifier(cloudtest.VerifierOptions{Transport: w.net, Now: w.clock})
			_, err := verifier.Verify(t.Context(), w.issuer.Mint(c.token), trust)
			checkReason(t, err, c.want)
		})
	}
}

func TestVerifyMalformed(t *testing.T) {
	w := newWorld(t)
	verifier := cloudtest.NewVerifier(cloudtest.VerifierOptions{Transport: w.net, Now: w.clock})
	good := w.issuer.Mint(cloudtest.TokenOptions{})
	for _, raw := range []string{
		"", "token", "a.b", "a.b.c", good + ".x", good + "=", " " + good, good + "\n",
		"bnVsbA.bnVsbA.c",            // null.null
		"e30.e30.c",                  // {}.{}
		"eyJhbGciOiJSUzI1NiJ9.W10.c", // an array of claims
	} {
		_, err := verifier.Verify(t.Context(), raw, cloudtest.Trust{Issuer: issuerURL})
		if refusal, ok := errors.AsType[*cloudtest.VerifyError](err); !ok || refusal.Reason != cloudtest.Malformed {
			t.Errorf("Verify(%q) = %v, want Malformed", raw, err)
		}
	}
	if got := w.issuer.Calls(""); got != 0 {
		t.Errorf("the issuer was asked %d times for nonsense, want never", got)
	}
}

func TestVerifyAsksTheIssuer(t *testing.T) {
	say := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
	}
	first := newWorld(t)
	for _, c := range []struct {
		name    string
		breakIt func(w *world)
		want    cloudtest.Reason
	}{
		{"nothing listens", func(w *world) { w.net.Handle("oidc.example.test", nil) }, cloudtest.IssuerUnreachable},
		{"the issuer fails", func(w *world) {
			w.issuer.Inject(cloudtest.Fault{Operation: "jwks", Status: 500})
		}, cloudtest.IssuerInvalid},
		{"the discovery document is torn", func(w *world) {
			w.issuer.Inject(cloudtest.Fault{Operation: "discovery", Malformed: true})
		}, cloudtest.IssuerInvalid},
		{"the discovery document is another issuer's", func(w *world) {
			w.net.Handle("oidc.example.test", say(`{"issuer":"https://other.example.test","jwks_uri":"https://oidc.example.test/"}`))
		}, cloudtest.IssuerInvalid},
		{"the discovery document names no keys", func(w *world) {
			w.net.Handle("oidc.example.test", say(`{"issuer":"`+issuerURL+`"}`))
		}, cloudtest.IssuerUnreachable},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			c.breakIt(w)
			verifier := cloudtest.NewVerifier(cloudtest.VerifierOptions{Transport: w.net, Now: w.clock})
			_, err := verifier.Verify(t.Context(), w.issuer.Mint(cloudtest.TokenOptions{}), cloudtest.Trust{Issuer: issuerURL})
			checkReason(t, err, c.want)
		})
	}
}

func checkReason(t *testing.T, err error, want cloudtest.Reason) {
	t.Helper()
	refusal, ok := errors.AsType[*cloudtest.VerifyError](err)
	switch {
	case want == 0 && err != nil:
		t.Errorf("Verify = %v, want no error", err)
	case want != 0 && !ok:
		t.Errorf("Verify = %v, want a VerifyError of reason %d", err, want)
	case want != 0 && refusal.Reason != want:
		t.Errorf("Verify = %v (reason %d), want reason %d", err, refusal.Reason, want)
	}
}

func FuzzVerify(f *testing.F) {
	issuer := cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: issuerURL})
	net := cloudtest.NewNetwork()
	net.Handle("oidc.example.test", issuer)
	verifier := cloudtest.NewVerifier(cloudtest.VerifierOptions{Transport: net})
	good := issuer.Mint(cloudtest.TokenOptions{Audience: []string{"a"}})
	for _, seed := range []string{good, good + "\n", issuer.Mint(cloudtest.TokenOptions{Algorithm: "none"}), "e30.e30.", "..", "eyJhbGciOiJSUzI1NiJ9.bnVsbA.c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		_, err := verifier.Verify(t.Context(), raw, cloudtest.Trust{Issuer: issuerURL, Audiences: []string{"a"}})
		if err == nil && raw != good {
			t.Errorf("Verify(%q) = no error, and nobody signed that", raw)
		}
	})
}
