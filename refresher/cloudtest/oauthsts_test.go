package cloudtest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
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

// clientKey signs assertions of the client "signer".
var clientKey = func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}()

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

// clientAssertion signs a good assertion with some claims changed; nil removes one.
func clientAssertion(t *testing.T, key any, kid string, change map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": "signer", "sub": "signer", "aud": ssoToken, "jti": rand.Text(),
		"iat": start.Unix(), "exp": start.Add(time.Minute).Unix(),
	}
	for name, value := range change {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
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

func TestOAuthSTSClients(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	first := newWorld(t)
	type change = func(r *http.Request, form map[string]string)
	basic := func(pair string) change {
		return func(r *http.Request, form map[string]string) {
			form["client_id"] = ""
			r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		}
	}
	fields := func(pairs ...string) change {
		return func(_ *http.Request, form map[string]string) {
			for i := 0; i < len(pairs); i += 2 {
				form[pairs[i]] = pairs[i+1]
			}
		}
	}
	signed := func(key any, kid string, claims map[string]any) change {
		return fields("client_id", "", "client_assertion", clientAssertion(t, key, kid, claims),
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	}
	claims := func(pairs ...any) change {
		set := map[string]any{}
		for i := 0; i < len(pairs); i += 2 {
			set[pairs[i].(string)] = pairs[i+1]
		}
		return signed(clientKey, "k1", set)
	}
	const unknown = "401 invalid_client: unknown client, or wrong credentials"
	for _, c := range []struct {
		name   string
		change change
		want   string
	}{
		{"nobody", fields("client_id", ""), "401 invalid_client: the client does not say who it is"},
		{"an unknown client", fields("client_id", "x"), unknown},
		{"a secret one without its secret", fields("client_id", "post"), "401 invalid_client: the client may not use the method none"},

		{"basic", basic("basic%3A1:a%2Bb+c%25"), ""},
		{"basic, not encoded", basic("basic:1:a+b c%"), "401 invalid_client: the Authorization header does not hold"},
		{"basic with a wrong secret", basic("basic%3A1:x"), unknown},
		{"basic of an unknown client", basic("x:y"), unknown},
		{"basic without a colon", basic("x"), "401 invalid_client: the Authorization header does not hold"},
		{"basic that is not base64", func(r *http.Request, _ map[string]string) { r.Header.Set("Authorization", "Basic !") }, "401 invalid_client: the Authorization header is not Basic"},
		{"a bearer token", func(r *http.Request, _ map[string]string) { r.Header.Set("Authorization", "Bearer eA==") }, "401 invalid_client: the Authorization header is not Basic"},
		{"basic for another client", func(r *http.Request, form map[string]string) {
			basic("basic%3A1:a%2Bb+c%25")(r, form)
			form["client_id"] = "public"
		}, "401 invalid_client: client_id differs"},
		{"basic for one of post", basic("post:hunter2"), "401 invalid_client: the client may not use the method client_secret_basic"},
		{"basic and post", func(r *http.Request, form map[string]string) {
			r.SetBasicAuth("post", "hunter2")
			form["client_id"], form["client_secret"] = "post", "hunter2"
		}, "400 invalid_request: more than one method"},

		{"post", fields("client_id", "post", "client_secret", "hunter2"), ""},
		{"post with a wrong secret", fields("client_id", "post", "client_secret", "hunter3"), unknown},
		{"post for one of basic", fields("client_id", "basic:1", "client_secret", "a+b c%"), "401 invalid_client: the client may not use the method client_secret_post"},

		{"an assertion", claims(), ""},
		{"an assertion without a key id", signed(clientKey, "", nil), ""},
		{"an assertion for the issuer", claims("aud", []string{"https://x.example", ssoURL}), ""},
		{"an assertion with the client's id", func(r *http.Request, form map[string]string) {
			claims()(r, form)
			form["client_id"] = "signer"
		}, ""},
		{"an assertion with another's id", func(r *http.Request, form map[string]string) {
			claims()(r, form)
			form["client_id"] = "public"
		}, "401 invalid_client: client_id differs"},
		{"an assertion without its type", func(r *http.Request, form map[string]string) {
			claims()(r, form)
			form["client_assertion_type"] = ""
		}, "401 invalid_client: client_assertion_type is not"},
		{"the type without an assertion", fields("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), "401 invalid_client: client_assertion: not a JWT"},
		{"another key", signed(other, "k1", nil), unknown},
		{"another key id", signed(clientKey, "k2", nil), unknown},
		{"another issuer", claims("iss", "signer2"), "401 invalid_client: client_assertion: iss and sub"},
		{"another audience", claims("aud", ssoURL+"/"), "401 invalid_client: client_assertion: aud"},
		{"no audience", claims("aud", nil), "401 invalid_client: client_assertion: aud"},
		{"no expiry", claims("exp", nil), "401 invalid_client: client_assertion: exp is missing"},
		{"expired", claims("exp", start.Unix()), "401 invalid_client: client_assertion: exp is missing or has passed"},
		{"expires late", claims("exp", start.Add(301*time.Second).Unix()), "401 invalid_client: client_assertion: exp is more than"},
		{"no time", claims("iat", nil), "401 invalid_client: client_assertion: iat"},
		{"from the future", claims("iat", start.Add(time.Second).Unix()), "401 invalid_client: client_assertion: iat"},
		{"not valid yet", claims("nbf", start.Add(time.Second).Unix()), "401 invalid_client: client_assertion: not valid yet"},
		{"no id", claims("jti", nil), "401 invalid_client: client_assertion: jti"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			newOAuthSTS(w)
			form := w.ssoForm()
			marked := w.request("POST", ssoToken, "")
			c.change(marked, form)
			r := w.ssoRequest(form)
			for name, values := range marked.Header {
				r.Header[name] = values
			}
			answer, body := w.send(r)
			checkSSO(w, c.want)(answer, body)
			challenged := answer.Header.Get("WWW-Authenticate") != ""
			if want := answer.StatusCode == 401 && r.Header.Get("Authorization") != ""; challenged != want {
				t.Errorf("WWW-Authenticate is there: %v, want %v", challenged, want)
			}
		})
	}
}

func TestOAuthSTSRefusesReplays(t *testing.T) {
	w := newWorld(t)
	newOAuthSTS(w)
	send := func(client, jti string) func(string) {
		return func(want string) {
			t.Helper()
			form := with(w.ssoForm(), "client_id", "")
			form["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
			form["client_assertion"] = clientAssertion(t, clientKey, "k1", map[string]any{
				"iss": client, "sub": client, "jti": jti, "exp": w.now.Add(time.Minute).Unix(),
			})
			checkSSO(w, want)(w.postForm(ssoToken, form))
		}
	}
	const replayed = "401 invalid_client: client_assertion: seen before"
	send("signer", "a")("")
	send("signer", "a")(replayed)
	send("signer", "b")("")
	send("signer2", "a")("")
	w.now = w.now.Add(59 * time.Second)
	send("signer", "a")(replayed)
	w.now = w.now.Add(time.Second)
	send("signer", "a")("")
}

func TestOAuthSTSAnonymousClients(t *testing.T) {
	w := newWorld(t)
	s := cloudtest.NewOAuthSTS(cloudtest.OAuthSTSOptions{
		URL: "http://127.0.0.1:8080/", Anonymous: true, Transport: w.net, Now: w.clock,
		Trusted: []cloudtest.Trust{{Issuer: issuerURL, Audiences: []string{ssoURL}}},
	})
	w.net.Handle("127.0.0.1", s)
	if got, want := s.TokenURL(), "http://127.0.0.1:8080/token"; got != want {
		t.Errorf("TokenURL() = %q, want %q", got, want)
	}
	form := w.ssoForm()
	form["client_id"], form["audience"], form["scope"] = "", "", ""
	answer, body := w.postForm(s.TokenURL(), form)
	checkSSO(w, "")(answer, body)
	got, err := s.Validate(field(w, body, "access_token"))
	if err != nil || got.ClientID != "" || !cmp.Equal(got.Audience, []string{"http://127.0.0.1:8080/"}) {
		t.Errorf("Validate = %+v, %v, want a token without a client for the server itself", got, err)
	}
	form["subject_token_type"] = tokenType + "saml2"
	checkSSO(w, "400 invalid_request: subject_token_type")(w.postForm(s.TokenURL(), form))
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
