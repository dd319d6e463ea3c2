package conformance_test

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Secrets of the realms' clients. That of those who exchange has every character that the encoding of
// the Authorization header can trip over.
const (
	workloadSecret = "of-the-workload"
	clientSecret   = "p+ä %/&=:?\"\\"
)

// Token type URIs of RFC 8693 section 3.
const (
	accessTokenType = "urn:ietf:params:oauth:token-type:access_token"
	idTokenType     = "urn:ietf:params:oauth:token-type:id_token"
)

// An exchange is one that Keycloak does.
type exchange struct {
	name, options string
	client        string // whose token it is
	audience      []string
	scope         string        // one of the token's; not checked if empty
	issued        string        // type of the token; empty: an access token
	lifetime      time.Duration // 0: five minutes, as Keycloak does by default
}

var keycloakExchanges = []exchange{
	{
		name:    "a secret in the header",
		options: `{tokenUrl: $token, clientAuth: basic, clientId: basic, clientSecretFile: $dir/secret, audience: [reports]}`,
		client:  "basic", audience: []string{"reports"},
	},
	{
		name:    "a secret in the form, and two audiences",
		options: `{tokenUrl: $token, clientAuth: post, clientId: post, clientSecretFile: $dir/secret, audience: [billing, reports]}`,
		client:  "post", audience: []string{"billing", "reports"},
	},
	{
		name:    "an assertion signed with RSA",
		options: `{tokenUrl: $token, clientAuth: private_key_jwt, clientId: rsa, privateKeyFile: $dir/rsa.pem, keyId: RS256, audience: [reports]}`,
		client:  "rsa", audience: []string{"reports"},
	},
	{
		name:    "an assertion signed with ECDSA, for the issuer",
		options: `{tokenUrl: $token, clientId: ec, privateKeyFile: $dir/ec.pem, keyId: ES256, assertionAudience: $realm, audience: [reports]}`,
		client:  "ec", audience: []string{"reports"},
	},
	{
		name:    "a scope",
		options: `{tokenUrl: $token, clientId: basic, clientSecretFile: $dir/secret, audience: [reports], scopes: [phone]}`,
		client:  "basic", audience: []string{"reports"}, scope: "phone",
	},
	{
		name:    "an ID token, which is for the client whatever the audience",
		options: `{tokenUrl: $token, clientId: basic, clientSecretFile: $dir/secret, audience: [reports], requestedTokenType: "` + idTokenType + `"}`,
		client:  "basic", audience: []string{"basic"}, issued: idTokenType,
	},
	{
		name:    "a short life",
		options: `{tokenUrl: $token, clientId: brief, clientSecretFile: $dir/secret, audience: [reports]}`,
		client:  "brief", audience: []string{"reports"}, lifetime: 45 * time.Second,
	},
}

// Keycloak as it comes exchanges its own access tokens, which it calls the standard token exchange.
func TestKeycloak(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "secret"), clientSecret+"\n")
	writeFile(t, filepath.Join(dir, "wrong"), "wrong")
	newClientKey(t, filepath.Join(dir, "other.pem"), jose.RS256)
	k := startKeycloak(t, "standard", "", map[string]string{
		"workloadSecret": workloadSecret,
		"clientSecret":   clientSecret,
		"rsaKeys":        newClientKey(t, filepath.Join(dir, "rsa.pem"), jose.RS256),
		"ecKeys":         newClientKey(t, filepath.Join(dir, "ec.pem"), jose.ES256),
	})
	subjects := map[string]string{
		"expired":   k.token(t, "wisp", "fleeting", workloadSecret),
		"workload":  k.token(t, "wisp", "workload", workloadSecret),
		"stranger":  k.token(t, "wisp", "stranger", workloadSecret),
		"elsewhere": k.token(t, "elsewhere", "workload", workloadSecret),
	}
	<-time.After(2 * time.Second) // the first lives for one

	for _, e := range keycloakExchanges {
		t.Run(e.name, func(t *testing.T) {
			b := exchanged(t, oauthConfig(t, subjects["workload"], "access_token", k.options(t, e.options, dir)))
			claims := k.vouches(t, b, cmp.Or(e.issued, accessTokenType))
			if claims.Party != e.client || !sameSet(claims.Audience, e.audience) {
				t.Errorf("the token is of %s for %q, want %s for %q", claims.Party, claims.Audience, e.client, e.audience)
			}
			if e.scope != "" && !slices.Contains(strings.Fields(claims.Scope), e.scope) {
				t.Errorf("the token is for the scopes %q, want %s among them", claims.Scope, e.scope)
			}
			if got, want := claims.Expiry.Time().Sub(claims.IssuedAt.Time()), cmp.Or(e.lifetime, 5*time.Minute); got != want {
				t.Errorf("the token lives for %v, want %v", got, want)
			}
			if own := k.claims(t, subjects["workload"]); claims.Subject != own.Subject {
				t.Errorf("the token is about %s, want %s, as the subject token", claims.Subject, own.Subject)
			}
		})
	}
	for _, r := range keycloakRefusals {
		t.Run(r.name, func(t *testing.T) {
			k.refuses(t, r, oauthConfig(t, subjects[cmp.Or(r.subject, "workload")], "access_token", k.options(t, r.options, dir)))
		})
	}
}

// options completes the options of oauthSTS.
func (k *keycloak) options(t *testing.T, text, dir string) string {
	t.Helper()
	values := map[string]string{
		"dir": dir, "realm": k.realm("wisp"),
		"token":   k.realm("wisp") + "/protocol/openid-connect/token",
		"nowhere": k.realm("nowhere") + "/protocol/openid-connect/token",
	}
	return expand(t, text, values, func(value string) string { return value })
}

// tokenClaims are those of Keycloak's tokens.
type tokenClaims struct {
	jwt.Claims
	Party    string `json:"azp"` // the client that it was issued to
	Scope    string `json:"scope"`
	Username string `json:"preferred_username"`
}

// vouches verifies a credential with the realm's keys, as the service does that it is for.
func (k *keycloak) vouches(t *testing.T, b bearer, tokenType string) tokenClaims {
	t.Helper()
	claims := k.claims(t, b.Token)
	if err := claims.Validate(jwt.Expected{Issuer: k.realm("wisp"), Time: time.Now()}); err != nil {
		t.Errorf("the token: %v", err)
	}
	if b.TokenType != tokenType {
		t.Errorf("wisp says that it is of type %s, want %s", b.TokenType, tokenType)
	}
	if off := b.ExpiresAt.Sub(claims.Expiry.Time()); off < -b.took-2*time.Second || off > b.took+2*time.Second {
		t.Errorf("wisp says that it expires at %v, it says %v", b.ExpiresAt, claims.Expiry.Time())
	}
	return claims
}

func (k *keycloak) claims(t *testing.T, token string) tokenClaims {
	t.Helper()
	var claims tokenClaims
	verify(t, k.realm("wisp")+"/protocol/openid-connect/certs", token, &claims)
	return claims
}

// newClientKey writes a private key, and returns the set of its public one.
func newClientKey(t *testing.T, path string, algorithm jose.SignatureAlgorithm) string {
	t.Helper()
	key := newKey(t, algorithm)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	set, err := json.Marshal(keySet(key, algorithm))
	if err != nil {
		t.Fatal(err)
	}
	return string(set)
}

func newKey(t *testing.T, algorithm jose.SignatureAlgorithm) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch algorithm {
	case jose.RS256:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case jose.ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		t.Fatalf("no keys for %s", algorithm)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keySet publishes a key, whose id is the algorithm.
func keySet(key crypto.Signer, algorithm jose.SignatureAlgorithm) jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: key.Public(), KeyID: string(algorithm), Algorithm: string(algorithm), Use: "sig"},
	}}
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
