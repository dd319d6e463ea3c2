package cloudtest

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// OAuthSTSOptions configure an [OAuthSTS].
type OAuthSTSOptions struct {
	// URL is the issuer: the claim "iss" of its tokens, byte for byte, and where its endpoints are. It
	// may have a path, and may be http. Required.
	URL     string
	Clients []OAuthClient
	// Anonymous permits requests of clients that do not say who they are.
	Anonymous bool
	// Trusted are the issuers whose tokens are exchanged.
	Trusted []Trust
	// SAML verifies a SAML 2.0 assertion, which is in base64, and returns its subject. Nil means that
	// no assertions are exchanged.
	SAML func(raw string) (subject string, err error)
	// Audiences, Resources and Scopes are all that tokens can be had for.
	Audiences []string
	Resources []string
	Scopes    []string
	Lifetime  time.Duration     // of the issued tokens; 0 is five minutes
	Transport http.RoundTripper // leads to issuers; nil is http.DefaultTransport
	Now       func() time.Time  // nil is time.Now
	Rand      io.Reader         // for token ids; nil is crypto/rand
}

// An OAuthSTS is an OAuth 2.0 authorization server that exchanges tokens (RFC 8693) and does nothing
// else. Its tokens are RS256 JWTs that any [Verifier] can check, so that they can be subject tokens of
// the other services in turn. Below the path of its URL it serves, with these operations for [Faults]:
//
//	token      POST /token
//	discovery  GET  /.well-known/openid-configuration, and /.well-known/oauth-authorization-server
//	                before the path (RFC 8414 section 3.1)
//	jwks       GET  /jwks
//
// Requests with a flaw that many servers let pass are refused: parameters that occur twice or in the
// URL, two proofs of the client, an assertion that was seen before, an actor token. It is safe for
// concurrent use.
type OAuthSTS struct {
	Faults
	o        OAuthSTSOptions
	path     string // of the URL, without trailing slash
	verifier *Verifier
	now      func() time.Time
	chance   *chance
	keys     *keyring

	mu      sync.Mutex
	clients map[string]OAuthClient    // guarded by mu
	seen    map[assertionID]time.Time // guarded by mu; until when it must not come again
}

// NewOAuthSTS returns a server with a new key. It panics if the URL is not absolute.
func NewOAuthSTS(o OAuthSTSOptions) *OAuthSTS {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" {
		panic("cloudtest: OAuthSTSOptions.URL must be an absolute URL, not " + o.URL)
	}
	o.Lifetime = cmp.Or(o.Lifetime, 5*time.Minute)
	s := &OAuthSTS{
		o:        o,
		path:     strings.TrimRight(u.Path, "/"),
		verifier: NewVerifier(VerifierOptions{Transport: o.Transport, Now: o.Now}),
		now:      clock(o.Now),
		chance:   newChance(o.Rand),
		keys:     newKeyring(jose.RS256),
		clients:  make(map[string]OAuthClient),
		seen:     make(map[assertionID]time.Time),
	}
	for _, client := range o.Clients {
		s.PutClient(client)
	}
	return s
}

// URL is the issuer's name, as in the claim "iss".
func (s *OAuthSTS) URL() string { return s.o.URL }

// TokenURL is where tokens are exchanged.
func (s *OAuthSTS) TokenURL() string { return s.below("/token") }

func (s *OAuthSTS) below(path string) string { return strings.TrimRight(s.o.URL, "/") + path }

// PutClient adds or replaces the client of its id: to rotate a secret, say.
func (s *OAuthSTS) PutClient(client OAuthClient) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[client.ID] = client
}

// OAuthToken is what a token of [OAuthSTS] says.
type OAuthToken struct {
	Type     string // token type URI: access_token, id_token or jwt
	Subject  string
	Audience []string
	ClientID string // empty for one that was issued to an anonymous client
	Scope    string
	Expires  time.Time
}

// Validate checks a token of this server as a resource does: signature, issuer and expiry.
func (s *OAuthSTS) Validate(token string) (OAuthToken, error) {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return OAuthToken{}, err
	}
	key := s.keys.key(jose.RS256)
	text, err := signed.Verify(key.Public())
	if err != nil {
		return OAuthToken{}, err
	}
	claims, err := decodeObject(text)
	if err != nil {
		return OAuthToken{}, err
	}
	said, err := sortClaims(claims)
	if err != nil {
		return OAuthToken{}, err
	}
	if said.Issuer != s.o.URL {
		return OAuthToken{}, errors.New("the token has another issuer")
	}
	if !s.now().Before(said.Expires) {
		return OAuthToken{}, errors.New("the token has expired")
	}
	kind, _ := claims[claimType].(string)
	client, _ := claims["client_id"].(string)
	scope, _ := claims["scope"].(string)
	return OAuthToken{
		Type: kind, Subject: said.Subject, Audience: said.Audience, ClientID: client, Scope: scope, Expires: said.Expires,
	}, nil
}

// ServeHTTP answers all operations.
func (s *OAuthSTS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := ""
	switch r.URL.Path {
	case s.path + "/token":
		operation = "token"
	case s.path + "/jwks":
		operation = "jwks"
	case s.path + "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server" + s.path:
		operation = "discovery"
	}
	if s.answers(w, r, operation, s.now, oauthWording) {
		return
	}
	switch {
	case operation == "":
		http.NotFound(w, r)
	case operation == "token":
		s.serveToken(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	case operation == "jwks":
		writeJSON(w, "application/jwk-set+json", http.StatusOK, s.keys.public())
	default:
		writeJSON(w, "application/json", http.StatusOK, s.metadata())
	}
}

// metadata is the document of RFC 8414 section 2, which has the members that a [Verifier] looks for
// too.
func (s *OAuthSTS) metadata() any {
	return struct {
		discovery
		Token      string   `json:"token_endpoint"`
		Grants     []string `json:"grant_types_supported"`
		Methods    []string `json:"token_endpoint_auth_methods_supported"`
		Assertions []string `json:"token_endpoint_auth_signing_alg_values_supported"`
		Scopes     []string `json:"scopes_supported,omitempty"`
	}{
		discovery: discovery{
			Issuer:        s.o.URL,
			JWKS:          s.below("/jwks"),
			ResponseTypes: []string{},
			SubjectTypes:  []string{"public"},
			Algorithms:    []string{"RS256"},
		},
		Token:      s.TokenURL(),
		Grants:     []string{grantTokenExchange},
		Methods:    oauthMethods,
		Assertions: algorithmNames(oauthAlgorithms),
		Scopes:     slices.Clone(s.o.Scopes),
	}
}

func algorithmNames(algorithms []jose.SignatureAlgorithm) []string {
	var names []string
	for _, algorithm := range algorithms {
		names = append(names, string(algorithm))
	}
	return names
}
