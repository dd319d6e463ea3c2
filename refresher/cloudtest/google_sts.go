package cloudtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Token types of RFC 8693, and Google's own for signed AWS requests.
const (
	grantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccessToken    = "urn:ietf:params:oauth:token-type:access_token"
	typeIDToken        = "urn:ietf:params:oauth:token-type:id_token"
	typeJWT            = "urn:ietf:params:oauth:token-type:jwt"
	typeAWSRequest     = "urn:ietf:params:aws:token-type:aws4_request"
)

// An exchangeRequest is a token exchange request (RFC 8693 section 2.1), as its JSON form names things.
type exchangeRequest struct {
	GrantType          string `json:"grantType"`
	Audience           string `json:"audience"`
	Scope              string `json:"scope"`
	RequestedTokenType string `json:"requestedTokenType"`
	SubjectToken       string `json:"subjectToken"`
	SubjectTokenType   string `json:"subjectTokenType"`
	Options            string `json:"options"`
}

// An oauthError is an error answer of RFC 6749 section 5.2.
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

const audienceHelp = `Invalid value for "audience". This value should be the full resource name of the Identity Provider. See https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token for the list of possible formats.`

// token exchanges a subject token for a federated access token.
// https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
func (g *Google) token(w http.ResponseWriter, r *http.Request) {
	federated, failure := g.exchange(r)
	if failure != nil {
		writeJSON(w, googleJSON, http.StatusBadRequest, failure)
		return
	}
	writeJSON(w, googleJSON, http.StatusOK, federated)
}

// A federated is the answer of RFC 8693 section 2.2.1.
type federated struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int    `json:"expires_in"`
}

func (g *Google) exchange(r *http.Request) (federated, *oauthError) {
	wanted, failure := readExchange(r)
	if failure != nil {
		return federated{}, failure
	}
	if failure := wanted.check(); failure != nil {
		return federated{}, failure
	}
	provider, failure := g.provider(wanted.Audience)
	if failure != nil {
		return federated{}, failure
	}
	claims, expires, failure := g.verify(r, wanted, provider)
	if failure != nil {
		return federated{}, failure
	}
	granted, failure := provider.federate(claims)
	if failure != nil {
		return federated{}, failure
	}
	// A federated token outlives neither an hour nor its subject token.
	now := g.now()
	lifetime := g.limit(min(time.Hour, expires.Sub(now)))
	granted.scopes = strings.Fields(wanted.Scope)
	granted.expires = now.Add(lifetime)
	return federated{
		AccessToken:     g.issue("ya29.d.", granted),
		IssuedTokenType: typeAccessToken,
		TokenType:       "Bearer",
		ExpiresIn:       int(lifetime.Seconds()),
	}, nil
}

// readExchange reads a form or a JSON document.
func readExchange(r *http.Request) (exchangeRequest, *oauthError) {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme != "" && !strings.EqualFold(scheme, "Basic") {
		return exchangeRequest{}, &oauthError{"invalid_request", "Authorization must be absent, or Basic for client authentication."}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return exchangeRequest{}, &oauthError{"invalid_request", "The body could not be read."}
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch kind {
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return exchangeRequest{}, &oauthError{"invalid_request", "The form could not be parsed."}
		}
		return exchangeRequest{
			GrantType:          form.Get("grant_type"),
			Audience:           form.Get("audience"),
			Scope:              form.Get("scope"),
			RequestedTokenType: form.Get("requested_token_type"),
			SubjectToken:       form.Get("subject_token"),
			SubjectTokenType:   form.Get("subject_token_type"),
			Options:            form.Get("options"),
		}, nil
	case "application/json", "text/json":
		var wanted exchangeRequest
		if err := json.Unmarshal(body, &wanted); err != nil {
			return exchangeRequest{}, &oauthError{"invalid_request", "Invalid JSON payload received."}
		}
		return wanted, nil
	}
	return exchangeRequest{}, &oauthError{"invalid_request", "Unsupported Content-Type."}
}

// check judges what does not depend on a provider.
func (e exchangeRequest) check() *oauthError {
	if e.GrantType != grantTokenExchange {
		return &oauthError{"unsupported_grant_type", fmt.Sprintf("Invalid value for \"grant_type\": %q.", e.GrantType)}
	}
	if e.RequestedTokenType != typeAccessToken {
		return &oauthError{"invalid_request", fmt.Sprintf("Invalid value for \"requested_token_type\": %q.", e.RequestedTokenType)}
	}
	if !slices.Contains([]string{typeJWT, typeIDToken, typeAWSRequest}, e.SubjectTokenType) {
		return &oauthError{"invalid_request", fmt.Sprintf("Invalid value for \"subject_token_type\": %q.", e.SubjectTokenType)}
	}
	if e.SubjectToken == "" {
		return &oauthError{"invalid_request", `Missing required field "subject_token".`}
	}
	scopes := strings.Fields(e.Scope)
	if len(scopes) == 0 || slices.ContainsFunc(scopes, func(s string) bool { return !googleScope.MatchString(s) }) {
		return &oauthError{"invalid_scope", "Invalid OAuth scope or ID token audience provided."}
	}
	if e.Options != "" && !json.Valid([]byte(e.Options)) {
		// Python's library percent-encodes the JSON once more than a form needs.
		decoded, err := url.QueryUnescape(e.Options)
		if err != nil || !json.Valid([]byte(decoded)) {
			return &oauthError{"invalid_request", `Invalid value for "options".`}
		}
	}
	return nil
}

// provider finds the one that the audience names.
func (g *Google) provider(audience string) (PoolProvider, *oauthError) {
	name, ok := strings.CutPrefix(audience, "//iam.googleapis.com/")
	if !ok || !providerName.MatchString(name) {
		return PoolProvider{}, &oauthError{"invalid_request", audienceHelp}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	p, ok := g.providers[name]
	if !ok || p.Disabled {
		return PoolProvider{}, &oauthError{"invalid_target", `The target service indicated by the "audience" parameters is invalid. This might either be because the pool or provider is disabled or deleted or because it doesn't exist.`}
	}
	return p, nil
}

// verify checks the subject token. It returns what that asserts, and until when.
func (g *Google) verify(r *http.Request, wanted exchangeRequest, p PoolProvider) (map[string]any, time.Time, *oauthError) {
	if (wanted.SubjectTokenType == typeAWSRequest) != (p.AWSAccount != "") {
		return nil, time.Time{}, &oauthError{"invalid_request",
			`Invalid value for "subject_token_type": the identity provider does not take this type.`}
	}
	if p.AWSAccount != "" {
		claims, failure := g.verifyAWS(r.Context(), wanted.SubjectToken, p)
		return claims, g.now().Add(time.Hour), failure
	}
	audiences := p.AllowedAudiences
	if len(audiences) == 0 {
		audiences = []string{"https://iam.googleapis.com/" + p.Name, "//iam.googleapis.com/" + p.Name}
	}
	token, err := g.verifier.Verify(r.Context(), wanted.SubjectToken, Trust{
		Issuer:      p.Issuer,
		Audiences:   audiences,
		MaxLifetime: 24 * time.Hour,
	})
	if refusal, ok := errors.AsType[*VerifyError](err); ok {
		return nil, time.Time{}, &oauthError{"invalid_grant", googleWords(refusal)}
	}
	return token.Claims, token.Expires, nil
}

// googleWords says why a token is refused as STS does.
func googleWords(refusal *VerifyError) string {
	token := refusal.Token
	switch refusal.Reason {
	case Malformed:
		return "Unable to parse the ID Token."
	case IssuerUnreachable, IssuerInvalid:
		return "Error connecting to the given credential's issuer."
	case UnknownKey, BadSignature:
		return "Unable to verify the signature of the ID Token: " + refusal.Error() + "."
	case WrongIssuer:
		return fmt.Sprintf("The issuer in ID Token %s does not match the expected issuer.", token.Issuer)
	case WrongAudience:
		return fmt.Sprintf("The audience in ID Token [%s] does not match the expected audience.", strings.Join(token.Audience, ", "))
	case Expired:
		return fmt.Sprintf("ID Token issued at %d is stale to sign-in.", token.Issued.Unix())
	}
	return "Invalid ID Token: " + refusal.Error() + "."
}

// federate maps what a token asserts to a principal.
func (p PoolProvider) federate(claims map[string]any) (grant, *oauthError) {
	subject, _ := claims["sub"].(string)
	if p.AWSAccount != "" {
		subject, _ = claims["arn"].(string)
	}
	if p.Subject != nil {
		subject = p.Subject(claims)
	}
	if subject == "" || len(subject) > 127 {
		return grant{}, &oauthError{"invalid_grant", "The mapped attribute \"google.subject\" must be 1 to 127 bytes long."}
	}
	if p.Condition != nil && !p.Condition(claims) {
		return grant{}, &oauthError{"unauthorized_client", "The given credential is rejected by the attribute condition."}
	}
	pool := providerName.FindStringSubmatch(p.Name)[1]
	return grant{principal: "principal://iam.googleapis.com/" + pool + "/subject/" + subject, pool: pool}, nil
}

// introspect tells what a token is (RFC 7662); gcloud asks it for the account's name.
func (g *Google) introspect(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.PostForm.Get("token") == "" {
		writeJSON(w, googleJSON, http.StatusBadRequest, oauthError{"invalid_request", `Missing required field "token".`})
		return
	}
	granted, ok := g.granted(r.PostForm.Get("token"))
	if !ok {
		writeJSON(w, googleJSON, http.StatusOK, map[string]bool{"active": false})
		return
	}
	writeJSON(w, googleJSON, http.StatusOK, map[string]any{
		"active":   true,
		"username": granted.principal,
		"sub":      granted.principal,
		"exp":      strconv.FormatInt(granted.expires.Unix(), 10),
		"iss":      "https://sts.googleapis.com/",
		"scope":    strings.Join(granted.scopes, " "),
	})
}
