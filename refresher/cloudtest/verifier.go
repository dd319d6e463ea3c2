package cloudtest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// A Reason says why a [Verifier] refuses a token. Each cloud has its own words for each.
type Reason int

// The reasons, in the order in which a token is checked for them.
const (
	Malformed            Reason = iota + 1 // not a compact JWT with an object of claims
	UnsupportedAlgorithm                   // signed with one that is not accepted, or not at all
	IssuerUnreachable                      // no answer from the issuer
	IssuerInvalid                          // the issuer's documents are missing, broken, or name another issuer
	UnknownKey                             // the header names a key that the issuer does not publish
	BadSignature                           // no published key verifies the token
	WrongIssuer                            // iss is not the one that is trusted
	WrongAudience                          // aud holds none of those that are trusted
	MissingClaim                           // a required claim is absent or of the wrong type
	Expired                                // exp has passed
	NotYetValid                            // iat or nbf is in the future
	LivesTooLong                           // from iat to exp is longer than the cloud accepts
)

// A VerifyError is why a token is refused. Its text holds no part of the token but claims.
type VerifyError struct {
	Reason Reason
	Claim  string // the claim it is about, for MissingClaim and NotYetValid
	Err    error  // in words
	Token  Verified
}

func (e *VerifyError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *VerifyError) Unwrap() error { return e.Err }

// Verified is what a token says. In a [VerifyError] it holds what could be read, verified or not.
type Verified struct {
	Issuer   string
	Subject  string
	Audience []string
	Issued   time.Time
	Expires  time.Time
	Claims   map[string]any // all of them; numbers are json.Number
}

// Trust is what a verifier accepts.
type Trust struct {
	Issuer    string
	Audiences []string // one of them must be in aud
	// Algorithms are those accepted; nil is RS256 and ES256.
	Algorithms []jose.SignatureAlgorithm
	// MaxLifetime bounds exp − iat; 0 is no bound.
	MaxLifetime time.Duration
}

// A Verifier checks OpenID Connect tokens as the clouds do: it fetches the issuer's discovery
// document, then its keys, and follows the rules of OpenID Connect Core 1.0 section 3.1.3.7 in the
// strict reading that Google documents. It keeps no keys, so that a rotation and an issuer's outage show
// at once; the real services cache them for a while. It is safe for concurrent use.
type Verifier struct {
	transport http.RoundTripper
	now       func() time.Time
}

// VerifierOptions configure a [Verifier].
type VerifierOptions struct {
	Transport http.RoundTripper // leads to issuers; nil is http.DefaultTransport
	Now       func() time.Time  // nil is time.Now
}

// NewVerifier returns a verifier.
func NewVerifier(o VerifierOptions) *Verifier {
	return &Verifier{transport: cmp.Or(o.Transport, http.DefaultTransport), now: clock(o.Now)}
}

// Verify checks a compact JWT. Errors are a [*VerifyError].
func (v *Verifier) Verify(ctx context.Context, raw string, trust Trust) (Verified, error) {
	algorithms := trust.Algorithms
	if algorithms == nil {
		algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256}
	}
	said, err := peek(raw)
	if err != nil {
		return Verified{}, err
	}
	token, err := jwt.ParseSigned(raw, algorithms)
	if wrong, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
		return Verified{}, &VerifyError{
			Reason: UnsupportedAlgorithm,
			Err:    fmt.Errorf("%s is not a supported signature algorithm", wrong.Got),
			Token:  said,
		}
	}
	if err != nil {
		return Verified{}, refuse(Malformed, "not a JWT")
	}
	err = v.signature(ctx, token, trust.Issuer)
	if err == nil {
		err = v.claims(said, trust)
	}
	if refusal, ok := errors.AsType[*VerifyError](err); ok {
		refusal.Token = said
		return Verified{}, refusal
	}
	return said, nil
}

func refuse(reason Reason, format string, args ...any) *VerifyError {
	return &VerifyError{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// peek reads a token's claims without verifying anything. A cloud does so to find out which issuer
// to ask.
func peek(raw string) (Verified, error) {
	parts := strings.Split(raw, ".")
	// encoding/base64 skips line ends and go-jose all white space. A token with the newline that an
	// editor left is no JWT to the real services.
	if len(parts) != 3 || strings.ContainsAny(raw, " \t\r\n") {
		return Verified{}, refuse(Malformed, "not a JWT")
	}
	header, err := decodeSegment(parts[0])
	if err != nil {
		return Verified{}, err
	}
	if _, ok := header["alg"].(string); !ok {
		return Verified{}, refuse(Malformed, "the JWT's header names no algorithm")
	}
	claims, err := decodeSegment(parts[1])
	if err != nil {
		return Verified{}, err
	}
	return sortClaims(claims)
}

// sortClaims sorts claims into a Verified. Claims of a wrong type stay zero, so that they count as
// missing.
func sortClaims(claims map[string]any) (Verified, error) {
	v := Verified{Claims: claims}
	v.Issuer, _ = claims["iss"].(string)
	v.Subject, _ = claims["sub"].(string)
	v.Issued = numericDate(claims["iat"])
	v.Expires = numericDate(claims["exp"])
	switch aud := claims["aud"].(type) {
	case string:
		v.Audience = []string{aud}
	case []any:
		for _, one := range aud {
			text, ok := one.(string)
			if !ok {
				return Verified{}, refuse(Malformed, "aud holds something other than strings")
			}
			v.Audience = append(v.Audience, text)
		}
	}
	return v, nil
}

// numericDate takes whole seconds only: AWS does, and a client that satisfies the strictest
// satisfies all. It is in UTC, so that refusals read the same everywhere.
func numericDate(claim any) time.Time {
	number, ok := claim.(json.Number)
	if !ok {
		return time.Time{}
	}
	seconds, err := number.Int64()
	if err != nil {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// signature looks for a published key that verifies the token.
func (v *Verifier) signature(ctx context.Context, token *jwt.JSONWebToken, issuer string) error {
	keys, err := v.keys(ctx, issuer)
	if err != nil {
		return err
	}
	if id := token.Headers[0].KeyID; id != "" {
		keys = slices.DeleteFunc(keys, func(key jose.JSONWebKey) bool { return key.KeyID != id })
		if len(keys) == 0 {
			return refuse(UnknownKey, "the issuer has no key %.64q", id)
		}
	}
	for _, key := range keys {
		if token.Claims(key) == nil {
			return nil
		}
	}
	return refuse(BadSignature, "the signature does not verify")
}

// keys fetches the issuer's keys by way of its discovery document.
func (v *Verifier) keys(ctx context.Context, issuer string) ([]jose.JSONWebKey, error) {
	var document discovery
	if err := v.get(ctx, strings.TrimRight(issuer, "/")+"/.well-known/openid-configuration", &document); err != nil {
		return nil, err
	}
	if document.Issuer != issuer {
		return nil, refuse(IssuerInvalid, "the discovery document is that of %q", document.Issuer)
	}
	var set jose.JSONWebKeySet
	if err := v.get(ctx, document.JWKS, &set); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(set.Keys, func(key jose.JSONWebKey) bool {
		return !key.Valid() || !key.IsPublic() || key.Use != "" && key.Use != "sig"
	}), nil
}

// get fetches one of the issuer's documents.
func (v *Verifier) get(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return refuse(IssuerInvalid, "%q is not a URL", url)
	}
	// The transport and not a client: a cloud follows no redirects here.
	answer, err := v.transport.RoundTrip(r)
	if err != nil {
		return refuse(IssuerUnreachable, "the issuer does not answer: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return refuse(IssuerUnreachable, "the issuer does not answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return refuse(IssuerInvalid, "the issuer answers %s", answer.Status)
	}
	if json.Unmarshal(text, into) != nil {
		return refuse(IssuerInvalid, "the issuer's document is not the right JSON")
	}
	return nil
}

// claims judges what a token with a good signature says.
func (v *Verifier) claims(token Verified, trust Trust) error {
	missing := func(claim string) error {
		return &VerifyError{Reason: MissingClaim, Claim: claim, Err: errors.New("claim " + claim + " is missing")}
	}
	now := v.now()
	switch {
	case token.Issuer == "":
		return missing("iss")
	case token.Issuer != trust.Issuer:
		return refuse(WrongIssuer, "issuer %q is not %q", token.Issuer, trust.Issuer)
	case len(token.Audience) == 0:
		return missing("aud")
	case !slices.ContainsFunc(token.Audience, func(aud string) bool { return slices.Contains(trust.Audiences, aud) }):
		return refuse(WrongAudience, "audience %q is none of %q", token.Audience, trust.Audiences)
	case token.Expires.IsZero():
		return missing("exp")
	case !token.Expires.After(now):
		return refuse(Expired, "expired at %v", token.Expires)
	case token.Issued.IsZero():
		return missing("iat")
	case token.Issued.After(now):
		return &VerifyError{Reason: NotYetValid, Claim: "iat", Err: fmt.Errorf("issued in the future, at %v", token.Issued)}
	case numericDate(token.Claims["nbf"]).After(now):
		return &VerifyError{Reason: NotYetValid, Claim: "nbf", Err: errors.New("not valid yet")}
	case trust.MaxLifetime > 0 && token.Expires.Sub(token.Issued) > trust.MaxLifetime:
		return refuse(LivesTooLong, "lives for %v, at most %v is accepted", token.Expires.Sub(token.Issued), trust.MaxLifetime)
	case token.Subject == "":
		return missing("sub")
	}
	return nil
}
