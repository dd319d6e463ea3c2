package cloudtest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const (
	pool         = "projects/123456/locations/global/workloadIdentityPools/clusters"
	provider     = pool + "/providers/cluster-a"
	custom       = pool + "/providers/custom"
	awsProvider  = pool + "/providers/from-aws"
	audience     = "//iam.googleapis.com/" + provider
	tokenURL     = "https://sts.googleapis.com/v1/token"
	iamURL       = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
	reports      = "reports@shop.iam.gserviceaccount.com"
	middle       = "middle@shop.iam.gserviceaccount.com"
	deep         = "deep@shop.iam.gserviceaccount.com"
	long         = "long@shop.iam.gserviceaccount.com"
	scope        = "https://www.googleapis.com/auth/cloud-platform"
	reportsOwner = "principal://iam.googleapis.com/" + pool + "/subject/system:serviceaccount:shop:reports"
)

func newGoogle(w *world) *cloudtest.Google {
	g := cloudtest.NewGoogle(cloudtest.GoogleOptions{
		Providers: []cloudtest.PoolProvider{
			{Name: provider, Issuer: issuerURL},
			{Name: custom, Issuer: issuerURL, AllowedAudiences: []string{"api://custom"}},
			{Name: pool + "/providers/switched-off", Issuer: issuerURL, Disabled: true},
			{Name: pool + "/providers/picky", Issuer: issuerURL, Condition: func(claims map[string]any) bool {
				return claims["sub"] == "system:serviceaccount:shop:reports"
			}},
			{Name: awsProvider, AWSAccount: "123456789012"},
		},
		ServiceAccounts: []cloudtest.ServiceAccount{
			{Email: reports, Impersonators: []string{reportsOwner, "serviceAccount:" + middle}},
			{Email: middle, Impersonators: []string{"principalSet://iam.googleapis.com/" + pool + "/*"}},
			{Email: deep, Impersonators: []string{"serviceAccount:" + middle}},
			{Email: long, Impersonators: []string{reportsOwner}, ExtendedLifetime: true},
		},
		Transport: w.net, Now: w.clock, Rand: seeded(),
	})
	w.net.Handle("sts.googleapis.com", g)
	w.net.Handle("iamcredentials.googleapis.com", g)
	w.net.Handle("www.googleapis.com", g)
	return g
}

func (w *world) googleToken(o cloudtest.TokenOptions) string {
	if o.Audience == nil {
		o.Audience = []string{"https:" + audience}
	}
	if o.ServiceAccount == "" {
		o.Namespace, o.ServiceAccount = "shop", "reports"
	}
	return w.issuer.Mint(o)
}

func (w *world) exchangeForm() map[string]string {
	return map[string]string{
		"grant_type":           "urn:ietf:params:oauth:grant-type:token-exchange",
		"requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
		"subject_token_type":   "urn:ietf:params:oauth:token-type:jwt",
		"subject_token":        w.googleToken(cloudtest.TokenOptions{}),
		"audience":             audience,
		"scope":                scope,
	}
}

// federated gets a federated access token.
func (w *world) federated(o cloudtest.TokenOptions) string {
	w.Helper()
	form := w.exchangeForm()
	form["subject_token"] = w.googleToken(o)
	answer, body := w.postForm(tokenURL, form)
	if answer.StatusCode != http.StatusOK {
		w.Fatalf("token exchange = %s %s", answer.Status, body)
	}
	return field(w, body, "access_token")
}

// field reads a string field of a JSON object.
func field(w *world, body, name string) string {
	w.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(body), &object); err != nil {
		w.Fatalf("%v in %s", err, body)
	}
	text, _ := object[name].(string)
	return text
}

func TestGoogleAnswers(t *testing.T) {
	w := newWorld(t)
	g := newGoogle(w)
	answer, body := w.postForm(tokenURL, w.exchangeForm())
	golden(t, "google_token", answer, body)
	federated := field(w, body, "access_token")
	if got, ok := g.Principal(federated); !ok || got != reportsOwner {
		t.Errorf("Principal(federated token) = %q, %v, want %q, true", got, ok, reportsOwner)
	}

	answer, body = w.impersonate(federated, reports+":generateAccessToken", `{"scope":["`+scope+`"],"lifetime":"1800s","delegates":null}`)
	golden(t, "google_access_token", answer, body)
	access := field(w, body, "accessToken")
	if got, ok := g.Principal(access); !ok || got != "serviceAccount:"+reports {
		t.Errorf("Principal(access token) = %q, %v, want serviceAccount:%s, true", got, ok, reports)
	}
	w.now = w.now.Add(30 * time.Minute)
	if g.Valid(access) || !g.Valid(federated) {
		t.Errorf("Valid after half an hour = %v, %v (access, federated), want false, true", g.Valid(access), g.Valid(federated))
	}

	answer, body = w.impersonate(federated, reports+":generateIdToken", `{"audience":"https://api.example.test","includeEmail":true}`)
	golden(t, "google_id_token", answer, body)
	claims, err := json.MarshalIndent(segment(t, field(w, body, "token"), 1), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "google_id_token_claims", &http.Response{Status: "claims"}, string(claims)+"\n")

	answer, body = w.postForm("https://sts.googleapis.com/v1/introspect", map[string]string{"token": federated})
	golden(t, "google_introspect", answer, body)
	answer, body = w.postForm(tokenURL, with(w.exchangeForm(), "subject_token", "x"))
	golden(t, "google_invalid_grant", answer, body)
	answer, body = w.impersonate(w.federated(cloudtest.TokenOptions{ServiceAccount: "other"}), reports+":generateAccessToken", `{"scope":["`+scope+`"]}`)
	golden(t, "google_permission_denied", answer, body)
	g.Inject(cloudtest.Fault{Operation: "generateAccessToken", Throttle: true, RetryAfter: 7 * time.Second, Times: 1})
	answer, body = w.impersonate(federated, reports+":generateAccessToken", `{}`)
	golden(t, "google_throttled", answer, body)
}

func TestGoogleTokenExchange(t *testing.T) {
	type tokenOptions = cloudtest.TokenOptions
	subject := func(o tokenOptions) func(*world, map[string]string) {
		return func(w *world, form map[string]string) { form["subject_token"] = w.googleToken(o) }
	}
	both := func(changes ...func(*world, map[string]string)) func(*world, map[string]string) {
		return func(w *world, form map[string]string) {
			for _, change := range changes {
				change(w, form)
			}
		}
	}
	first := newWorld(t)
	for _, c := range []struct {
		name   string
		change func(w *world, form map[string]string)
		want   string // "error: description"; empty: accepted
	}{
		{"unchanged", nil, ""},
		{"an ID token", set("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"), ""},
		{"an audience without https:", subject(tokenOptions{Audience: []string{audience}}), ""},
		{"an allowed audience", both(subject(tokenOptions{Audience: []string{"api://custom"}}), set("audience", "//iam.googleapis.com/"+custom)), ""},
		{"options as JSON", set("options", `{"userProject":"p"}`), ""},
		{"options percent-encoded once more", set("options", `%7B%22userProject%22%3A%22p%22%7D`), ""},
		{"two scopes", set("scope", scope+" https://www.googleapis.com/auth/iam"), ""},
		{"no grant type", set("grant_type", ""), "unsupported_grant_type"},
		{"another grant type", set("grant_type", "client_credentials"), "unsupported_grant_type"},
		{"no requested token type", set("requested_token_type", ""), "invalid_request"},
		{"an ID token wanted", set("requested_token_type", "urn:ietf:params:oauth:token-type:id_token"), "invalid_request"},
		{"no subject token type", set("subject_token_type", ""), "invalid_request"},
		{"a SAML subject token", set("subject_token_type", "urn:ietf:params:oauth:token-type:saml2"), "invalid_request"},
		{"an AWS request for an OIDC provider", set("subject_token_type", "urn:ietf:params:aws:token-type:aws4_request"), "invalid_request"},
		{"no subject token", set("subject_token", ""), "invalid_request"},
		{"no scope", set("scope", ""), "invalid_scope"},
		{"a scope that is none", set("scope", "cloud-platform"), "invalid_scope"},
		{"scopes with commas", set("scope", scope+","+scope), "invalid_scope"},
		{"options that are not JSON", set("options", "userProject"), "invalid_request"},
		{"no audience", set("audience", ""), `invalid_request: Invalid value for "audience". This value should be the full resource name of the Identity Provider.`},
		{"an audience with https:", set("audience", "https:"+audience), `invalid_request: Invalid value for "audience".`},
		{"an audience with a project id", set("audience", strings.Replace(audience, "123456", "my-project", 1)), `invalid_request: Invalid value for "audience".`},
		{"a provider that does not exist", set("audience", audience+"s"), `invalid_target: The target service indicated by the "audience" parameters is invalid.`},
		{"a provider that is disabled", set("audience", "//iam.googleapis.com/"+pool+"/providers/switched-off"), "invalid_target"},
		{"not a JWT", set("subject_token", "x"), "invalid_grant: Unable to parse the ID Token."},
		{"a JWT with a newline", func(_ *world, form map[string]string) { form["subject_token"] += "\n" }, "invalid_grant: Unable to parse"},
		{"an issuer that is down", func(w *world, _ map[string]string) { w.issuer.Refuse(true) }, "invalid_grant: Error connecting to the given credential's issuer."},
		{"an unsigned token", subject(tokenOptions{Algorithm: "none"}), "invalid_grant"},
		{"an RS512 token", subject(tokenOptions{Algorithm: "RS512"}), "invalid_grant"},
		{"an unknown kid", subject(tokenOptions{KeyID: "x"}), "invalid_grant: Unable to verify the signature of the ID Token"},
		{"a bad signature", subject(tokenOptions{WrongKey: true}), "invalid_grant: Unable to verify the signature of the ID Token"},
		{"another issuer's name", subject(tokenOptions{Claims: map[string]any{"iss": "https://x"}}), "invalid_grant: The issuer in ID Token https://x does not match"},
		{"another audience", subject(tokenOptions{Audience: []string{"sts.amazonaws.com"}}), "invalid_grant: The audience in ID Token [sts.amazonaws.com] does not match the expected audience."},
		{"the default audience where others are allowed", set("audience", "//iam.googleapis.com/"+custom), "invalid_grant: The audience in ID Token"},
		{"an expired token", subject(tokenOptions{Issued: start.Add(-2 * time.Hour)}), "invalid_grant: ID Token issued at 1767315845 is stale to sign-in."},
		{"a token from the future", subject(tokenOptions{Issued: start.Add(time.Minute)}), "invalid_grant: Invalid ID Token: issued in the future"},
		{"a token for more than a day", subject(tokenOptions{Lifetime: 25 * time.Hour}), "invalid_grant: Invalid ID Token: lives for 25h0m0s"},
		{"a subject of 128 bytes", subject(tokenOptions{Claims: map[string]any{"sub": strings.Repeat("s", 128)}}), "invalid_request: The size of mapped attribute google.subject exceeds the 127 bytes limit."},
		{"the attribute condition", both(
			subject(tokenOptions{ServiceAccount: "other", Audience: []string{"https://iam.googleapis.com/" + pool + "/providers/picky"}}),
			set("audience", "//iam.googleapis.com/"+pool+"/providers/picky"),
		), "unauthorized_client: The given credential is rejected by the attribute condition."},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			newGoogle(w)
			form := w.exchangeForm()
			if c.change != nil {
				c.change(w, form)
			}
			checkOAuth(w, c.want, http.StatusBadRequest)(w.postForm(tokenURL, form))
		})
	}
}

// checkOAuth compares status, error and the beginning of the description.
func checkOAuth(w *world, want string, status int) func(*http.Response, string) {
	return func(answer *http.Response, body string) {
		w.Helper()
		if want == "" {
			if answer.StatusCode != http.StatusOK {
				w.Errorf("answer = %s %s, want 200", answer.Status, body)
			}
			return
		}
		got := field(w, body, "error") + ": " + field(w, body, "error_description")
		if answer.StatusCode != status || !strings.HasPrefix(got, want) {
			w.Errorf("answer = %s %s, want %d %s…", answer.Status, got, status, want)
		}
	}
}

func TestGoogleTokenExchangeOverHTTP(t *testing.T) {
	w := newWorld(t)
	newGoogle(w)
	document := `{"grantType":"urn:ietf:params:oauth:grant-type:token-exchange","audience":"` + audience + `","scope":"` + scope +
		`","requestedTokenType":"urn:ietf:params:oauth:token-type:access_token","subjectTokenType":"urn:ietf:params:oauth:token-type:jwt","subjectToken":"` +
		w.googleToken(cloudtest.TokenOptions{}) + `"}`
	for _, c := range []struct {
		name, contentType, authorization, want string
	}{
		{"JSON", "application/json", "", ""},
		{"JSON as the documentation posts it", "text/json", "", ""},
		{"a client that authenticates itself", "application/json", "Basic Og==", ""},
		{"a bearer token", "application/json", "Bearer x", "invalid_request"},
		{"no content type", "", "", "invalid_request"},
		{"JSON that says it is a form", "application/x-www-form-urlencoded", "", "unsupported_grant_type"},
	} {
		t.Run(c.name, func(*testing.T) {
			r := w.request("POST", tokenURL, document)
			r.Header.Set("Content-Type", c.contentType)
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			checkOAuth(w, c.want, http.StatusBadRequest)(w.send(r))
		})
	}
	if answer, _ := w.send(w.request("GET", tokenURL, "")); answer.StatusCode != http.StatusNotFound {
		t.Errorf("GET = %s, want 404", answer.Status)
	}
}

func TestFederatedTokenDoesNotOutliveItsSubjectToken(t *testing.T) {
	w := newWorld(t)
	g := newGoogle(w)
	token := w.federated(cloudtest.TokenOptions{Lifetime: 10 * time.Minute})
	w.now = w.now.Add(10*time.Minute - time.Second)
	if !g.Valid(token) {
		t.Error("Valid a second before the subject token ends = false, want true")
	}
	w.now = w.now.Add(time.Second)
	if g.Valid(token) {
		t.Error("Valid when the subject token has ended = true, want false")
	}
}
