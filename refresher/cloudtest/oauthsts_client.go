package cloudtest

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// An OAuthClient is registered with an [OAuthSTS].
type OAuthClient struct {
	ID string
	// Auth is the one method that the client may use, by its registered name: none,
	// client_secret_basic, client_secret_post or private_key_jwt.
	Auth   string
	Secret string
	Keys   jose.JSONWebKeySet // public keys of private_key_jwt
	// NoExchange: the client may not exchange tokens (unauthorized_client).
	NoExchange bool
	// Audiences are those that the client may have tokens for; nil is all of the server's.
	Audiences []string
}

const (
	methodNone  = "none"
	methodBasic = "client_secret_basic"
	methodPost  = "client_secret_post"
	methodJWT   = "private_key_jwt"
)

var (
	oauthMethods    = []string{methodNone, methodBasic, methodPost, methodJWT}
	oauthAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}
)

// maxAssertionLife is how far ahead the expiry of a client assertion may be.
const maxAssertionLife = 5 * time.Minute

// An assertionID is a jti, which is unique for one client.
type assertionID struct{ client, jti string }

// authenticate finds out which client asks. The zero client is an anonymous one.
func (s *OAuthSTS) authenticate(r *http.Request, form url.Values) (OAuthClient, *oauthFailure) {
	header := r.Header.Get("Authorization")
	id := form.Get("client_id")
	var methods []string
	if header != "" {
		methods = append(methods, methodBasic)
	}
	if form.Has("client_secret") {
		methods = append(methods, methodPost)
	}
	if form.Has("client_assertion") || form.Has("client_assertion_type") {
		methods = append(methods, methodJWT)
	}
	switch {
	case len(methods) > 1: // RFC 6749 section 2.3
		return OAuthClient{}, invalidRequest("more than one method of client authentication: %s", strings.Join(methods, ", "))
	case len(methods) == 0 && id == "":
		if !s.o.Anonymous {
			return OAuthClient{}, invalidClient("the client does not say who it is")
		}
		return OAuthClient{}, nil
	case len(methods) == 0:
		return s.client(id, methodNone)
	}
	switch methods[0] {
	case methodBasic:
		client, failure := s.basic(header, id)
		if failure != nil {
			failure.challenge = true
		}
		return client, failure
	case methodPost:
		return s.withSecret(id, form.Get("client_secret"), methodPost)
	default:
		return s.withAssertion(form)
	}
}

// client finds a client that may use a method. Everything that is wrong with a client is said in the same
// words, but for the method, which is no secret.
func (s *OAuthSTS) client(id, method string) (OAuthClient, *oauthFailure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	client, ok := s.clients[id]
	switch {
	case !ok:
		return OAuthClient{}, badClient()
	case client.Auth != method:
		return OAuthClient{}, invalidClient("the client may not use the method %s", method)
	}
	return client, nil
}

func badClient() *oauthFailure { return invalidClient("unknown client, or wrong credentials") }

// basic reads the Authorization header (RFC 6749 section 2.3.1): both parts are encoded as form fields.
func (s *OAuthSTS) basic(header, idInForm string) (OAuthClient, *oauthFailure) {
	scheme, encoded, _ := strings.Cut(header, " ")
	pair, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !strings.EqualFold(scheme, "Basic") || err != nil {
		return OAuthClient{}, invalidClient("the Authorization header is not Basic with base64")
	}
	first, second, found := strings.Cut(string(pair), ":")
	id, err1 := url.QueryUnescape(first)
	secret, err2 := url.QueryUnescape(second)
	if !found || err1 != nil || err2 != nil {
		return OAuthClient{}, invalidClient("the Authorization header does not hold ID:SECRET, each encoded as a form field")
	}
	if idInForm != "" && idInForm != id {
		return OAuthClient{}, invalidClient("client_id differs from the Authorization header")
	}
	return s.withSecret(id, secret, methodBasic)
}

func (s *OAuthSTS) withSecret(id, secret, method string) (OAuthClient, *oauthFailure) {
	client, failure := s.client(id, method)
	if failure != nil {
		return OAuthClient{}, failure
	}
	if client.Secret == "" || client.Secret != secret {
		return OAuthClient{}, badClient()
	}
	return client, nil
}

// withAssertion checks a client assertion (RFC 7521 section 4.2, RFC 7523 section 3).
func (s *OAuthSTS) withAssertion(form url.Values) (OAuthClient, *oauthFailure) {
	if kind := form.Get("client_assertion_type"); kind != assertionTypeJWT {
		return OAuthClient{}, invalidClient("client_assertion_type is not %s", assertionTypeJWT)
	}
	raw := form.Get("client_assertion")
	said, err := peek(raw)
	if err != nil {
		return OAuthClient{}, invalidClient("client_assertion: %v", err)
	}
	if id := form.Get("client_id"); id != "" && id != said.Subject {
		return OAuthClient{}, invalidClient("client_id differs from the subject of client_assertion")
	}
	client, failure := s.client(said.Subject, methodJWT)
	if failure != nil {
		return OAuthClient{}, failure
	}
	token, err := jwt.ParseSigned(raw, oauthAlgorithms)
	if err != nil || !signedByOneOf(token, client.Keys.Keys) {
		return OAuthClient{}, badClient()
	}
	if failure := s.checkAssertion(said); failure != nil {
		return OAuthClient{}, failure
	}
	return client, nil
}

// signedByOneOf takes the key that the header names, or tries all if it names none. A key that is
// registered for an algorithm is good for no other.
func signedByOneOf(token *jwt.JSONWebToken, keys []jose.JSONWebKey) bool {
	header := token.Headers[0]
	return slices.ContainsFunc(keys, func(key jose.JSONWebKey) bool {
		return (header.KeyID == "" || header.KeyID == key.KeyID) &&
			(key.Algorithm == "" || key.Algorithm == header.Algorithm) &&
			token.Claims(key.Public()) == nil
	})
}

// checkAssertion judges what an assertion with a good signature says, and takes its id.
func (s *OAuthSTS) checkAssertion(said Verified) *oauthFailure {
	now := s.now()
	jti, _ := said.Claims["jti"].(string)
	switch {
	case said.Issuer != said.Subject:
		return invalidClient("client_assertion: iss and sub are not the client's id both")
	case !slices.Contains(said.Audience, s.TokenURL()) && !slices.Contains(said.Audience, s.o.URL):
		return invalidClient("client_assertion: aud is neither the token endpoint nor the issuer")
	case said.Expires.IsZero() || !said.Expires.After(now):
		return invalidClient("client_assertion: exp is missing or has passed")
	case said.Expires.Sub(now) > maxAssertionLife:
		return invalidClient("client_assertion: exp is more than %v ahead", maxAssertionLife)
	case said.Issued.IsZero() || said.Issued.After(now):
		return invalidClient("client_assertion: iat is missing or in the future")
	case numericDate(said.Claims["nbf"]).After(now):
		return invalidClient("client_assertion: not valid yet")
	case jti == "":
		return invalidClient("client_assertion: jti is missing")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for old, until := range s.seen {
		if !until.After(now) {
			delete(s.seen, old)
		}
	}
	id := assertionID{client: said.Subject, jti: jti}
	if _, replayed := s.seen[id]; replayed {
		return invalidClient("client_assertion: seen before")
	}
	s.seen[id] = said.Expires
	return nil
}
