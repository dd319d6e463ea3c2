package oauthsts

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// An answer is a successful token response (RFC 8693 section 2.2.1). The issued token is in
// access_token whatever its type.
type answer struct {
	AccessToken     refresher.Secret  `json:"access_token"`
	IssuedTokenType string            `json:"issued_token_type"`
	TokenType       string            `json:"token_type"`
	ExpiresIn       *upstream.Seconds `json:"expires_in"`
}

// credential turns the body of a success into a credential. form is what was asked for.
func (x *Exchanger) credential(ctx context.Context, text []byte, form url.Values, target refresher.Target) (refresher.Credential, error) {
	requested := form.Get("requested_token_type")
	var a answer
	if json.Unmarshal(text, &a) != nil || !isToken(a.AccessToken) {
		return refresher.Credential{}, x.badAnswer("the answer is not JSON with an access_token and, if at all, a number in expires_in")
	}
	// RFC 6749 section 5.1: case does not matter. N_A is what RFC 8693 has for tokens that are not for
	// use as an access token. Servers that leave the type out mean Bearer.
	if kind := a.TokenType; kind != "" && !strings.EqualFold(kind, "Bearer") && !strings.EqualFold(kind, "N_A") {
		return refresher.Credential{}, &refresher.Error{
			Class: refresher.Denied,
			Code:  CodeTokenTypeUnsupported,
			Err:   fmt.Errorf("%s issued a token of type %.50q", x.endpoint.Host, upstream.Clean(kind)),
			Hint:  "only Bearer tokens can be handed out: do not bind this client's tokens to a key or certificate (DPoP, mTLS)",
		}
	}
	// RFC 8693 requires the type; servers that leave it out, or do not write a URI, issue what was
	// asked for.
	issued := a.IssuedTokenType
	if !isURI(issued) || issued == typeRefreshToken && requested != typeRefreshToken {
		issued = cmp.Or(requested, refresher.TypeAccessToken)
	}
	if requested == refresher.TypeIDToken && issued != refresher.TypeIDToken && issued != refresher.TypeJWT {
		return refresher.Credential{}, noIDToken(
			fmt.Errorf("%s was asked for an ID token and issued a token of type %.200q", x.endpoint.Host, upstream.Clean(issued)))
	}
	if target.Audience != "" {
		claims, err := refresher.ParseClaims(a.AccessToken)
		if err != nil {
			return refresher.Credential{}, noIDToken(fmt.Errorf("%s was asked for an ID token and issued something else: %w", x.endpoint.Host, err))
		}
		if !slices.Contains(claims.Audience, target.Audience) {
			// Keycloak, for one, takes the audience for a wish.
			return refresher.Credential{}, noIDToken(fmt.Errorf("%s was asked for an ID token for %.200q and issued one for %.200q",
				x.endpoint.Host, target.Audience, strings.Join(claims.Audience, " ")))
		}
	}
	expires, err := x.expiry(ctx, a)
	if err != nil {
		return refresher.Credential{}, err
	}
	return refresher.Credential{Value: refresher.Bearer{Token: a.AccessToken, Type: issued}, Expires: expires}, nil
}

// typeRefreshToken is what Keycloak calls access tokens that it gives for another server's.
const typeRefreshToken = "urn:ietf:params:oauth:token-type:refresh_token"

func noIDToken(err error) *refresher.Error {
	return &refresher.Error{
		Class: refresher.Denied,
		Code:  CodeIDTokenUnsupported,
		Err:   err,
		Hint:  "this endpoint exchanges no token for such an ID token: ask for an access token instead",
	}
}

// expiry finds out until when the token lives: by the answer, else by the token itself if it is a JWT,
// else by assumption.
func (x *Exchanger) expiry(ctx context.Context, a answer) (time.Time, error) {
	now := refresher.AttemptFrom(ctx).ServerNow()
	if a.ExpiresIn != nil {
		if a.ExpiresIn.Duration() == 0 {
			return time.Time{}, x.badAnswer("expires_in is not positive")
		}
		return now.Add(a.ExpiresIn.Duration()), nil
	}
	if claims, err := refresher.ParseClaims(a.AccessToken); err == nil {
		if !claims.Expires.After(now) {
			return time.Time{}, x.badAnswer("the token in the answer has expired")
		}
		return claims.Expires, nil
	}
	if x.o.AssumedLifetime == 0 {
		return time.Time{}, &refresher.Error{
			Class: refresher.Denied,
			Code:  CodeNoExpiry,
			Err:   fmt.Errorf("neither expires_in nor the token says how long the token of %s lives", x.endpoint.Host),
			Hint:  "find out how long it lives there, and set assumedLifetime to it",
		}
	}
	return now.Add(x.o.AssumedLifetime), nil
}

// badAnswer counts as passing: a broken proxy or a bad deployment of the service.
func (x *Exchanger) badAnswer(problem string) *refresher.Error {
	return &refresher.Error{
		Class: refresher.Transient,
		Code:  refresher.CodeBadCredential,
		Err:   fmt.Errorf("%s: %s", x.endpoint.Host, problem),
		Hint:  "check that tokenUrl is a token endpoint of RFC 8693",
	}
}

// isToken reports whether text can be shown in a header: visible ASCII. RFC 6749 appendix A.12
// permits spaces too, which no server uses and a header cannot carry.
func isToken(text refresher.Secret) bool {
	return text != "" && !strings.ContainsFunc(text.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' })
}
