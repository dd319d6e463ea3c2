package cloudtest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google/externalaccount"
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

// impersonate calls a method of the IAM Credentials API.
func (w *world) impersonate(token, method, body string) (*http.Response, string) {
	w.Helper()
	r := w.request("POST", iamURL+method, body)
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return w.send(r)
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
		{"a subject of 128 bytes", subject(tokenOptions{Claims: map[string]any{"sub": strings.Repeat("s", 128)}}), `invalid_grant: The mapped attribute "google.subject"`},
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

func TestGoogleImpersonation(t *testing.T) {
	const (
		access   = reports + ":generateAccessToken"
		id       = reports + ":generateIdToken"
		minimal  = `{"scope":["` + scope + `"]}`
		notFound = "Not found; Gaia id not found for email nobody@shop.iam.gserviceaccount.com"
		denied   = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
	)
	first := newWorld(t)
	for _, c := range []struct {
		name   string
		method string
		body   string
		want   string // "code STATUS: message"; empty: accepted
	}{
		{"the least", access, minimal, ""},
		{"an e-mail that is percent-encoded", strings.Replace(access, "@", "%40", 1), minimal, ""},
		{"an hour", access, `{"scope":["` + scope + `"],"lifetime":"3600s"}`, ""},
		{"through a delegate that anybody of the pool may be", access, `{"scope":["` + scope + `"],"delegates":["projects/-/serviceAccounts/` + middle + `"]}`, ""},
		{"twelve hours for a listed account", long + ":generateAccessToken", `{"scope":["` + scope + `"],"lifetime":"43200s"}`, ""},
		{"an ID token", id, `{"audience":"a"}`, ""},
		{"an unknown account", "nobody@shop.iam.gserviceaccount.com:generateAccessToken", minimal, "404 NOT_FOUND: " + notFound},
		{"a chain in the wrong order", middle + ":generateAccessToken", `{"scope":["` + scope + `"],"delegates":["projects/-/serviceAccounts/` + reports + `"]}`, "403 PERMISSION_DENIED: " + denied},
		{"a delegate by e-mail only", access, `{"scope":["` + scope + `"],"delegates":["` + middle + `"]}`, "403 PERMISSION_DENIED: " + denied},
		{"no scope", access, `{}`, "400 INVALID_ARGUMENT"},
		{"an empty list of scopes", access, `{"scope":[]}`, "400 INVALID_ARGUMENT"},
		{"a scope that is not in a list", access, `{"scope":"` + scope + `"}`, "400 INVALID_ARGUMENT: Invalid JSON payload received."},
		{"a short scope", access, `{"scope":["cloud-platform"]}`, "400 INVALID_ARGUMENT"},
		{"a second more than an hour", access, `{"scope":["` + scope + `"],"lifetime":"3601s"}`, "400 INVALID_ARGUMENT: The access token lifetime cannot exceed 3600 seconds."},
		{"a second more than twelve hours", long + ":generateAccessToken", `{"scope":["` + scope + `"],"lifetime":"43201s"}`, "400 INVALID_ARGUMENT: The access token lifetime cannot exceed 43200 seconds."},
		{"a lifetime in hours", access, `{"scope":["` + scope + `"],"lifetime":"1h"}`, "400 INVALID_ARGUMENT: Invalid value at 'lifetime'"},
		{"a lifetime without a unit", access, `{"scope":["` + scope + `"],"lifetime":3600}`, "400 INVALID_ARGUMENT: Invalid JSON payload received."},
		{"an unknown field", access, `{"scope":["` + scope + `"],"lifetimeSeconds":1}`, "400 INVALID_ARGUMENT: Invalid JSON payload received."},
		{"a field of the other method", access, `{"scope":["` + scope + `"],"audience":"a"}`, "400 INVALID_ARGUMENT: Invalid JSON payload received."},
		{"a form", access, `scope=x`, "400 INVALID_ARGUMENT: Invalid JSON payload received."},
		{"an ID token without an audience", id, `{"includeEmail":true}`, "400 INVALID_ARGUMENT"},
		{"an ID token with a scope", id, `{"audience":"a","scope":["` + scope + `"]}`, "400 INVALID_ARGUMENT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			newGoogle(w)
			checkGoogle(w, c.want)(w.impersonate(w.federated(cloudtest.TokenOptions{}), c.method, c.body))
		})
	}
}

func TestGoogleImpersonationAuthenticates(t *testing.T) {
	w := newWorld(t)
	newGoogle(w)
	const method, body = reports + ":generateAccessToken", `{"scope":["` + scope + `"]}`
	checkGoogle(w, "401 UNAUTHENTICATED: Request is missing required authentication credential.")(w.impersonate("", method, body))
	checkGoogle(w, "401 UNAUTHENTICATED: Request had invalid authentication credentials.")(w.impersonate("x", method, body))

	answer, text := w.postForm(tokenURL, with(w.exchangeForm(), "scope", "https://www.googleapis.com/auth/devstorage.read_only"))
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("token exchange = %s", text)
	}
	checkGoogle(w, "403 PERMISSION_DENIED: Request had insufficient authentication scopes.")(w.impersonate(field(w, text, "access_token"), method, body))

	r := w.request("POST", strings.Replace(iamURL, "projects/-/", "projects/my-project/", 1)+method, body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+w.federated(cloudtest.TokenOptions{}))
	checkGoogle(w, "400 INVALID_ARGUMENT: Invalid form of account ID projects/my-project/")(w.send(r))

	other := w.federated(cloudtest.TokenOptions{Namespace: "shop", ServiceAccount: "other"})
	checkGoogle(w, "403 PERMISSION_DENIED: Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).")(w.impersonate(other, method, body))
	checkGoogle(w, "403 PERMISSION_DENIED: Permission 'iam.serviceAccounts.getOpenIdToken' denied on resource (or it may not exist).")(w.impersonate(other, reports+":generateIdToken", `{"audience":"a"}`))

	old := w.federated(cloudtest.TokenOptions{Lifetime: time.Minute})
	w.now = w.now.Add(time.Minute)
	checkGoogle(w, "401 UNAUTHENTICATED: Request had invalid authentication credentials.")(w.impersonate(old, method, body))
}

func checkGoogle(w *world, want string) func(*http.Response, string) {
	return func(answer *http.Response, body string) {
		w.Helper()
		var failure struct {
			Error struct {
				Code            int
				Message, Status string
			}
		}
		if err := json.Unmarshal([]byte(body), &failure); err != nil {
			w.Fatalf("%v in %s", err, body)
		}
		if want == "" {
			if answer.StatusCode != http.StatusOK {
				w.Errorf("answer = %s %s, want 200", answer.Status, body)
			}
			return
		}
		got := answer.Status[:3] + " " + failure.Error.Status + ": " + failure.Error.Message
		if !strings.HasPrefix(got, want) || failure.Error.Code != answer.StatusCode {
			w.Errorf("answer = %s (code %d), want %s…", got, failure.Error.Code, want)
		}
	}
}

type supplier func() string

func (s supplier) SubjectToken(context.Context, externalaccount.SupplierOptions) (string, error) {
	return s(), nil
}

type awsSupplier aws.Credentials

func (awsSupplier) AwsRegion(context.Context, externalaccount.SupplierOptions) (string, error) {
	return "eu-west-1", nil
}

func (s awsSupplier) AwsSecurityCredentials(context.Context, externalaccount.SupplierOptions) (*externalaccount.AwsSecurityCredentials, error) {
	return &externalaccount.AwsSecurityCredentials{
		AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey, SessionToken: s.SessionToken,
	}, nil
}

// The library runs on the real clock, so these stories do.
func TestGoogleWithItsLibrary(t *testing.T) {
	w := newWorld(t)
	w.now = time.Now()
	g := newGoogle(w)
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: w.net})

	t.Run("a Kubernetes token for a service account's", func(t *testing.T) {
		source, err := externalaccount.NewTokenSource(ctx, externalaccount.Config{
			Audience:                       audience,
			SubjectTokenType:               "urn:ietf:params:oauth:token-type:jwt",
			Scopes:                         []string{scope},
			ServiceAccountImpersonationURL: iamURL + url.PathEscape(reports) + ":generateAccessToken",
			SubjectTokenSupplier:           supplier(func() string { return w.googleToken(cloudtest.TokenOptions{}) }),
		})
		if err != nil {
			t.Fatal(err)
		}
		token, err := source.Token()
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := g.Principal(token.AccessToken); got != "serviceAccount:"+reports {
			t.Errorf("Principal = %q, want serviceAccount:%s", got, reports)
		}
	})
	t.Run("AWS keys for a federated token", func(t *testing.T) {
		newAWS(w)
		source, err := externalaccount.NewTokenSource(ctx, externalaccount.Config{
			Audience:                       "//iam.googleapis.com/" + awsProvider,
			SubjectTokenType:               "urn:ietf:params:aws:token-type:aws4_request",
			Scopes:                         []string{scope},
			AwsSecurityCredentialsSupplier: awsSupplier(w.keys()),
		})
		if err != nil {
			t.Fatal(err)
		}
		w.now = time.Now() // the request must not be signed in the service's future
		token, err := source.Token()
		if err != nil {
			t.Fatal(err)
		}
		want := "principal://iam.googleapis.com/" + pool + "/subject/arn:aws:sts::123456789012:assumed-role/reports/shop-reports"
		if got, _ := g.Principal(token.AccessToken); got != want {
			t.Errorf("Principal = %q, want %q", got, want)
		}
	})
}

func TestGoogleAWSRequests(t *testing.T) {
	const target = stsURL + "?Action=GetCallerIdentity&Version=2011-06-15"
	type request struct {
		URL     string              `json:"url"`
		Method  string              `json:"method"`
		Headers []map[string]string `json:"headers"`
	}
	header := func(name, value string) func(*request) {
		return func(r *request) {
			kept := []map[string]string{}
			for _, h := range r.Headers {
				if !strings.EqualFold(h["key"], name) {
					kept = append(kept, h)
				}
			}
			if value != "" {
				kept = append(kept, map[string]string{"key": name, "value": value})
			}
			r.Headers = kept
		}
	}
	first := newWorld(t)
	for _, c := range []struct {
		name   string
		change func(*request)
		later  time.Duration
		want   string
	}{
		{"unchanged", func(*request) {}, 0, ""},
		{"the resource with https:", header("x-goog-cloud-target-resource", "https://iam.googleapis.com/"+awsProvider), 0, ""},
		{"plain http", func(r *request) { r.URL = strings.Replace(r.URL, "https", "http", 1) }, 0, "invalid_grant: Invalid AWS subject token: the url is not that of STS."},
		{"a port", func(r *request) { r.URL = strings.Replace(r.URL, ".com/", ".com:443/", 1) }, 0, "invalid_grant: Invalid AWS subject token: the url is not that of STS."},
		{"somebody else's host", func(r *request) { r.URL = strings.Replace(r.URL, ".com/", ".com.example.test/", 1) }, 0, "invalid_grant: Invalid AWS subject token: the url is not that of STS."},
		{"another action", func(r *request) { r.URL = strings.Replace(r.URL, "GetCallerIdentity", "AssumeRole", 1) }, 0, "invalid_grant: Invalid AWS subject token: the url does not ask"},
		{"a GET", func(r *request) { r.Method = "GET" }, 0, "invalid_grant: Invalid AWS subject token: the method"},
		{"no date", header("x-amz-date", ""), 0, "invalid_grant: Invalid AWS subject token: the header x-amz-date is missing."},
		{"no signature", header("authorization", ""), 0, "invalid_grant: Invalid AWS subject token: the header authorization"},
		{"no host", header("host", ""), 0, "invalid_grant: Invalid AWS subject token: the header host"},
		{"another host", header("host", "sts.amazonaws.com"), 0, "invalid_grant: Invalid AWS subject token: the header host differs"},
		{"no target", header("x-goog-cloud-target-resource", ""), 0, "invalid_grant: Invalid AWS subject token: the header x-goog-cloud-target-resource is missing."},
		{"another target", header("x-goog-cloud-target-resource", audience), 0, "invalid_grant: Invalid AWS subject token: the header x-goog-cloud-target-resource does not"},
		{"sixteen minutes old", func(*request) {}, 16 * time.Minute, "invalid_grant: Invalid AWS subject token: the header x-amz-date is not within"},
		{"from the future", func(*request) {}, -time.Minute, "invalid_grant: Invalid AWS subject token: the header x-amz-date is not within"},
		{"a signature that AWS refuses", header("x-amz-security-token", "x"), 0, "invalid_grant: Received invalid AWS response of type: 403 Forbidden"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			newGoogle(w)
			newAWS(w)
			keys := w.keys()
			r := w.request("POST", target, "")
			w.signRequest(keys, r, "", "sts", "eu-west-1")
			subject := request{URL: target, Method: "POST"}
			for name := range r.Header {
				header(name, r.Header.Get(name))(&subject)
			}
			header("host", r.URL.Host)(&subject)
			header("x-goog-cloud-target-resource", "//iam.googleapis.com/"+awsProvider)(&subject)
			c.change(&subject)
			text, err := json.Marshal(subject)
			if err != nil {
				t.Fatal(err)
			}
			w.now = w.now.Add(c.later)
			form := w.exchangeForm()
			form["audience"] = "//iam.googleapis.com/" + awsProvider
			form["subject_token_type"] = "urn:ietf:params:aws:token-type:aws4_request"
			form["subject_token"] = url.QueryEscape(string(text))
			checkOAuth(w, c.want, http.StatusBadRequest)(w.postForm(tokenURL, form))
		})
	}

	t.Run("keys of another account", func(t *testing.T) {
		w := newWorld(t)
		g := newGoogle(w)
		newAWS(w)
		g.PutProvider(cloudtest.PoolProvider{Name: awsProvider, AWSAccount: "999999999999"})
		r := w.request("POST", target, "")
		w.signRequest(w.keys(), r, "", "sts", "eu-west-1")
		var headers []string
		for name := range r.Header {
			headers = append(headers, `{"key":"`+name+`","value":"`+r.Header.Get(name)+`"}`)
		}
		headers = append(headers, `{"key":"host","value":"sts.eu-west-1.amazonaws.com"}`, `{"key":"x-goog-cloud-target-resource","value":"//iam.googleapis.com/`+awsProvider+`"}`)
		form := w.exchangeForm()
		form["audience"] = "//iam.googleapis.com/" + awsProvider
		form["subject_token_type"] = "urn:ietf:params:aws:token-type:aws4_request"
		form["subject_token"] = url.QueryEscape(`{"url":"` + target + `","method":"POST","headers":[` + strings.Join(headers, ",") + `]}`)
		checkOAuth(w, "invalid_grant: The AWS account does not match", http.StatusBadRequest)(w.postForm(tokenURL, form))
	})
}
