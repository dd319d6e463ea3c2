package cloudtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
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
	now := g.now()
	granted, userProject, failure := g.exchange(r, now)
	if failure != nil {
		writeOAuthError(w, failure)
		return
	}
	if g.bill(w, granted, "token", userProject) {
		writeJSON(w, googleJSON, http.StatusOK, federated{
			AccessToken:     g.issue("ya29.d.", granted),
			IssuedTokenType: typeAccessToken,
			TokenType:       "Bearer",
			ExpiresIn:       int(granted.expires.Sub(now).Seconds()),
		})
	}
}

// A federated is the answer of RFC 8693 section 2.2.1.
type federated struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int    `json:"expires_in"`
}

// exchange returns what the subject token is worth, and which project is to be billed.
func (g *Google) exchange(r *http.Request, now time.Time) (granted grant, userProject string, failure *oauthError) {
	client, failure := g.client(r)
	if failure != nil {
		return grant{}, "", failure
	}
	wanted, failure := readExchange(r)
	if failure != nil {
		return grant{}, "", failure
	}
	if failure := wanted.check(); failure != nil {
		return grant{}, "", failure
	}
	options, failure := wanted.options()
	if failure != nil {
		return grant{}, "", failure
	}
	provider, failure := g.provider(wanted.Audience)
	if failure != nil {
		return grant{}, "", failure
	}
	userProject = options.UserProject
	if client != "" {
		userProject = "" // the client's project counts
	} else if provider.workforce() && userProject == "" {
		return grant{}, "", &oauthError{"invalid_request", "A workforce pool's token request must name a userProject or authenticate an OAuth client."}
	}
	claims, expires, failure := g.verify(r, wanted, provider)
	if failure != nil {
		return grant{}, "", failure
	}
	granted, failure = provider.federate(claims)
	if failure != nil {
		return grant{}, "", failure
	}
	// A federated token outlives neither an hour nor its subject token.
	granted.scopes = strings.Fields(wanted.Scope)
	granted.expires = now.Add(g.limit(min(time.Hour, expires.Sub(now))))
	return granted, userProject, nil
}

// readExchange reads a form or a JSON document.
func readExchange(r *http.Request) (exchangeRequest, *oauthError) {
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
	if !slices.Contains([]string{typeJWT, typeIDToken, typeAWSRequest, typeSAML2}, e.SubjectTokenType) {
		return &oauthError{"invalid_request", fmt.Sprintf("Invalid value for \"subject_token_type\": %q.", e.SubjectTokenType)}
	}
	if e.SubjectToken == "" {
		return &oauthError{"invalid_request", `Missing required field "subject_token".`}
	}
	scopes := strings.Fields(e.Scope)
	if len(scopes) == 0 || slices.ContainsFunc(scopes, func(s string) bool { return !googleScope.MatchString(s) }) {
		return &oauthError{"invalid_scope", "Invalid OAuth scope or ID token audience provided."}
	}
	return nil
}

// exchangeOptions are the options of a token exchange, of which accessBoundary is not looked into.
// https://cloud.google.com/iam/docs/reference/sts/rest/v1/Options
type exchangeOptions struct {
	AccessBoundary json.RawMessage `json:"accessBoundary"`
	UserProject    string          `json:"userProject"`
}

var googleProject = regexp.MustCompile(`^[a-z0-9][a-z0-9.:-]{0,31}$`)

// options reads the JSON text. Python's library percent-encodes it once more than a form needs.
func (e exchangeRequest) options() (exchangeOptions, *oauthError) {
	invalid := &oauthError{"invalid_request", `Invalid value for "options".`}
	if e.Options == "" {
		return exchangeOptions{}, nil
	}
	text := e.Options
	if !json.Valid([]byte(text)) {
		decoded, err := url.QueryUnescape(text)
		if err != nil {
			return exchangeOptions{}, invalid
		}
		text = decoded
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	var o exchangeOptions
	if decoder.Decode(&o) != nil || decoder.More() {
		return exchangeOptions{}, invalid
	}
	if o.UserProject != "" && !googleProject.MatchString(o.UserProject) {
		return exchangeOptions{}, invalid
	}
	return o, nil
}

// provider finds the one that the audience names.
func (g *Google) provider(audience string) (PoolProvider, *oauthError) {
	name, ok := strings.CutPrefix(audience, "//iam.googleapis.com/")
	if fleetName.MatchString(audience) {
		name = audience
	} else if !ok || !providerName.MatchString(name) {
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
	if !p.takes(wanted.SubjectTokenType) {
		return nil, time.Time{}, &oauthError{"invalid_request",
			`Invalid value for "subject_token_type": the identity provider does not take this type.`}
	}
	if p.AWSAccount != "" {
		claims, failure := g.verifyAWS(r.Context(), wanted.SubjectToken, p)
		return claims, g.now().Add(time.Hour), failure
	}
	if p.SAMLEntityID != "" {
		return g.verifySAML(wanted.SubjectToken, p)
	}
	audiences := p.AllowedAudiences
	switch {
	case len(audiences) > 0:
	case p.fleet() != "":
		audiences = []string{p.fleet()}
	default:
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
	if p.SAMLEntityID != "" {
		subject, _ = claims["subject"].(string)
	}
	if p.Subject != nil {
		subject = p.Subject(claims)
	}
	if subject == "" {
		return grant{}, &oauthError{"invalid_grant", "The mapped attribute google.subject must not be empty."}
	}
	if len(subject) > 127 {
		return grant{}, &oauthError{"invalid_request", "The size of mapped attribute google.subject exceeds the 127 bytes limit. Either modify your attribute mapping or the incoming assertion to produce a mapped attribute that is less than 127 bytes."}
	}
	if p.Condition != nil && !p.Condition(claims) {
		return grant{}, &oauthError{"unauthorized_client", "The given credential is rejected by the attribute condition."}
	}
	if fleet := p.fleet(); fleet != "" {
		// A fleet's members are known as those of GKE clusters are: by namespace and account.
		account, ok := strings.CutPrefix(subject, "system:serviceaccount:")
		if !ok || strings.Count(account, ":") != 1 {
			return grant{}, &oauthError{"invalid_grant", "The subject is not a Kubernetes service account."}
		}
		return grant{principal: "serviceAccount:" + fleet + "[" + strings.Replace(account, ":", "/", 1) + "]"}, nil
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
