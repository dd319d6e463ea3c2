package conformance_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Tokens of other issuers are exchanged by a preview feature of Keycloak only, and the permission for
// it is in another, older one.
const externalFeatures = "token-exchange,admin-fine-grained-authz:v1"

// Without requestedTokenType Keycloak's preview says that the access token it issues is a refresh token.
const externalOptions = `{tokenUrl: $token, clientId: basic, clientSecretFile: $dir/secret, requestedTokenType: "` + accessTokenType + `"}`

// Keycloak's preview exchanges tokens of issuers that are its identity providers. It wants the claim
// "typ" in them, which Keycloak itself writes and Kubernetes does not; for whom a token is it does
// not look at.
func TestKeycloakExternalSubject(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "secret"), clientSecret)
	trusted, other := newCluster(t), newCluster(t)
	k := startKeycloak(t, "external", externalFeatures, map[string]string{"clientSecret": clientSecret, "issuer": trusted.url})
	hourAgo := time.Now().Add(-time.Hour)
	subjects := map[string]string{
		"typed":      trusted.mint(t, trusted.url, map[string]any{"typ": "ID"}),
		"kubernetes": trusted.mint(t, trusted.url, nil),
		"expired":    trusted.mint(t, trusted.url, map[string]any{"typ": "ID", "iat": hourAgo.Unix(), "nbf": hourAgo.Unix(), "exp": hourAgo.Add(10 * time.Minute).Unix()}),
		"unknown":    other.mint(t, other.url, map[string]any{"typ": "ID"}),
		"forged":     other.mint(t, trusted.url, map[string]any{"typ": "ID"}),
	}

	t.Run("a token with Keycloak's claim", func(t *testing.T) {
		b := exchanged(t, oauthConfig(t, subjects["typed"], "jwt", k.options(t, externalOptions, dir)))
		if claims := k.vouches(t, b, accessTokenType); claims.Party != "basic" || claims.Username != clusterSubject {
			t.Errorf("the token is of %s about %q, want basic, %s", claims.Party, claims.Username, clusterSubject)
		}
	})
	for _, r := range []refusal{
		{
			name: "a token as Kubernetes writes it", options: externalOptions, subject: "kubernetes",
			answer: `400 {"error":"invalid_token","error_description":"token type not supported"}`,
			class:  "subject_token",
		},
		{
			name: "a token that has expired", options: externalOptions, subject: "expired",
			answer: `400 {"error":"invalid_token","error_description":"invalid token"}`,
			class:  "subject_token",
		},
		{
			name: "a token that another has signed", options: externalOptions, subject: "forged",
			answer: `400 {"error":"invalid_token","error_description":"invalid token"}`,
			class:  "subject_token",
		},
		{
			name: "a token of an unknown issuer", options: externalOptions, subject: "unknown",
			answer: `400 {"error":"invalid_issuer","error_description":"Invalid subject_issuer parameter"}`,
			class:  "subject_token",
		},
		{
			name: "a client without the permission", options: `{tokenUrl: $token, clientId: unpermitted, clientSecretFile: $dir/secret}`, subject: "typed",
			answer: `403 {"error":"access_denied","error_description":"Client not allowed to exchange"}`,
			class:  "settling", hint: `the client "unpermitted"`,
		},
	} {
		t.Run(r.name, func(t *testing.T) {
			k.refuses(t, r, oauthConfig(t, subjects[r.subject], "jwt", k.options(t, r.options, dir)))
		})
	}
}

const clusterSubject = "system:serviceaccount:shop:reports"

// A cluster issues tokens to service accounts.
type cluster struct {
	url    string
	signer jose.Signer
}

// newCluster starts to publish the key of a new one.
func newCluster(t *testing.T) cluster {
	t.Helper()
	key := newKey(t, jose.RS256)
	set, err := json.Marshal(keySet(key, jose.RS256))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/openid/v1/jwks" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(set)
	}))
	t.Cleanup(server.Close)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: string(jose.RS256)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cluster{url: server.URL, signer: signer}
}

// mint signs a token that says it is of an issuer.
func (c cluster) mint(t *testing.T, issuer string, further map[string]any) string {
	t.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": issuer, "sub": clusterSubject, "aud": []string{"https://sts.example.com"},
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": "6f0c3f8e-7d0b-4b6f-9c53-000000000001",
		"kubernetes.io": map[string]any{"namespace": "shop", "serviceaccount": map[string]string{"name": "reports"}},
	}
	maps.Copy(claims, further)
	token, err := jwt.Signed(c.signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
