package oauthsts

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// Limits of [Options.AssumedLifetime].
const (
	minAssumed = time.Minute
	maxAssumed = 24 * time.Hour
)

// Options configure an [Exchanger].
type Options struct {
	// TokenURL is the token endpoint. Required. It may have a query, which is kept, but no fragment
	// (RFC 6749 section 3.2).
	TokenURL string

	// Audience and Resource say where the token is to be used: names that the endpoint knows, and
	// absolute URIs without a fragment (RFC 8707 section 2). Both may be empty.
	Audience []string
	Resource []string
	// Scopes are those of a Target that names none. Empty means that no scope is sent.
	Scopes []string
	// SubjectTokenType is the URI that says what the subject token is; empty means the Token's own.
	SubjectTokenType string
	// RequestedTokenType is the URI of what is asked for; empty leaves it to the endpoint.
	RequestedTokenType string

	// ClientAuth is one of the Auth constants. Empty means what follows from the rest: AuthBasic
	// with a secret, AuthPrivateKeyJWT with a key, otherwise AuthNone.
	ClientAuth string
	// ClientID is required unless ClientAuth is AuthNone.
	ClientID string
	// ClientSecret or ClientSecretFile is the secret of AuthBasic and AuthPost. The file, an absolute
	// path, is read for every exchange, so that a rotated secret is taken over; white space around the
	// secret is left off.
	ClientSecret     refresher.Secret
	ClientSecretFile string

	// PrivateKeyFile is the key of AuthPrivateKeyJWT, an absolute path, read for every exchange: PEM of
	// PKCS#8, PKCS#1 or SEC 1, not encrypted; RSA of at least 2048 bits, P-256, P-384, P-521 or
	// Ed25519.
	PrivateKeyFile string
	// KeyID is the assertion's header "kid"; empty leaves it out, which needs an endpoint that knows
	// one key of this client only.
	KeyID string
	// SigningAlgorithm is RS256, PS256, ES256, ES384, ES512 or EdDSA; empty means the one that the key
	// is made for, RS256 for RSA.
	SigningAlgorithm string
	// AssertionAudience is the assertion's claim "aud"; empty means TokenURL. Some endpoints want the
	// issuer's URL here.
	AssertionAudience string

	// Parameters are sent in the form besides those of the protocol, which they cannot replace. They
	// are no place for secrets.
	Parameters map[string]string
	// AssumedLifetime, from a minute to a day, is how long a token lives of which neither the answer
	// nor the token itself says it. 0 means that such a token is refused.
	AssumedLifetime time.Duration

	// Transport sends the requests. Required.
	Transport *upstream.Transport
}

var oneScope = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`) // RFC 6749 section 3.3

// ownParameters are the form's parameters that [Options.Parameters] must not hold, and what to use
// instead.
var ownParameters = map[string]string{
	"grant_type":            "it is always token-exchange",
	"subject_token":         "it comes from the source",
	"subject_token_type":    "use subjectTokenType",
	"actor_token":           "actor tokens are not supported",
	"actor_token_type":      "actor tokens are not supported",
	"requested_token_type":  "use requestedTokenType",
	"audience":              "use audience",
	"resource":              "use resource",
	"scope":                 "use scopes",
	"client_id":             "use clientId",
	"client_secret":         "use clientSecretFile",
	"client_assertion":      "use privateKeyFile",
	"client_assertion_type": "use privateKeyFile",
}

// Check reports everything that is wrong with the options, nil if nothing is. It reads no file.
// Without a Transport the URL is checked as if it allowed no http.
func (o Options) Check() []refresher.FieldError {
	var problems []refresher.FieldError
	report := func(field, format string, args ...any) {
		problems = append(problems, refresher.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	if o.TokenURL == "" {
		report("tokenUrl", "is required: the URL of the token endpoint, \"token_endpoint\" in the server's metadata")
	} else if _, err := o.tokenURL(); err != nil {
		report("tokenUrl", "%v", err)
	}
	for i, audience := range o.Audience {
		if audience == "" || !isPrintable(audience) {
			report(fmt.Sprintf("audience.%d", i), "%q is not the name of an audience", audience)
		}
	}
	for i, resource := range o.Resource {
		if !isURI(resource) {
			report(fmt.Sprintf("resource.%d", i), "%q is not an absolute URI without a fragment: other names go into audience", resource)
		}
	}
	for i, scope := range o.Scopes {
		if !oneScope.MatchString(scope) {
			report(fmt.Sprintf("scopes.%d", i), "%q is not one scope", scope)
		}
	}
	if o.SubjectTokenType != "" && !isURI(o.SubjectTokenType) {
		report("subjectTokenType", "%q is not a URI such as %s", o.SubjectTokenType, refresher.TypeJWT)
	}
	if o.RequestedTokenType != "" && !isURI(o.RequestedTokenType) {
		report("requestedTokenType", "%q is not a URI such as %s", o.RequestedTokenType, refresher.TypeAccessToken)
	}
	problems = append(problems, o.checkClient()...)
	for _, name := range slices.Sorted(maps.Keys(o.Parameters)) {
		if instead, own := ownParameters[name]; own {
			report("parameters", "%q belongs to the protocol: %s", name, instead)
		} else if name == "" || !isPrintable(name) || !isPrintable(o.Parameters[name]) {
			report("parameters", "%q is empty, or it or its value holds control characters", name)
		}
	}
	if o.AssumedLifetime != 0 && (o.AssumedLifetime < minAssumed || o.AssumedLifetime > maxAssumed) {
		report("assumedLifetime", "%s is not between %s and %s", o.AssumedLifetime, minAssumed, maxAssumed)
	}
	return problems
}

// tokenURL returns the endpoint.
func (o Options) tokenURL() (*url.URL, error) {
	return cmp.Or(o.Transport, new(upstream.Transport)).CheckURL(o.TokenURL)
}

// isURI reports whether text is an absolute URI without a fragment.
func isURI(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.IsAbs() && (u.Host != "" || u.Opaque != "" || u.Path != "") &&
		!strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' })
}

func isPrintable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == '\x7f' })
}

// New returns an Exchanger. Its error joins all that [Options.Check] reports.
func New(o Options) (*Exchanger, error) {
	if err := refresher.JoinFieldErrors(o.Check()); err != nil {
		return nil, fmt.Errorf("oauthsts: %w", err)
	}
	if o.Transport == nil {
		return nil, errors.New("oauthsts: a Transport is required")
	}
	endpoint, err := o.tokenURL()
	if err != nil {
		return nil, fmt.Errorf("oauthsts: %w", err)
	}
	// Callers may change what they passed.
	o.Audience, o.Resource, o.Parameters = slices.Clone(o.Audience), slices.Clone(o.Resource), maps.Clone(o.Parameters)
	o.ClientAuth = o.clientAuth()
	secret := secretOf(o)
	o.ClientSecret = ""
	return &Exchanger{
		o:        o,
		endpoint: endpoint,
		scope:    refresher.Scopes(o.Scopes...),
		secret:   secret,
		client:   o.Transport.Client(),
	}, nil
}
