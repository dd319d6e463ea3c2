package cloudtest_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// segment decodes one part of a JWT.
func segment(t *testing.T, token string, part int) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[part])
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

func TestIssuerPublishesDiscoveryAndKeys(t *testing.T) {
	w := newWorld(t)
	answer, body := w.send(w.request("GET", issuerURL+"/.well-known/openid-configuration", ""))
	golden(t, "issuer_discovery", answer, body)

	answer, body = w.send(w.request("GET", issuerURL+"/openid/v1/jwks", ""))
	if got := answer.Header.Get("Content-Type"); got != "application/jwk-set+json" {
		t.Errorf("Content-Type of the keys = %q, want application/jwk-set+json", got)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(body), &set); err != nil {
		t.Fatal(err)
	}
	var algorithms []string
	for _, key := range set.Keys {
		if !key.IsPublic() {
			t.Errorf("key %s is published with its private part", key.KeyID)
		}
		algorithms = append(algorithms, key.Algorithm)
	}
	if diff := cmp.Diff([]string{"RS256", "ES256"}, algorithms); diff != "" {
		t.Errorf("algorithms of the keys (-want +got):\n%s", diff)
	}
	if got := w.issuer.Calls("jwks"); got != 1 {
		t.Errorf("Calls(jwks) = %d, want 1", got)
	}
}

func TestIssuerAnswersOtherRequests(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/openid/v1/jwks/", http.StatusNotFound},
		{"GET", "/", http.StatusNotFound},
		{"POST", "/openid/v1/jwks", http.StatusMethodNotAllowed},
	} {
		answer, _ := w.send(w.request(c.method, issuerURL+c.path, ""))
		if answer.StatusCode != c.want {
			t.Errorf("%s %s = %d, want %d", c.method, c.path, answer.StatusCode, c.want)
		}
	}
}

func TestMintLooksLikeKubernetes(t *testing.T) {
	w := newWorld(t)
	token := w.issuer.Mint(cloudtest.TokenOptions{
		Namespace: "shop", ServiceAccount: "reports", Pod: "reports-0", Node: "node-1",
		Audience: []string{"sts.amazonaws.com"},
	})
	header := segment(t, token, 0)
	if header["alg"] != "RS256" || header["kid"] == "" || len(header) != 2 {
		t.Errorf("header = %v, want alg RS256, a kid, and nothing else", header)
	}
	got, err := json.MarshalIndent(segment(t, token, 1), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "issuer_claims", &http.Response{Status: "claims"}, string(got)+"\n")
}

func TestMintClaimsReplaceAndRemove(t *testing.T) {
	w := newWorld(t)
	claims := segment(t, w.issuer.Mint(cloudtest.TokenOptions{
		Claims: map[string]any{"sub": "other", "nbf": nil, "groups": []string{"a"}},
	}), 1)
	if claims["sub"] != "other" || claims["groups"] == nil {
		t.Errorf("claims = %v, want sub and groups as they were given", claims)
	}
	if _, ok := claims["nbf"]; ok {
		t.Errorf("claims = %v, want no nbf", claims)
	}
}

func TestTokensOfARotatedKeyAreGoodUntilItIsForgotten(t *testing.T) {
	w := newWorld(t)
	verifier := cloudtest.NewVerifier(cloudtest.VerifierOptions{Transport: w.net, Now: w.clock})
	trust := cloudtest.Trust{Issuer: issuerURL, Audiences: []string{"a"}}
	old := w.issuer.Mint(cloudtest.TokenOptions{Audience: []string{"a"}})

	w.issuer.Rotate()
	fresh := w.issuer.Mint(cloudtest.TokenOptions{Audience: []string{"a"}})
	if o, f := segment(t, old, 0)["kid"], segment(t, fresh, 0)["kid"]; o == f {
		t.Errorf("kid after Rotate = %v, as before", f)
	}
	for name, token := range map[string]string{"old": old, "new": fresh} {
		if _, err := verifier.Verify(t.Context(), token, trust); err != nil {
			t.Errorf("Verify(%s token) after Rotate = %v, want no error", name, err)
		}
	}

	w.issuer.Forget()
	if _, err := verifier.Verify(t.Context(), fresh, trust); err != nil {
		t.Errorf("Verify(new token) after Forget = %v, want no error", err)
	}
	if _, err := verifier.Verify(t.Context(), old, trust); err == nil {
		t.Error("Verify(old token) after Forget = no error, want one")
	}
}
