package cloudtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const (
	gceURL       = "http://metadata.google.internal/computeMetadata/v1/"
	gceAccounts  = gceURL + "instance/service-accounts/"
	googleIssuer = "https://accounts.google.com"
)

func newGCEMetadata(w *world) *cloudtest.GCEMetadata {
	vm := cloudtest.NewGCEMetadata(cloudtest.GCEMetadataOptions{
		ProjectID: "shop", Accounts: []string{reports, middle}, Now: w.clock, Rand: seeded(),
	})
	w.net.Handle("metadata.google.internal", vm)
	w.net.Handle("accounts.google.com", vm)
	return vm
}

func (w *world) metadata(target string) (*http.Response, string) {
	w.Helper()
	r := w.request("GET", target, "")
	r.Header.Set("Metadata-Flavor", "Google")
	return w.send(r)
}

func TestGCEMetadataAnswers(t *testing.T) {
	w := newWorld(t)
	vm := newGCEMetadata(w)
	answer, body := w.metadata(gceAccounts + "default/identity?audience=https://aws.example.test&format=full")
	golden(t, "gce_identity", answer, body)
	claims, err := json.MarshalIndent(segment(t, body, 1), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "gce_identity_claims", &http.Response{Status: "claims"}, string(claims)+"\n")

	answer, body = w.metadata(gceAccounts + "default/token")
	golden(t, "gce_token", answer, body)
	answer, body = w.metadata(gceAccounts)
	golden(t, "gce_service_accounts", answer, body)
	answer, body = w.metadata(gceAccounts + "default/identity")
	golden(t, "gce_no_audience", answer, body)
	vm.Inject(cloudtest.Fault{Operation: "identity", Throttle: true, Times: 1})
	answer, body = w.metadata(gceAccounts + "default/identity?audience=a")
	golden(t, "gce_throttled", answer, body)
}

func TestGCEMetadataIsStrict(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = []string{value} }
	}
	w := newWorld(t)
	newGCEMetadata(w)
	const identity = gceAccounts + "default/identity?audience=a"
	for _, c := range []struct {
		name   string
		target string
		change func(*http.Request)
		want   int
		body   string // its beginning
	}{
		{"an ID token of the default account", identity, nil, 200, "eyJ"},
		{"an ID token of an account by name", gceAccounts + middle + "/identity?audience=a", nil, 200, "eyJ"},
		{"an account's name that is escaped", gceAccounts + strings.Replace(middle, "@", "%40", 1) + "/identity?audience=a", nil, 200, "eyJ"},
		{"the standard format", identity + "&format=standard&licenses=FALSE", nil, 200, "eyJ"},
		{"an e-mail", gceAccounts + "default/email", nil, 200, reports},
		{"a number that is nothing else", gceURL + "project/numeric-project-id", nil, 200, "123456789012"},
		{"a zone", gceURL + "instance/zone", nil, 200, "projects/123456789012/zones/europe-west1-b"},
		{"a directory without its slash", gceURL + "instance/service-accounts", nil, 200, "default/\n"},
		{"the root, without the header", "http://metadata.google.internal/", func(r *http.Request) { r.Header.Del("Metadata-Flavor") }, 200, "computeMetadata/"},
		{"a HEAD", identity, func(r *http.Request) { r.Method = "HEAD" }, 200, ""},

		{"no header", identity, func(r *http.Request) { r.Header.Del("Metadata-Flavor") }, 403, ""},
		{"the header in lower case", identity, header("Metadata-Flavor", "google"), 403, ""},
		{"a forwarded request", identity, header("X-Forwarded-For", ""), 403, ""},
		{"a forwarded request for the root", "http://metadata.google.internal/", header("X-Forwarded-For", "x"), 403, ""},
		{"a POST", identity, func(r *http.Request) { r.Method = "POST" }, 405, ""},
		{"no audience", gceAccounts + "default/identity", nil, 400, "non-empty audience parameter required"},
		{"an empty audience", gceAccounts + "default/identity?audience=", nil, 400, "non-empty audience parameter required"},
		{"a format that is none", identity + "&format=json", nil, 400, ""},
		{"an account that is not here", gceAccounts + deep + "/identity?audience=a", nil, 404, ""},
		{"a leaf with a slash", gceAccounts + "default/email/", nil, 404, ""},
		{"an old version", "http://metadata.google.internal/computeMetadata/v1beta1/project/project-id", nil, 404, ""},
		{"a listing in another form", gceAccounts + "?recursive=true", nil, 501, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := w.request("GET", c.target, "")
			r.Header.Set("Metadata-Flavor", "Google")
			if c.change != nil {
				c.change(r)
			}
			client := &http.Client{Transport: w.net, CheckRedirect: func(next *http.Request, _ []*http.Request) error {
				next.Header.Set("Metadata-Flavor", "Google")
				return nil
			}}
			answer, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != c.want || !strings.HasPrefix(string(body), c.body) {
				t.Errorf("answer = %s %q, want %d %q…", answer.Status, body, c.want, c.body)
			}
			if got := answer.Header.Get("Metadata-Flavor"); got != "Google" {
				t.Errorf("Metadata-Flavor = %q, want Google", got)
			}
		})
	}
}

func TestGCEMetadataTellsTheAccountInTheFullFormatOnly(t *testing.T) {
	w := newWorld(t)
	newGCEMetadata(w)
	_, standard := w.metadata(gceAccounts + "default/identity?audience=a")
	_, full := w.metadata(gceAccounts + "default/identity?audience=a&format=full")
	if claims := segment(t, standard, 1); claims["email"] != nil || claims["google"] != nil || claims["sub"] != claims["azp"] {
		t.Errorf("claims of the standard format = %v, want no email, no google, and azp = sub", claims)
	}
	if claims := segment(t, full, 1); claims["email"] != reports || claims["google"] == nil {
		t.Errorf("claims of the full format = %v, want email and google", claims)
	}
}

func TestGCEMetadataKeepsAnAccessTokenUntilItIsNearItsEnd(t *testing.T) {
	w := newWorld(t)
	newGCEMetadata(w)
	get := func() string {
		_, body := w.metadata(gceAccounts + "default/token")
		return field(w, body, "access_token")
	}
	first := get()
	w.now = w.now.Add(54 * time.Minute)
	if get() != first {
		t.Error("six minutes before its end: another token, want the first")
	}
	w.now = w.now.Add(time.Minute)
	if get() == first {
		t.Error("five minutes before its end: the first token, want another")
	}
}

// The audience that AWS compares is azp, the account's number: aud is in another condition key.
func TestCloudsTakeGCETokens(t *testing.T) {
	w := newWorld(t)
	newGCEMetadata(w)
	_, token := w.metadata(gceAccounts + "default/identity?audience=shop&format=full")
	number, _ := segment(t, token, 1)["sub"].(string)

	a := newAWS(w)
	a.PutProvider(cloudtest.OIDCProvider{Account: "123456789012", Issuer: googleIssuer, Audiences: []string{"shop"}})
	a.PutRole(cloudtest.Role{ARN: roleARN, Issuer: googleIssuer, Subjects: []string{number}, Audiences: []string{number}})
	checkAWS(t, "")(w.postForm(stsURL, with(w.webIdentityForm(), "WebIdentityToken", token)))
	a.PutRole(cloudtest.Role{ARN: roleARN, Issuer: googleIssuer, Subjects: []string{number}, Audiences: []string{"shop"}})
	checkAWS(t, "403 AccessDenied")(w.postForm(stsURL, with(w.webIdentityForm(), "WebIdentityToken", token)))

	g := newGoogle(w)
	g.PutProvider(cloudtest.PoolProvider{Name: provider, Issuer: googleIssuer, AllowedAudiences: []string{"shop"}})
	answer, body := w.postForm(tokenURL, with(w.exchangeForm(), "subject_token", token))
	want := "principal://iam.googleapis.com/" + pool + "/subject/" + number
	if got, _ := g.Principal(field(w, body, "access_token")); got != want {
		t.Errorf("Google answers %s %s for %q, want a token for %q", answer.Status, body, got, want)
	}
}
