package cloudtest

import (
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// claimType says what an issued token is, for Validate and for subject tokens.
const claimType = "token_type_uri"

// oauthParameters are those that the request of RFC 8693 section 2.1 and the client's proof may have;
// true: more than once. Others are ignored, as RFC 6749 section 3.2 requires.
var oauthParameters = map[string]bool{
	"grant_type": false, "subject_token": false, "subject_token_type": false,
	"actor_token": false, "actor_token_type": false, "requested_token_type": false,
	"audience": true, "resource": true, "scope": false,
	"client_id": false, "client_secret": false, "client_assertion": false, "client_assertion_type": false,
}

// An exchangeAnswer is the answer of RFC 8693 section 2.2.1.
type exchangeAnswer struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int    `json:"expires_in"`
	Scope           string `json:"scope,omitempty"`
}

func (s *OAuthSTS) serveToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	answer, failure := s.exchange(r)
	if failure != nil {
		failure.write(w)
		return
	}
	noStore(w)
	writeJSON(w, oauthJSON, http.StatusOK, answer)
}

// exchange checks a request in full.
func (s *OAuthSTS) exchange(r *http.Request) (exchangeAnswer, *oauthFailure) {
	form, failure := oauthForm(r)
	if failure != nil {
		return exchangeAnswer{}, failure
	}
	client, failure := s.authenticate(r, form)
	if failure != nil {
		return exchangeAnswer{}, failure
	}
	switch grant := form.Get("grant_type"); {
	case grant == "":
		return exchangeAnswer{}, invalidRequest("grant_type is missing")
	case grant != grantTokenExchange:
		return exchangeAnswer{}, oauthRefusal("unsupported_grant_type", "grant_type %s", grant)
	case client.NoExchange:
		return exchangeAnswer{}, oauthRefusal("unauthorized_client", "the client may not exchange tokens")
	case form.Has("actor_token") || form.Has("actor_token_type"):
		return exchangeAnswer{}, invalidRequest("actor tokens are not supported")
	}
	if failure := s.checkTarget(client, form); failure != nil {
		return exchangeAnswer{}, failure
	}
	subject, failure := s.subject(r.Context(), client, form)
	if failure != nil {
		return exchangeAnswer{}, failure
	}
	return s.issue(client, subject, form)
}

// oauthForm reads the parameters. Those without a value count as left out (RFC 6749 section 3.2).
func oauthForm(r *http.Request) (url.Values, *oauthFailure) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return nil, invalidRequest("the body's type is not application/x-www-form-urlencoded")
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalidRequest("the URL's query is malformed")
	}
	for name := range query {
		if _, ours := oauthParameters[name]; ours {
			return nil, invalidRequest("%s is in the URL", name)
		}
	}
	r.Body = http.MaxBytesReader(nil, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		return nil, invalidRequest("the body is malformed")
	}
	form := r.PostForm
	for name, values := range form {
		if repeatable, ours := oauthParameters[name]; ours && !repeatable && len(values) > 1 {
			return nil, invalidRequest("%s occurs more than once", name)
		}
		form[name] = slices.DeleteFunc(values, func(value string) bool { return value == "" })
		if len(form[name]) == 0 {
			delete(form, name)
		}
	}
	return form, nil
}

// checkTarget sees to it that what is asked for is known, and open to the client.
func (s *OAuthSTS) checkTarget(client OAuthClient, form url.Values) *oauthFailure {
	for _, audience := range form["audience"] {
		if !slices.Contains(s.o.Audiences, audience) {
			return oauthRefusal("invalid_target", "audience %s is not known", audience)
		}
		if client.Audiences != nil && !slices.Contains(client.Audiences, audience) {
			return oauthRefusal("access_denied", "the client may not have tokens for audience %s", audience)
		}
	}
	for _, resource := range form["resource"] {
		if u, err := url.Parse(resource); err != nil || !u.IsAbs() || strings.Contains(resource, "#") {
			return oauthRefusal("invalid_target", "resource %s is not an absolute URI without a fragment", resource)
		}
		if !slices.Contains(s.o.Resources, resource) {
			return oauthRefusal("invalid_target", "resource %s is not known", resource)
		}
	}
	if !form.Has("scope") {
		return nil
	}
	for scope := range strings.SplitSeq(form.Get("scope"), " ") {
		if !slices.Contains(s.o.Scopes, scope) {
			return oauthRefusal("invalid_scope", "scope %q is not known", scope)
		}
	}
	return nil
}

// issue makes the token.
func (s *OAuthSTS) issue(client OAuthClient, subject string, form url.Values) (exchangeAnswer, *oauthFailure) {
	kind := form.Get("requested_token_type")
	if kind == "" {
		kind = typeAccessToken
	}
	use := "N_A" // RFC 8693 section 2.2.1: for what is not an access token
	switch kind {
	case typeAccessToken:
		use = "Bearer"
	case typeJWT:
	case typeIDToken:
		if len(form["audience"]) != 1 || form.Has("resource") {
			return exchangeAnswer{}, oauthRefusal("invalid_target", "an ID token is for one audience")
		}
	default:
		return exchangeAnswer{}, invalidRequest("requested_token_type %s is not supported", kind)
	}
	audience := slices.Concat(form["audience"], form["resource"])
	if len(audience) == 0 {
		audience = []string{s.o.URL}
	}
	now := s.now()
	lifetime := s.limit(s.o.Lifetime)
	claims := map[string]any{
		"iss":     s.o.URL,
		"sub":     subject,
		"aud":     audience,
		"iat":     now.Unix(),
		"exp":     now.Add(lifetime).Unix(),
		"jti":     s.chance.uuid(),
		claimType: kind,
	}
	if client.ID != "" {
		claims["client_id"] = client.ID
	}
	if scope := form.Get("scope"); scope != "" {
		claims["scope"] = scope
	}
	return exchangeAnswer{
		AccessToken:     sign(jose.RS256, s.keys.key(jose.RS256), claims),
		IssuedTokenType: kind,
		TokenType:       use,
		ExpiresIn:       int(lifetime / time.Second),
		Scope:           form.Get("scope"),
	}, nil
}
