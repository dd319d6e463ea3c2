package cloudtest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const (
	tenantID   = "11111111-2222-3333-4444-555555555555"
	clientID   = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	entraURL   = "https://login.microsoftonline.com/" + tenantID + "/oauth2/v2.0/token"
	entraAud   = "api://AzureADTokenExchange"
	correlated = "99999999-8888-7777-6666-555555555555"
)

func newEntra(w *world) *cloudtest.Entra {
	e := cloudtest.NewEntra(cloudtest.EntraOptions{
		Apps: []cloudtest.App{
			{TenantID: tenantID, ClientID: clientID, Credentials: []cloudtest.FederatedCredential{
				{Issuer: "https://other.example.test/", Subject: "system:serviceaccount:shop:other", Audience: entraAud},
				{Issuer: issuerURL, Subject: "system:serviceaccount:shop:reports", Audience: entraAud},
			}},
			{TenantID: tenantID, ClientID: "bare"},
		},
		Transport: w.net, Now: w.clock, Rand: seeded(),
	})
	w.net.Handle("login.microsoftonline.com", e)
	return e
}

func (w *world) assertion(o cloudtest.TokenOptions) string {
	if o.Audience == nil {
		o.Audience = []string{entraAud}
	}
	if o.ServiceAccount == "" {
		o.Namespace, o.ServiceAccount = "shop", "reports"
	}
	return w.issuer.Mint(o)
}

func (w *world) entraForm() map[string]string {
	return map[string]string{
		"grant_type":            "client_credentials",
		"client_id":             clientID,
		"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		"client_assertion":      w.assertion(cloudtest.TokenOptions{}),
		"scope":                 "https://vault.azure.net/.default",
	}
}

func TestEntraAnswers(t *testing.T) {
	w := newWorld(t)
	e := newEntra(w)
	answer, body := w.postForm(entraURL, w.entraForm())
	golden(t, "entra_token", answer, body)

	got, err := e.Validate(field(w, body, "access_token"))
	if err != nil {
		t.Fatal(err)
	}
	want := cloudtest.EntraToken{
		Audience: "https://vault.azure.net", TenantID: tenantID, ClientID: clientID, Expires: start.Add(time.Hour).Local(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Validate (-want +got):\n%s", diff)
	}
	w.now = w.now.Add(time.Hour)
	if _, err := e.Validate(field(w, body, "access_token")); err == nil {
		t.Error("Validate of an expired token = no error, want one")
	}
	w.now = start
	if _, err := e.Validate(w.assertion(cloudtest.TokenOptions{})); err == nil {
		t.Error("Validate of somebody else's token = no error, want one")
	}

	answer, body = w.postForm(entraURL, with(w.entraForm(), "client_assertion", w.assertion(cloudtest.TokenOptions{ServiceAccount: "x"})))
	golden(t, "entra_subject", answer, body)
	e.Inject(cloudtest.Fault{Throttle: true, RetryAfter: time.Minute, Times: 1})
	answer, body = w.postForm(entraURL, w.entraForm())
	golden(t, "entra_throttled", answer, body)

	r := w.request("POST", entraURL, "grant_type=client_credentials")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("client-request-id", correlated)
	answer, body = w.send(r)
	if got := field(w, body, "correlation_id"); got != correlated || answer.Header.Get("client-request-id") != correlated {
		t.Errorf("correlation_id = %q, header %q, want what the client sent", got, answer.Header.Get("client-request-id"))
	}
}

func TestEntraResourceKeepsItsSlash(t *testing.T) {
	w := newWorld(t)
	e := newEntra(w)
	_, body := w.postForm(entraURL, with(w.entraForm(), "scope", "https://management.azure.com//.default"))
	got, err := e.Validate(field(w, body, "access_token"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "https://management.azure.com/"; got.Audience != want {
		t.Errorf("Audience = %q, want %q", got.Audience, want)
	}
}

func TestEntraToken(t *testing.T) {
	type tokenOptions = cloudtest.TokenOptions
	assertion := func(o tokenOptions) func(*world, map[string]string) {
		return func(w *world, form map[string]string) { form["client_assertion"] = w.assertion(o) }
	}
	first := newWorld(t)
	for _, c := range []struct {
		name   string
		change func(w *world, form map[string]string)
		want   string // "status error AADSTSn: text"; empty: accepted
	}{
		{"unchanged", nil, ""},
		{"a client id in capitals", set("client_id", strings.ToUpper(clientID)), ""},
		{"an ES256 assertion", assertion(tokenOptions{Algorithm: "ES256"}), ""},
		{"no grant type", set("grant_type", ""), "400 invalid_request AADSTS900144: The request body must contain the following parameter: 'grant_type'."},
		{"another grant type", set("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"), "400 unsupported_grant_type AADSTS70003:"},
		{"no client id", set("client_id", ""), "400 invalid_request AADSTS900144:"},
		{"an unknown client id", set("client_id", tenantID), "400 unauthorized_client AADSTS700016: Application with identifier '" + tenantID + "' was not found in the directory '" + tenantID + "'."},
		{"no scope", set("scope", ""), "400 invalid_request AADSTS900144:"},
		{"a scope without /.default", set("scope", "https://vault.azure.net"), "400 invalid_scope AADSTS1002012: The provided value for scope https://vault.azure.net is not valid."},
		{"nothing but /.default", set("scope", "/.default"), "400 invalid_scope AADSTS1002012:"},
		{"two scopes", set("scope", "https://vault.azure.net/.default openid"), "400 invalid_scope AADSTS70011:"},
		{"an unknown resource", set("scope", "https://example.test/.default"), "400 invalid_resource AADSTS500011: The resource principal named https://example.test was not found"},
		{"two slashes more", set("scope", "https://vault.azure.net///.default"), "400 invalid_resource AADSTS500011:"},
		{"no assertion", set("client_assertion", ""), "401 invalid_client AADSTS7000218:"},
		{"no assertion type", set("client_assertion_type", ""), "400 invalid_request AADSTS90023:"},
		{"an application without credentials", set("client_id", "bare"), "401 invalid_client AADSTS70025:"},
		{"not a JWT", set("client_assertion", "x"), "400 invalid_request AADSTS50027:"},
		{"a JWT with a newline", func(_ *world, form map[string]string) { form["client_assertion"] += "\n" }, "400 invalid_request AADSTS50027:"},
		{"an unsigned assertion", assertion(tokenOptions{Algorithm: "none"}), "401 invalid_client AADSTS5002738:"},
		{"an HMAC", assertion(tokenOptions{Algorithm: "HS256"}), "401 invalid_client AADSTS5002738:"},
		{"the issuer with a slash more", assertion(tokenOptions{Claims: map[string]any{"iss": issuerURL + "/"}}), "401 invalid_client AADSTS700211: No matching federated identity record found for presented assertion issuer '" + issuerURL + "/'."},
		{"another subject", assertion(tokenOptions{ServiceAccount: "x"}), "401 invalid_client AADSTS700213: No matching federated identity record found for presented assertion subject 'system:serviceaccount:default:x'."},
		{"the subject of another issuer's credential", assertion(tokenOptions{Namespace: "shop", ServiceAccount: "other"}), "401 invalid_client AADSTS700213:"},
		{"the subject in another case", assertion(tokenOptions{Namespace: "shop", ServiceAccount: "Reports"}), "401 invalid_client AADSTS7002138:"},
		{"another audience", assertion(tokenOptions{Audience: []string{"sts.amazonaws.com"}}), "401 invalid_client AADSTS700212: No matching federated identity record found for presented assertion audience 'sts.amazonaws.com'."},
		{"the audience in another case", assertion(tokenOptions{Audience: []string{strings.ToLower(entraAud)}}), "401 invalid_client AADSTS700212:"},
		{"an issuer that is down", func(w *world, _ map[string]string) { w.issuer.Refuse(true) }, "400 invalid_request AADSTS90061:"},
		{"an unknown kid", assertion(tokenOptions{KeyID: "x"}), "401 invalid_client AADSTS700027: Client assertion failed signature validation. [Reason - The key was not found.]"},
		{"a bad signature", assertion(tokenOptions{WrongKey: true}), "400 invalid_grant AADSTS50013:"},
		{"an expired assertion", assertion(tokenOptions{Issued: start.Add(-2 * time.Hour)}), "401 invalid_client AADSTS700024: Client assertion is not within its valid time range. Current time: 2026-01-02T03:04:05.0000000Z, assertion valid from 2026-01-02T01:04:05.0000000Z, expiry time of assertion 2026-01-02T02:04:05.0000000Z."},
		{"an assertion from the future", assertion(tokenOptions{Issued: start.Add(time.Minute)}), "401 invalid_client AADSTS700024:"},
		{"no expiry", assertion(tokenOptions{Claims: map[string]any{"exp": nil}}), "400 invalid_request AADSTS50027:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			newEntra(w)
			form := w.entraForm()
			if c.change != nil {
				c.change(w, form)
			}
			checkEntra(w, c.want)(w.postForm(entraURL, form))
		})
	}
}

func checkEntra(w *world, want string) func(*http.Response, string) {
	return func(answer *http.Response, body string) {
		w.Helper()
		var failure struct {
			Error       string
			Description string `json:"error_description"`
			Codes       []int  `json:"error_codes"`
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
		got := answer.Status[:3] + " " + failure.Error + " " + failure.Description
		if !strings.HasPrefix(got, want) || len(failure.Codes) != 1 {
			w.Errorf("answer = %s (codes %v), want %s…", got, failure.Codes, want)
		}
	}
}

func TestEntraPathsAndMethods(t *testing.T) {
	w := newWorld(t)
	newEntra(w)
	checkEntra(w, "400 invalid_request AADSTS90002: Tenant 'nobody' not found.")(
		w.postForm(strings.Replace(entraURL, tenantID, "nobody", 1), w.entraForm()))
	checkEntra(w, "400 invalid_request AADSTS900561:")(w.send(w.request("GET", entraURL, "")))
	noForm := w.request("POST", entraURL, `{"grant_type":"client_credentials"}`)
	noForm.Header.Set("Content-Type", "application/json")
	checkEntra(w, "400 invalid_request AADSTS900144:")(w.send(noForm))
	doubled := strings.Replace(entraURL, "/"+tenantID, "//"+tenantID, 1)
	if answer, _ := w.postForm(doubled, w.entraForm()); answer.StatusCode != http.StatusNotFound {
		t.Errorf("POST %s = %s, want 404", doubled, answer.Status)
	}
}

func TestEntraDomains(t *testing.T) {
	w := newWorld(t)
	e := cloudtest.NewEntra(cloudtest.EntraOptions{
		Apps: []cloudtest.App{{TenantID: tenantID, ClientID: clientID, Credentials: []cloudtest.FederatedCredential{
			{Issuer: issuerURL, Subject: "system:serviceaccount:shop:reports", Audience: entraAud},
		}}},
		Domains:   map[string]string{"Shop.onmicrosoft.com": tenantID},
		Transport: w.net, Now: w.clock, Rand: seeded(),
	})
	w.net.Handle("login.microsoftonline.com", e)
	_, body := w.postForm(strings.Replace(entraURL, tenantID, "shop.onmicrosoft.com", 1), w.entraForm())
	if got, err := e.Validate(field(w, body, "access_token")); err != nil || got.TenantID != tenantID {
		t.Errorf("the domain's token = %+v, %v, want tenant %s", got, err, tenantID)
	}
	checkEntra(w, "400 invalid_request AADSTS90002: Tenant 'other.onmicrosoft.com' not found.")(
		w.postForm(strings.Replace(entraURL, tenantID, "other.onmicrosoft.com", 1), w.entraForm()))
}

func TestEntraChangesTakeEffect(t *testing.T) {
	w := newWorld(t)
	e := newEntra(w)
	e.PutApp(cloudtest.App{TenantID: tenantID, ClientID: clientID})
	checkEntra(w, "401 invalid_client AADSTS70025:")(w.postForm(entraURL, w.entraForm()))
	e.PutApp(cloudtest.App{TenantID: tenantID, ClientID: clientID, Credentials: []cloudtest.FederatedCredential{
		{Issuer: issuerURL, Subject: "system:serviceaccount:shop:reports", Audience: entraAud},
	}})
	checkEntra(w, "")(w.postForm(entraURL, w.entraForm()))
}
