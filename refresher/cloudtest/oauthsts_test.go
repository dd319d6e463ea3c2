package cloudtest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const (
	ssoURL       = "https://sso.example.test/realms/a"
	ssoToken     = ssoURL + "/token"
	exchangeType = "urn:ietf:params:oauth:grant-type:token-exchange"
	tokenType    = "urn:ietf:params:oauth:token-type:"
)

func newOAuthSTS(w *world) *cloudtest.OAuthSTS {
	s := cloudtest.NewOAuthSTS(cloudtest.OAuthSTSOptions{
		URL: ssoURL,
		Clients: []cloudtest.OAuthClient{
			{ID: "public", Auth: "none"},
			{ID: "basic:1", Auth: "client_secret_basic", Secret: "a+b c%"},
			{ID: "post", Auth: "client_secret_post", Secret: "hunter2"},
			{ID: "signer", Auth: "private_key_jwt", Keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: clientKey.Public(), KeyID: "k1"}}}},
			{ID: "signer2", Auth: "private_key_jwt", Keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: clientKey.Public(), KeyID: "k1"}}}},
			{ID: "shut", Auth: "none", NoExchange: true},
			{ID: "narrow", Auth: "none", Audiences: []string{"stock"}},
		},
		Trusted:   []cloudtest.Trust{{Issuer: issuerURL, Audiences: []string{ssoURL}}},
		Audiences: []string{"orders", "stock", entraAud},
		Resources: []string{"https://api.example"},
		Scopes:    []string{"read", "write"},
		SAML: func(raw string) (string, error) {
			if raw != "PHNhbWwvPg==" {
				return "", errors.New("not an assertion")
			}
			return "alice", nil
		},
		Transport: w.net, Now: w.clock, Rand: seeded(),
	})
	w.net.Handle("sso.example.test", s)
	return s
}

func (w *world) ssoForm() map[string]string {
	return map[string]string{
		"grant_type":         exchangeType,
		"client_id":          "public",
		"subject_token":      w.ssoSubject(cloudtest.TokenOptions{}),
		"subject_token_type": tokenType + "jwt",
		"audience":           "orders",
		"scope":              "read write",
	}
}

func (w *world) ssoSubject(o cloudtest.TokenOptions) string {
	if o.Audience == nil {
		o.Audience = []string{ssoURL}
	}
	return w.issuer.Mint(o)
}

func TestOAuthSTSAnswers(t *testing.T) {
	w := newWorld(t)
	s := newOAuthSTS(w)
	answer, body := w.postForm(ssoToken, w.ssoForm())
	golden(t, "oauthsts_token", answer, body)
	got, err := s.Validate(field(w, body, "access_token"))
	if err != nil {
		t.Fatal(err)
	}
	want := cloudtest.OAuthToken{
		Type: tokenType + "access_token", Subject: "system:serviceaccount:default:default", Audience: []string{"orders"},
		ClientID: "public", Scope: "read write", Expires: start.Add(5 * time.Minute).Local(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Validate (-want +got):\n%s", diff)
	}
	if _, err := s.Validate(w.ssoSubject(cloudtest.TokenOptions{})); err == nil {
		t.Error("Validate of somebody else's token = no error, want one")
	}
	w.now = w.now.Add(5 * time.Minute)
	if _, err := s.Validate(field(w, body, "access_token")); err == nil {
		t.Error("Validate of an expired token = no error, want one")
	}
	w.now = start

	answer, body = w.postForm(ssoToken, with(w.ssoForm(), "requested_token_type", tokenType+"id_token"))
	golden(t, "oauthsts_id_token", answer, body)
	answer, body = w.postForm(ssoToken, with(w.ssoForm(), "audience", "nobody"))
	golden(t, "oauthsts_invalid_target", answer, body)
	r := w.ssoRequest(w.ssoForm())
	r.SetBasicAuth("public", "x")
	answer, body = w.send(r)
	golden(t, "oauthsts_invalid_client", answer, body)
	s.Inject(cloudtest.Fault{Throttle: true, RetryAfter: time.Minute, Times: 1})
	answer, body = w.postForm(ssoToken, w.ssoForm())
	golden(t, "oauthsts_throttled", answer, body)
	for name, at := range map[string]string{
		"openid": ssoURL + "/.well-known/openid-configuration",
		"oauth":  "https://sso.example.test/.well-known/oauth-authorization-server/realms/a",
	} {
		answer, body = w.send(w.request("GET", at, ""))
		golden(t, "oauthsts_metadata_"+name, answer, body)
	}
	if n := s.Calls("token"); n != 5 {
		t.Errorf("Calls(token) = %d, want 5", n)
	}
}

// ssoRequest is a request with a form whose values may be repeated, separated by "|".
func (w *world) ssoRequest(form map[string]string) *http.Request {
	values := url.Values{}
	for name, all := range form {
		for value := range strings.SplitSeq(all, "|") {
			values.Add(name, value)
		}
	}
	r := w.request("POST", ssoToken, values.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// checkSSO wants "status error: description…", or a token if want is empty.
func checkSSO(w *world, want string) func(*http.Response, string) {
	return func(answer *http.Response, body string) {
		w.Helper()
		if want == "" {
			if answer.StatusCode != http.StatusOK || field(w, body, "access_token") == "" {
				w.Errorf("answer = %s %s, want 200", answer.Status, body)
			}
		} else if got := answer.Status[:3] + " " + field(w, body, "error") + ": " + field(w, body, "error_description"); !strings.HasPrefix(got, want) {
			w.Errorf("answer = %s, want %s…", got, want)
		}
		if got := answer.Header.Get("Cache-Control"); got != "no-store" {
			w.Errorf("Cache-Control = %q, want no-store", got)
		}
	}
}

func TestOAuthSTSRequests(t *testing.T) {
	type tokenOptions = cloudtest.TokenOptions
	subject := func(o tokenOptions) func(*world, map[string]string) {
		return func(w *world, form map[string]string) { form["subject_token"] = w.ssoSubject(o) }
	}
	first := newWorld(t)
	for _, c := range []struct {
		name   string
		change func(w *world, form map[string]string)
		want   string
	}{
		{"unchanged", nil, ""},
		{"no scope and no target", func(_ *world, form map[string]string) { form["scope"], form["audience"] = "", "" }, ""},
		{"two audiences and a resource", func(_ *world, form map[string]string) {
			form["audience"], form["resource"] = "orders|stock", "https://api.example"
		}, ""},
		{"an unknown parameter, twice", set("x", "1|2"), ""},
		{"no grant type", set("grant_type", ""), "400 invalid_request: grant_type is missing"},
		{"another grant type", set("grant_type", "client_credentials"), "400 unsupported_grant_type:"},
		{"a parameter twice", set("scope", "read|write"), "400 invalid_request: scope occurs more than once"},
		{"the same parameter twice", set("client_id", "public|public"), "400 invalid_request: client_id occurs more than once"},
		{"an actor token", set("actor_token", "x"), "400 invalid_request: actor tokens"},
		{"an actor token's type", set("actor_token_type", tokenType+"jwt"), "400 invalid_request: actor tokens"},
		{"an unknown audience", set("audience", "orders|nobody"), "400 invalid_target: audience nobody"},
		{"an unknown resource", set("resource", "https://x.example"), "400 invalid_target: resource https://x.example is not known"},
		{"a resource with a fragment", set("resource", "https://api.example#"), "400 invalid_target: resource https://api.example# is not an absolute URI"},
		{"a resource that is a name", set("resource", "orders"), "400 invalid_target: resource orders is not an absolute URI"},
		{"an unknown scope", set("scope", "read admin"), `400 invalid_scope: scope "admin"`},
		{"two spaces between scopes", set("scope", "read  write"), `400 invalid_scope: scope ""`},
		{"an ID token for two", func(_ *world, form map[string]string) {
			form["audience"], form["requested_token_type"] = "orders|stock", tokenType+"id_token"
		}, "400 invalid_target: an ID token is for one audience"},
		{"a JWT", set("requested_token_type", tokenType+"jwt"), ""},
		{"a refresh token", set("requested_token_type", tokenType+"refresh_token"), "400 invalid_request: requested_token_type"},
		{"a client that may not exchange", set("client_id", "shut"), "400 unauthorized_client:"},
		{"a client that may not have this audience", set("client_id", "narrow"), "400 access_denied:"},
		{"a client that may have this audience", func(_ *world, form map[string]string) { form["client_id"], form["audience"] = "narrow", "stock" }, ""},

		{"no subject token", set("subject_token", ""), "400 invalid_request: subject_token is missing"},
		{"no subject token type", set("subject_token_type", ""), "400 invalid_request: subject_token_type is missing"},
		{"another subject token type", set("subject_token_type", tokenType+"saml1"), "400 invalid_request: subject_token_type"},
		{"an ID token as subject", set("subject_token_type", tokenType+"id_token"), ""},
		{"somebody else's access token", set("subject_token_type", tokenType+"access_token"), "400 invalid_request: subject_token: issuer " + issuerURL + " is not trusted for tokens of type"},
		{"no JWT", set("subject_token", "x"), "400 invalid_request: subject_token: not a JWT"},
		{"an issuer that is not trusted", subject(tokenOptions{Claims: map[string]any{"iss": "https://x.example"}}), "400 invalid_request: subject_token: issuer https://x.example is not trusted"},
		{"an issuer that is down", func(w *world, _ map[string]string) { w.issuer.Refuse(true) }, "400 temporarily_unavailable:"},
		{"another audience of the subject token", subject(tokenOptions{Audience: []string{"x"}}), "400 invalid_request: subject_token: audience"},
		{"an expired subject token", subject(tokenOptions{Issued: start.Add(-2 * time.Hour)}), "400 invalid_request: subject_token: expired"},
		{"a badly signed subject token", subject(tokenOptions{WrongKey: true}), "400 invalid_request: subject_token: the signature"},
		{"an unsigned subject token", subject(tokenOptions{Algorithm: "none"}), "400 invalid_request: subject_token:"},
		{"a SAML assertion", func(_ *world, form map[string]string) {
			form["subject_token"], form["subject_token_type"] = "PHNhbWwvPg==", tokenType+"saml2"
		}, ""},
		{"a bad SAML assertion", set("subject_token_type", tokenType+"saml2"), "400 invalid_request: subject_token: not an assertion"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			newOAuthSTS(w)
			form := w.ssoForm()
			if c.change != nil {
				c.change(w, form)
			}
			checkSSO(w, c.want)(w.send(w.ssoRequest(form)))
		})
	}
}

func TestOAuthSTSTakesItsOwnTokens(t *testing.T) {
	w := newWorld(t)
	newOAuthSTS(w)
	_, body := w.postForm(ssoToken, w.ssoForm())
	access := field(w, body, "access_token")
	for _, c := range []struct{ name, client, kind, token, want string }{
		{"as an access token", "public", "access_token", access, ""},
		{"as a JWT", "public", "jwt", access, ""},
		{"as an ID token", "public", "id_token", access, "400 invalid_request: subject_token is of type"},
		{"by another client", "narrow", "access_token", access, "400 invalid_request: subject_token was issued neither"},
		{"with another signature", "public", "access_token", access[:len(access)-8] + "AAAAAAAA", "400 invalid_request: subject_token:"},
	} {
		form := w.ssoForm()
		form["client_id"], form["subject_token"], form["subject_token_type"] = c.client, c.token, tokenType+c.kind
		form["audience"] = "stock"
		t.Run(c.name, func(*testing.T) { checkSSO(w, c.want)(w.postForm(ssoToken, form)) })
	}
	w.now = w.now.Add(5 * time.Minute)
	form := with(w.ssoForm(), "subject_token", access)
	checkSSO(w, "400 invalid_request: subject_token: the token has expired")(w.postForm(ssoToken, form))
}

func TestOAuthSTSIsAnIssuerForOthers(t *testing.T) {
	w := newWorld(t)
	newOAuthSTS(w)
	entra := cloudtest.NewEntra(cloudtest.EntraOptions{
		Apps: []cloudtest.App{{TenantID: tenantID, ClientID: clientID, Credentials: []cloudtest.FederatedCredential{
			{Issuer: ssoURL, Subject: "system:serviceaccount:default:default", Audience: entraAud},
		}}},
		Transport: w.net, Now: w.clock,
	})
	w.net.Handle("login.microsoftonline.com", entra)
	_, body := w.postForm(ssoToken, with(w.ssoForm(), "audience", entraAud))
	checkEntra(w, "")(w.postForm(entraURL, with(w.entraForm(), "client_assertion", field(w, body, "access_token"))))
}

func TestOAuthSTSPathsAndMethods(t *testing.T) {
	w := newWorld(t)
	newOAuthSTS(w)
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/token", 405}, {"POST", "/jwks", 405}, {"HEAD", "/jwks", 200}, {"GET", "/", 404}, {"GET", "/token/", 404},
	} {
		if answer, _ := w.send(w.request(c.method, ssoURL+c.path, "")); answer.StatusCode != c.want {
			t.Errorf("%s %s = %s, want %d", c.method, c.path, answer.Status, c.want)
		}
	}
	for contentType, want := range map[string]string{
		"application/x-www-form-urlencoded; charset=utf-8": "",
		"application/json": "400 invalid_request: the body's type",
		"":                 "400 invalid_request: the body's type",
	} {
		r := w.ssoRequest(w.ssoForm())
		r.Header.Set("Content-Type", contentType)
		checkSSO(w, want)(w.send(r))
	}
	form := w.ssoForm()
	checkSSO(w, "")(w.postForm(ssoToken+"?tenant=a", form))
	for _, query := range []string{"audience=orders", "client_id=public"} {
		checkSSO(w, "400 invalid_request: "+strings.Split(query, "=")[0]+" is in the URL")(w.postForm(ssoToken+"?"+query, form))
	}
}

func TestOAuthSTSChangesTakeEffect(t *testing.T) {
	w := newWorld(t)
	s := newOAuthSTS(w)
	form := w.ssoForm()
	form["client_id"], form["client_secret"] = "post", "second"
	checkSSO(w, "401 invalid_client:")(w.postForm(ssoToken, form))
	s.PutClient(cloudtest.OAuthClient{ID: "post", Auth: "client_secret_post", Secret: "second"})
	checkSSO(w, "")(w.postForm(ssoToken, form))

	s.LimitLifetime(time.Minute)
	_, body := w.postForm(ssoToken, form)
	var answer struct {
		ExpiresIn int `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.ExpiresIn != 60 {
		t.Errorf("expires_in = %d (%v), want 60", answer.ExpiresIn, err)
	}
}

func TestOAuthSTSWantsAURL(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, "absolute URL") {
			t.Errorf("panic = %s, want one about the URL", got)
		}
	}()
	cloudtest.NewOAuthSTS(cloudtest.OAuthSTSOptions{URL: "/token"})
}
