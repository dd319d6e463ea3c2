package cloudtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const (
	staffPool     = "locations/global/workforcePools/staff-pool"
	staffProvider = staffPool + "/providers/okta"
	staffMember   = "principal://iam.googleapis.com/" + staffPool + "/subject/system:serviceaccount:shop:reports"
)

// newWorkforce knows a provider of a workforce pool, a client, and projects, of which the workforce
// may bill the first.
func newWorkforce(w *world) *cloudtest.Google {
	g := cloudtest.NewGoogle(cloudtest.GoogleOptions{
		Providers: []cloudtest.PoolProvider{
			{Name: provider, Issuer: issuerURL},
			{Name: staffProvider, Issuer: issuerURL, AllowedAudiences: []string{"staff-app"}},
		},
		ServiceAccounts: []cloudtest.ServiceAccount{{Email: reports, Impersonators: []string{
			reportsOwner, "principalSet://iam.googleapis.com/" + staffPool + "/*",
		}}},
		Projects: []cloudtest.Project{
			{ID: "tools", Number: "987654321", Consumers: []string{"principalSet://iam.googleapis.com/" + staffPool + "/*"}},
			{ID: "billing", Consumers: []string{reportsOwner}},
		},
		Clients:   []cloudtest.GoogleClient{{ID: "app", Secret: "open sesame"}},
		Transport: w.net, Now: w.clock, Rand: seeded(),
	})
	w.net.Handle("sts.googleapis.com", g)
	w.net.Handle("iamcredentials.googleapis.com", g)
	return g
}

func (w *world) staffForm() map[string]string {
	form := with(w.exchangeForm(), "audience", "//iam.googleapis.com/"+staffProvider)
	return with(form, "subject_token", w.googleToken(cloudtest.TokenOptions{Audience: []string{"staff-app"}}))
}

// postAs posts a form as a client, "id:secret", or "" for none; empty values are left out.
func (w *world) postAs(client string, form map[string]string) (*http.Response, string) {
	w.Helper()
	values := url.Values{}
	for name, value := range form {
		if value != "" {
			values.Set(name, value)
		}
	}
	r := w.request("POST", tokenURL, values.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id, secret, ok := strings.Cut(client, ":"); ok {
		r.SetBasicAuth(id, secret)
	}
	return w.send(r)
}

func TestGoogleWorkforce(t *testing.T) {
	const needsProject = "invalid_request: A workforce pool's token request must name a userProject or authenticate an OAuth client."
	first := newWorld(t)
	for _, c := range []struct {
		name    string
		client  string
		options string
		want    string // "error: description"; empty: accepted
		billed  string
	}{
		{name: "a project", options: `{"userProject":"tools"}`, billed: "tools"},
		{name: "a project by number", options: `{"userProject":"987654321"}`, billed: "987654321"},
		{name: "a project, percent-encoded once more", options: "%7B%22userProject%22%3A%20%22tools%22%7D", billed: "tools"},
		{name: "an access boundary besides", options: `{"userProject":"tools","accessBoundary":{}}`, billed: "tools"},
		{name: "a client", client: "app:open sesame"},
		{name: "a client, whose project counts", client: "app:open sesame", options: `{"userProject":"billing"}`},
		{name: "neither", want: needsProject},
		{name: "options without a project", options: `{}`, want: needsProject},
		{name: "an empty project", options: `{"userProject":""}`, want: needsProject},
		{name: "a client without a name", client: ":", want: "invalid_client: The OAuth client was not found."},
		{name: "an unknown client", client: "other:open sesame", want: "invalid_client"},
		{name: "a wrong secret", client: "app:sesame", want: "invalid_client"},
		{name: "a project of 33 characters", options: `{"userProject":"` + strings.Repeat("a", 33) + `"}`, want: "invalid_request"},
		{name: "a project that is a number", options: `{"userProject":987654321}`, want: "invalid_request"},
		{name: "an unknown option", options: `{"user_project":"tools"}`, want: "invalid_request"},
		{name: "options that are a list", options: `[]`, want: "invalid_request"},
		{name: "two options", options: `{"userProject":"tools"}{}`, want: "invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			g := newWorkforce(w)
			answer, body := w.postAs(c.client, with(w.staffForm(), "options", c.options))
			status := http.StatusBadRequest
			if strings.HasPrefix(c.want, "invalid_client") {
				status = http.StatusUnauthorized
			}
			checkOAuth(w, c.want, status)(answer, body)
			if got := answer.Header.Get("WWW-Authenticate"); (status == http.StatusUnauthorized) != strings.HasPrefix(got, "Basic ") {
				t.Errorf("WWW-Authenticate = %q with status %s", got, answer.Status)
			}
			if c.want != "" {
				return
			}
			if got, _ := g.Principal(field(w, body, "access_token")); got != staffMember {
				t.Errorf("Principal = %q, want %q", got, staffMember)
			}
			if got := g.BilledTo("token"); got != c.billed {
				t.Errorf("BilledTo(token) = %q, want %q", got, c.billed)
			}
		})
	}
}

func TestGoogleWorkforceAudience(t *testing.T) {
	w := newWorld(t)
	newWorkforce(w)
	form := with(w.staffForm(), "options", `{"userProject":"tools"}`)
	token := w.googleToken(cloudtest.TokenOptions{Audience: []string{"https://iam.googleapis.com/" + staffProvider}})
	checkOAuth(w, "invalid_grant: The audience in ID Token", http.StatusBadRequest)(w.postForm(tokenURL, with(form, "subject_token", token)))
	checkOAuth(w, "invalid_target", http.StatusBadRequest)(w.postForm(tokenURL, with(form, "audience", "//iam.googleapis.com/"+staffProvider+"s")))
	checkOAuth(w, "invalid_request", http.StatusBadRequest)(w.postForm(tokenURL, with(form, "audience", "//iam.googleapis.com/projects/1/"+staffProvider)))
}

func TestGoogleProjects(t *testing.T) {
	const method, body = reports + ":generateAccessToken", `{"scope":["` + scope + `"]}`
	w := newWorld(t)
	g := newWorkforce(w)
	federated := w.federated(cloudtest.TokenOptions{})
	call := func(project string) (*http.Response, string) {
		r := w.request("POST", iamURL+method, body)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+federated)
		r.Header.Set("X-Goog-User-Project", project)
		return w.send(r)
	}
	checkGoogle(w, "")(call("billing"))
	if got := g.BilledTo("generateAccessToken"); got != "billing" {
		t.Errorf("BilledTo(generateAccessToken) = %q, want billing", got)
	}
	answer, text := call("tools")
	golden(t, "google_user_project_denied", answer, text)
	checkGoogle(w, "403 PERMISSION_DENIED: Caller does not have required permission to use project nowhere.")(call("nowhere"))
	if got := g.BilledTo("generateAccessToken"); got != "billing" {
		t.Errorf("BilledTo after refusals = %q, want billing", got)
	}
	checkGoogle(w, "")(w.impersonate(federated, method, body))
	if got := g.BilledTo("generateAccessToken"); got != "" {
		t.Errorf("BilledTo after a call that names no project = %q, want none", got)
	}

	checkGoogle(w, "403 PERMISSION_DENIED")(w.postForm(tokenURL, with(w.staffForm(), "options", `{"userProject":"billing"}`)))
	g.PutProject(cloudtest.Project{ID: "billing", Consumers: []string{staffMember}})
	checkOAuth(w, "", 0)(w.postForm(tokenURL, with(w.staffForm(), "options", `{"userProject":"billing"}`)))
}

func TestGoogleAccountsByNumber(t *testing.T) {
	w := newWorld(t)
	newWorkforce(w)
	federated := w.federated(cloudtest.TokenOptions{})
	_, body := w.impersonate(federated, reports+":generateIdToken", `{"audience":"a"}`)
	number, _ := segment(t, field(w, body, "token"), 1)["sub"].(string)
	checkGoogle(w, "")(w.impersonate(federated, number+":generateAccessToken", `{"scope":["`+scope+`"]}`))
	checkGoogle(w, "404 NOT_FOUND")(w.impersonate(federated, "1"+number+":generateAccessToken", `{"scope":["`+scope+`"]}`))
}

func TestGoogleRefusesImpossibleProviders(t *testing.T) {
	for name, p := range map[string]cloudtest.PoolProvider{
		"a workforce of AWS":            {Name: staffProvider, AWSAccount: "123456789012"},
		"a workforce without audiences": {Name: staffProvider, Issuer: issuerURL},
		"a workforce of a project":      {Name: "projects/1/" + staffProvider, Issuer: issuerURL, AllowedAudiences: []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Errorf("NewGoogle accepted %+v", p)
				}
			}()
			cloudtest.NewGoogle(cloudtest.GoogleOptions{Providers: []cloudtest.PoolProvider{p}})
		})
	}
}
