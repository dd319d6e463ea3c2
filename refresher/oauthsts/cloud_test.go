package oauthsts_test

import (
	"crypto"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/oauthsts"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

const (
	clusterURL = "https://oidc.example.test"
	serverURL  = "https://sso.example.test/realms/a"
)

// A sso is a strict authorization server that trusts a cluster.
type sso struct {
	*cloudtest.OAuthSTS
	issuer    *cloudtest.Issuer
	transport *upstream.Transport
}

func newSSO(t *testing.T, ahead time.Duration, clients ...cloudtest.OAuthClient) *sso {
	t.Helper()
	now := func() time.Time { return time.Now().Add(ahead) }
	net := cloudtest.NewNetwork()
	s := &sso{
		issuer: cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: clusterURL, Now: now}),
		OAuthSTS: cloudtest.NewOAuthSTS(cloudtest.OAuthSTSOptions{
			URL: serverURL, Transport: net, Now: now, Clients: clients,
			Trusted:   []cloudtest.Trust{{Issuer: clusterURL, Audiences: []string{serverURL}}},
			Audiences: []string{"orders", "stock"},
			Resources: []string{"https://api.example"},
			Scopes:    []string{"read", "write"},
			Lifetime:  10 * time.Minute,
		}),
	}
	net.Handle("oidc.example.test", s.issuer)
	net.Handle("sso.example.test", s)
	var err error
	if s.transport, err = upstream.New(upstream.Options{Base: net}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *sso) exchanger(t *testing.T, change func(*options)) *oauthsts.Exchanger {
	t.Helper()
	o := options{TokenURL: s.TokenURL(), Audience: []string{"orders"}, Scopes: []string{"read"}, ClientID: "wisp", Transport: s.transport}
	change(&o)
	x, err := oauthsts.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (s *sso) token() refresher.Token {
	return refresher.Token{Type: refresher.TypeJWT, Raw: refresher.Secret(s.issuer.Mint(cloudtest.TokenOptions{
		Namespace: "reports", ServiceAccount: "runner", Audience: []string{serverURL},
	}))}
}

func TestEveryClientAuthenticationAgainstAStrictServer(t *testing.T) {
	k := testKeys()
	public := func(key crypto.Signer, id string) jose.JSONWebKeySet {
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: id}}}
	}
	dir := t.TempDir()
	signer := func(key crypto.Signer, algorithm string) func(*options) {
		path := filepath.Join(dir, algorithm+".pem")
		write(t, path, pkcs8(t, key))
		return func(o *options) { o.PrivateKeyFile, o.SigningAlgorithm, o.KeyID = path, algorithm, "k1" }
	}
	secretFile := filepath.Join(dir, "secret")
	write(t, secretFile, "hunter:2 ä\n")
	for _, test := range []struct {
		name   string
		client cloudtest.OAuthClient
		change func(*options)
	}{
		{"none", cloudtest.OAuthClient{Auth: "none"}, func(*options) {}},
		{"basic", cloudtest.OAuthClient{Auth: "client_secret_basic", Secret: "a:b%+ ä"}, func(o *options) { o.ClientSecret = "a:b%+ ä" }},
		{"basic from a file", cloudtest.OAuthClient{Auth: "client_secret_basic", Secret: "hunter:2 ä"}, func(o *options) { o.ClientSecretFile = secretFile }},
		{"post", cloudtest.OAuthClient{Auth: "client_secret_post", Secret: "hunter:2 ä"}, func(o *options) { o.ClientAuth, o.ClientSecretFile = "post", secretFile }},
		{"RS256", cloudtest.OAuthClient{Auth: "private_key_jwt", Keys: public(k.rsa, "k1")}, signer(k.rsa, "RS256")},
		{"PS256", cloudtest.OAuthClient{Auth: "private_key_jwt", Keys: public(k.rsa, "k1")}, signer(k.rsa, "PS256")},
		{"ES256", cloudtest.OAuthClient{Auth: "private_key_jwt", Keys: public(k.p256, "k1")}, signer(k.p256, "ES256")},
		{"ES384", cloudtest.OAuthClient{Auth: "private_key_jwt", Keys: public(k.p384, "k1")}, signer(k.p384, "ES384")},
		{"ES512", cloudtest.OAuthClient{Auth: "private_key_jwt", Keys: public(k.p521, "k1")}, signer(k.p521, "ES512")},
		{"EdDSA", cloudtest.OAuthClient{Auth: "private_key_jwt", Keys: public(k.ed25519, "k1")}, signer(k.ed25519, "EdDSA")},
		{"a key without an id", cloudtest.OAuthClient{Auth: "private_key_jwt", Keys: public(k.p256, "k1")}, func(o *options) {
			signer(k.p256, "ES256")(o)
			o.KeyID = ""
		}},
		{"an assertion for the issuer", cloudtest.OAuthClient{Auth: "private_key_jwt", Keys: public(k.p256, "k1")}, func(o *options) {
			signer(k.p256, "ES256")(o)
			o.AssertionAudience = serverURL
		}},
		{"an assertion with an audience for an endpoint with a query", cloudtest.OAuthClient{Auth: "private_key_jwt", Keys: public(k.p256, "k1")}, func(o *options) {
			signer(k.p256, "ES256")(o)
			o.TokenURL, o.AssertionAudience = o.TokenURL+"?x=y", o.TokenURL
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.client.ID = "wisp"
				s := newSSO(t, 0, test.client)
				x := s.exchanger(t, test.change)
				for range 2 { // the second assertion must not be a replay of the first
					c, err := x.Exchange(t.Context(), s.token(), refresher.Target{})
					if err != nil {
						t.Fatal(err)
					}
					got, err := s.Validate(c.Value.(refresher.Bearer).Token.Reveal())
					if err != nil || got.ClientID != "wisp" || got.Subject != "system:serviceaccount:reports:runner" {
						t.Errorf("token = %+v (%v), want one of the account for wisp", got, err)
					}
				}
				// The right client with the wrong proof is told so.
				test.client.Auth = "somehow else"
				s.PutClient(test.client)
				refused(t, s, x, refresher.Target{}, refresher.Settling, "invalid_client")
			})
		})
	}
}

func refused(t *testing.T, s *sso, x *oauthsts.Exchanger, target refresher.Target, class refresher.Class, code string) {
	t.Helper()
	_, err := x.Exchange(t.Context(), s.token(), target)
	if e := refresher.AsError(err); e == nil || e.Class != class || e.Code != code {
		t.Errorf("error = %v, want %v %s", err, class, code)
	}
}

func TestWhatIsAskedForAtAStrictServer(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*options)
		target refresher.Target
		want   cloudtest.OAuthToken // but for what is the same every time
	}{
		{"the options", func(*options) {}, refresher.Target{},
			cloudtest.OAuthToken{Type: refresher.TypeAccessToken, Audience: []string{"orders"}, Scope: "read"}},
		{"all options", func(o *options) {
			o.Audience, o.Resource = []string{"orders", "stock"}, []string{"https://api.example"}
			o.Scopes, o.RequestedTokenType = []string{"write", "read"}, refresher.TypeJWT
			o.Parameters = map[string]string{"subject_issuer": "cluster"}
		}, refresher.Target{},
			cloudtest.OAuthToken{Type: refresher.TypeJWT, Audience: []string{"orders", "stock", "https://api.example"}, Scope: "read write"}},
		{"other scopes", func(*options) {}, refresher.Target{Scope: "write"},
			cloudtest.OAuthToken{Type: refresher.TypeAccessToken, Audience: []string{"orders"}, Scope: "write"}},
		{"an ID token", func(o *options) { o.Resource = []string{"https://api.example"} }, refresher.Target{Audience: "stock"},
			cloudtest.OAuthToken{Type: refresher.TypeIDToken, Audience: []string{"stock"}, Scope: "read"}},
		{"nothing", func(o *options) { o.Audience, o.Scopes = nil, nil }, refresher.Target{},
			cloudtest.OAuthToken{Type: refresher.TypeAccessToken, Audience: []string{serverURL}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSSO(t, 0, cloudtest.OAuthClient{ID: "wisp", Auth: "none"})
				c, err := s.exchanger(t, test.change).Exchange(t.Context(), s.token(), test.target)
				if err != nil {
					t.Fatal(err)
				}
				b := c.Value.(refresher.Bearer)
				got, err := s.Validate(b.Token.Reveal())
				if err != nil || got.Type != test.want.Type || !slices.Equal(got.Audience, test.want.Audience) || got.Scope != test.want.Scope {
					t.Errorf("token = %+v (%v), want %+v", got, err, test.want)
				}
				if b.Type != test.want.Type {
					t.Errorf("Type = %s, want %s", b.Type, test.want.Type)
				}
				if want := time.Now().Add(10 * time.Minute); !c.Expires.Equal(want) {
					t.Errorf("Expires = %v, want %v", c.Expires, want)
				}
			})
		})
	}
}

func TestRefusalsOfAStrictServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := cloudtest.OAuthClient{ID: "wisp", Auth: "none"}
		s := newSSO(t, 0, client)
		x := s.exchanger(t, func(*options) {})

		unknown := s.exchanger(t, func(o *options) { o.Audience = []string{"nobody"} })
		refused(t, s, unknown, refresher.Target{}, refresher.Settling, "invalid_target")
		refused(t, s, x, refresher.Target{Audience: "nobody"}, refresher.Settling, "invalid_target")
		refused(t, s, x, refresher.Target{Scope: "admin"}, refresher.Denied, "invalid_scope")

		client.Audiences = []string{"stock"}
		s.PutClient(client)
		refused(t, s, x, refresher.Target{}, refresher.Settling, "access_denied")
		client.NoExchange = true
		s.PutClient(client)
		refused(t, s, x, refresher.Target{}, refresher.Settling, "unauthorized_client")
		client.NoExchange, client.Audiences = false, nil
		s.PutClient(client)

		s.issuer.Refuse(true)
		refused(t, s, x, refresher.Target{}, refresher.Transient, "temporarily_unavailable")
		s.issuer.Refuse(false)

		s.Inject(cloudtest.Fault{Throttle: true, RetryAfter: time.Minute, Times: 1})
		refused(t, s, x, refresher.Target{}, refresher.Throttled, "temporarily_unavailable")
		s.Inject(cloudtest.Fault{Malformed: true, Times: 1})
		refused(t, s, x, refresher.Target{}, refresher.Transient, refresher.CodeBadCredential)
		s.LimitLifetime(-time.Minute)
		refused(t, s, x, refresher.Target{}, refresher.Transient, refresher.CodeBadCredential)
		s.LimitLifetime(0)

		old := s.token()
		time.Sleep(2 * time.Hour)
		_, err := x.Exchange(t.Context(), old, refresher.Target{})
		if e := refresher.AsError(err); e == nil || e.Class != refresher.SubjectToken {
			t.Errorf("error for an expired token = %v, want one of the subject token", err)
		}
		if _, err := x.Exchange(t.Context(), s.token(), refresher.Target{}); err != nil {
			t.Errorf("after all that: %v", err)
		}
	})
}

// TestAssertionsFollowTheEndpointsClock has a local clock that is two hours slow: the first assertion
// has expired when it is made, and its refusal says what time it is.
func TestAssertionsFollowTheEndpointsClock(t *testing.T) {
	k := testKeys()
	path := filepath.Join(t.TempDir(), "key.pem")
	write(t, path, pkcs8(t, k.p256))
	synctest.Test(t, func(t *testing.T) {
		s := newSSO(t, 2*time.Hour, cloudtest.OAuthClient{
			ID: "wisp", Auth: "private_key_jwt", Keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: k.p256.Public()}}},
		})
		x := s.exchanger(t, func(o *options) { o.PrivateKeyFile = path })
		ctx := refresher.WithAttempt(t.Context(), new(refresher.Attempt))
		_, err := x.Exchange(ctx, s.token(), refresher.Target{})
		if e := refresher.AsError(err); e == nil || e.Code != "invalid_client" || e.Class == refresher.Denied {
			t.Fatalf("first error = %v, want an invalid_client that heals", err)
		}
		c, err := x.Exchange(ctx, s.token(), refresher.Target{})
		if err != nil {
			t.Fatalf("second error = %v, want none: the endpoint's time is known", err)
		}
		if want := time.Now().Add(2*time.Hour + 10*time.Minute); !c.Expires.Equal(want) {
			t.Errorf("Expires = %v, want %v", c.Expires, want)
		}
	})
}

func TestATokenOfTheServerIsASubjectTokenToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSSO(t, 0, cloudtest.OAuthClient{ID: "wisp", Auth: "none"})
		x := s.exchanger(t, func(*options) {})
		first, err := x.Exchange(t.Context(), s.token(), refresher.Target{})
		if err != nil {
			t.Fatal(err)
		}
		b := first.Value.(refresher.Bearer)
		if _, err := x.Exchange(t.Context(), refresher.Token{Raw: b.Token, Type: b.Type}, refresher.Target{}); err != nil {
			t.Errorf("exchange of the exchanged: %v", err)
		}
	})
}
