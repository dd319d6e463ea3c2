package oauthsts

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// A refusal is an endpoint's error body. The zero refusal is a body that it did not write.
type refusal struct {
	code    string // RFC 6749 section 5.2; empty for a body of another format
	message string
}

// oauthError is what an OAuth error code looks like, if it is no longer than maxCode. Anything else in its
// place could be an echo of a token. (As a limit within the pattern it would cost memory and time.)
var oauthError = regexp.MustCompile(`^[a-z_]+$`)

const maxCode = 50

// parseRefusal reads the OAuth error, or what gateways and frameworks in front of an endpoint write in
// place of one:
//
//	{"error": "invalid_target", "error_description": "…"}                 RFC 6749 section 5.2
//	{"errors": ["permission denied"]}                                     Vault
//	{"status": 403, "error": "Forbidden", "message": "…", "path": "…"}    Spring; message alone: many
//	{"type": "…", "title": "…", "status": 403, "detail": "…"}             RFC 9457
//	{"errorCode": "E0000022", "errorSummary": "…"}                        Okta
func parseRefusal(body []byte) refusal {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return refusal{}
	}
	text := func(name string) string {
		var s string
		_ = json.Unmarshal(members[name], &s) // a member of another type says nothing
		return s
	}
	if code := text("error"); len(code) <= maxCode && oauthError.MatchString(code) {
		return refusal{code: code, message: text("error_description")}
	}
	var list []string
	_ = json.Unmarshal(members["errors"], &list)
	return refusal{message: cmp.Or(strings.Join(list, "; "), text("message"), text("detail"), text("title"), text("errorSummary"), text("error"))}
}

// classes are what a 4xx with an OAuth error means: RFC 6749 section 5.2, RFC 8693 section 2.2.2,
// RFC 8707 section 2, and codes in use that came from elsewhere. What is not listed goes by the
// status, and lands where it heals by itself.
var classes = map[string]refresher.Class{
	"temporarily_unavailable": refresher.Transient,
	"server_error":            refresher.Transient,

	"slow_down": refresher.Throttled,

	// RFC 8693 has invalid_request for a subject token that is invalid for any reason, expired and
	// unknown issuer included; many servers say invalid_grant, some invalid_token.
	"invalid_request": refresher.SubjectToken,
	"invalid_grant":   refresher.SubjectToken,
	"invalid_token":   refresher.SubjectToken,

	// The secret or key may have been rotated on one side only, or the clock of an assertion is being
	// learned from this very answer; so it must not count as final at once.
	"invalid_client":      refresher.Settling,
	"unauthorized_client": refresher.Settling,
	"invalid_target":      refresher.Settling,
	"access_denied":       refresher.Settling,

	"invalid_scope":          refresher.Denied,
	"unsupported_grant_type": refresher.Denied,
	"unsupported_token_type": refresher.Denied,
}

// meaning is the code that the standards have for what a server says, where that is another one: the
// codes for bad requests and bad tokens are used for anything, above all by Keycloak. Messages are matched
// loosely, and only to tell apart what the code does not.
func (r refusal) meaning(status int) string {
	message := strings.ToLower(r.message)
	says := func(phrases ...string) bool {
		return slices.ContainsFunc(phrases, func(phrase string) bool { return strings.Contains(message, phrase) })
	}
	switch vague := r.code == "invalid_request" || r.code == "invalid_client"; {
	case r.code == "unauthorized_client" && status == http.StatusUnauthorized:
		return "invalid_client" // 401 is for a client that could not prove who it is: RFC 6749 section 5.2
	case vague && says("audience not"):
		return "invalid_target"
	case vague && says("not enabled", "not allowed"):
		return "unauthorized_client"
	case r.code == "invalid_request" && says("requested_token_type", "tokens only"):
		return "unsupported_token_type"
	case r.code == "invalid_issuer":
		return "invalid_grant"
	}
	return r.code
}

// refused sorts the answer that the Attempt in ctx holds. form is what was sent, and secret, if any,
// the client's.
func (x *Exchanger) refused(ctx context.Context, form url.Values, subject refresher.Token, secret refresher.Secret) *refresher.Error {
	facts := refresher.AttemptFrom(ctx).Data()
	r := parseRefusal(facts.Body)
	r.message = upstream.Clean(r.message, subject.Raw, secret)
	e := upstream.StatusError(ctx, upstream.Reply{Code: r.code, Message: r.message})
	const path = "correct the path of tokenUrl"
	if e.Class != refresher.Settling {
		if facts.Status == http.StatusNotFound {
			e.Hint = path
		}
		return e // any service's rules: outages, throttling, redirects, bodies of somebody else
	}
	meaning := r.meaning(facts.Status)
	if class, known := classes[meaning]; known {
		e.Class = class
	}
	e.Hint = x.hint(meaning, form, subject)
	if e.Hint == "" && facts.Status == http.StatusNotFound {
		e.Hint = path
	}
	return e
}

// hint says what to do about an error, and names what the endpoint was asked; "" for errors that
// nothing is known about.
func (x *Exchanger) hint(code string, form url.Values, subject refresher.Token) string {
	host := x.endpoint.Host
	client := "a client without an id"
	if x.o.ClientID != "" {
		client = fmt.Sprintf("the client %.200q", x.o.ClientID)
	}
	switch code {
	case "invalid_client":
		return x.clientHint(client)
	case "unauthorized_client":
		return fmt.Sprintf("permit token exchange to %s at %s; asked for was %s", client, host, wanted(form))
	case "access_denied":
		return fmt.Sprintf("a policy of %s refuses this exchange to %s; asked for was %s; some servers want the client in the subject token's audience%s",
			host, client, wanted(form), describe(subject))
	case "invalid_target":
		return fmt.Sprintf("check that %s knows where the token is to be used and gives tokens for it to %s; asked for was %s", host, client, wanted(form))
	case "invalid_scope":
		return fmt.Sprintf("check that %s knows the scopes and gives them to %s; asked for was %s", host, client, wanted(form))
	case "invalid_request", "invalid_grant", "invalid_token":
		// The message alone can tell which: RFC 8693 has one code for a bad request and a bad token.
		return fmt.Sprintf("unless the message names something else, check that %s trusts the issuer of the subject token and takes it, sent as %s, from %s%s",
			host, form.Get("subject_token_type"), client, describe(subject))
	case "unsupported_grant_type":
		return fmt.Sprintf("%s offers no token exchange (RFC 8693) at this path: turn it on there, or correct tokenUrl", host)
	case "unsupported_token_type":
		return fmt.Sprintf("%s does not exchange these types of token: set subjectTokenType (sent was %s) or requestedTokenType (%s)",
			host, form.Get("subject_token_type"), cmp.Or(form.Get("requested_token_type"), "sent was none"))
	}
	return ""
}

// clientHint is what may be wrong with the client's proof.
func (x *Exchanger) clientHint(client string) string {
	host := x.endpoint.Host
	switch x.o.ClientAuth {
	case AuthBasic, AuthPost:
		where := "clientSecret"
		if x.o.ClientSecretFile != "" {
			where = "the file " + x.o.ClientSecretFile + ", which is read again at each attempt"
		}
		return fmt.Sprintf("%s knows no such client, or it has another secret, or may not use the method %s: compare %s with the secret in %s",
			host, x.o.ClientAuth, client, where)
	case AuthPrivateKeyJWT:
		audience := "tokenUrl" // not its text: a query may hold a key
		if x.o.AssertionAudience != "" {
			audience = fmt.Sprintf("%.200q", x.o.AssertionAudience)
		}
		return fmt.Sprintf("check that %s is registered at %s for private_key_jwt with the public key of %s (keyId %.200q), that the assertion's audience, %s, is accepted there, and the clocks",
			client, host, x.o.PrivateKeyFile, x.o.KeyID, audience)
	}
	return fmt.Sprintf("%s does not take requests from %s: set clientId, and clientSecretFile or privateKeyFile", host, client)
}

// wanted names what was asked for.
func wanted(form url.Values) string {
	var parts []string
	for _, name := range []string{"audience", "resource", "scope"} {
		if values := form[name]; len(values) > 0 {
			parts = append(parts, fmt.Sprintf("%s %.200q", name, strings.Join(values, " ")))
		}
	}
	if len(parts) == 0 {
		return "no audience, resource or scope"
	}
	return strings.Join(parts, ", ")
}

// describe shows what the endpoint compares, of tokens that can be read. Claims are no secret, only
// the signed whole is; they are quoted because their text is the issuer's.
func describe(subject refresher.Token) string {
	claims, err := refresher.ParseClaims(subject.Raw)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("; the token says iss=%.200q sub=%.200q aud=%.200q",
		claims.Issuer, claims.Subject, strings.Join(claims.Audience, " "))
}
