package cloudtest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const githubIssuer = "https://token.actions.githubusercontent.com"

func newGitHub(w *world, o cloudtest.GitHubOptions) *cloudtest.GitHub {
	o.Repository, o.Now, o.Rand = "octo/shop", w.clock, seeded()
	job := cloudtest.NewGitHub(o)
	u, err := url.Parse(job.RequestURL())
	if err != nil {
		w.Fatal(err)
	}
	w.net.Handle(u.Host, job)
	w.net.Handle("token.actions.githubusercontent.com", job)
	return job
}

// idToken asks as GitHub documents it: by appending to the URL.
func (w *world) idToken(job *cloudtest.GitHub, audience string) (*http.Response, string) {
	w.Helper()
	target := job.RequestURL()
	if audience != "" {
		target += "&audience=" + audience
	}
	r := w.request("GET", target, "")
	r.Header.Set("Authorization", "bearer "+job.RequestToken())
	return w.send(r)
}

func TestGitHubAnswers(t *testing.T) {
	w := newWorld(t)
	job := newGitHub(w, cloudtest.GitHubOptions{Environment: "production"})
	answer, body := w.idToken(job, "sts.amazonaws.com")
	var document struct{ Count int }
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		t.Fatal(err)
	}
	token := field(w, body, "value")
	if document.Count != len(token) {
		t.Errorf("count = %d, want %d, the length of the value", document.Count, len(token))
	}
	body = strings.Replace(body, token, "<JWT>", 1)
	golden(t, "github_token", answer, countless(body))
	claims, err := json.MarshalIndent(segment(t, token, 1), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "github_claims", &http.Response{Status: "claims"}, string(claims)+"\n")

	job.Inject(cloudtest.Fault{Throttle: true, Times: 1})
	answer, body = w.idToken(job, "a")
	golden(t, "github_throttled", answer, body)
	r := w.request("GET", job.RequestURL(), "")
	answer, body = w.send(r)
	golden(t, "github_unauthorized", answer, body)
}

// countless leaves out the count.
func countless(body string) string {
	_, rest, _ := strings.Cut(body, ",")
	return `{"count":<N>,` + rest
}

func TestGitHubTokens(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name     string
		options  cloudtest.GitHubOptions
		audience string
		want     map[string]any
	}{
		{
			"a branch and the default audience", cloudtest.GitHubOptions{}, "",
			map[string]any{"sub": "repo:octo/shop:ref:refs/heads/main", "aud": "https://github.com/octo", "ref_type": "branch"},
		},
		{
			"an empty audience is the default", cloudtest.GitHubOptions{}, "&",
			map[string]any{"aud": "https://github.com/octo"},
		},
		{
			"a tag", cloudtest.GitHubOptions{Ref: "refs/tags/v1"}, "sts.amazonaws.com",
			map[string]any{"sub": "repo:octo/shop:ref:refs/tags/v1", "aud": "sts.amazonaws.com", "ref_type": "tag"},
		},
		{
			"an environment", cloudtest.GitHubOptions{Environment: "production"}, url.QueryEscape("//iam.googleapis.com/x"),
			map[string]any{"sub": "repo:octo/shop:environment:production", "aud": "//iam.googleapis.com/x", "environment": "production"},
		},
		{
			"another issuer", cloudtest.GitHubOptions{IssuerURL: "https://ghe.example.test/_services/token"}, "a",
			map[string]any{"iss": "https://ghe.example.test/_services/token"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.again(t)
			job := newGitHub(w, c.options)
			_, body := w.idToken(job, c.audience)
			claims := segment(t, field(w, body, "value"), 1)
			for name, want := range c.want {
				if claims[name] != want {
					t.Errorf("claim %s = %v, want %v", name, claims[name], want)
				}
			}
		})
	}
}

func TestGitHubIsStrict(t *testing.T) {
	first := newWorld(t)
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		want   int
	}{
		{"as documented", func(*http.Request) {}, 200},
		{"Bearer with a capital", func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "bearer", "Bearer", 1))
		}, 200},
		{"no authorization", func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		{"the token alone", func(r *http.Request) {
			r.Header.Set("Authorization", strings.TrimPrefix(r.Header.Get("Authorization"), "bearer "))
		}, 401},
		{"another token", func(r *http.Request) { r.Header.Set("Authorization", "bearer x") }, 403},
		{"a POST", func(r *http.Request) { r.Method = "POST" }, 405},
		{"no version", func(r *http.Request) { r.URL.RawQuery = "audience=a" }, 400},
		{"another version", func(r *http.Request) { r.URL.RawQuery = "api-version=1.0" }, 400},
		{"a second question mark", func(r *http.Request) { r.URL.RawQuery = "api-version=2.0?audience=a" }, 400},
		{"two audiences", func(r *http.Request) { r.URL.RawQuery += "&audience=a&audience=b" }, 400},
		{"a cleaned path", func(r *http.Request) { r.URL.Path = strings.ReplaceAll(r.URL.Path, "//", "/") }, 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			job := newGitHub(w, cloudtest.GitHubOptions{})
			r := w.request("GET", job.RequestURL(), "")
			r.Header.Set("Authorization", "bearer "+job.RequestToken())
			c.change(r)
			if answer, body := w.send(r); answer.StatusCode != c.want {
				t.Errorf("answer = %s %s, want %d", answer.Status, body, c.want)
			}
		})
	}
}

func TestCloudsTakeGitHubTokens(t *testing.T) {
	w := newWorld(t)
	job := newGitHub(w, cloudtest.GitHubOptions{})
	g := newGoogle(w)
	g.PutProvider(cloudtest.PoolProvider{Name: provider, Issuer: githubIssuer})
	a := newAWS(w)
	a.PutProvider(cloudtest.OIDCProvider{Account: "123456789012", Issuer: githubIssuer, Audiences: []string{"sts.amazonaws.com"}})
	a.PutRole(cloudtest.Role{ARN: roleARN, Issuer: githubIssuer, Subjects: []string{job.Subject()}, Audiences: []string{"sts.amazonaws.com"}})

	_, body := w.idToken(job, url.QueryEscape("https:"+audience))
	answer, body := w.postForm(tokenURL, with(w.exchangeForm(), "subject_token", field(w, body, "value")))
	want := "principal://iam.googleapis.com/" + pool + "/subject/repo:octo/shop:ref:refs/heads/main"
	if got, _ := g.Principal(field(w, body, "access_token")); got != want {
		t.Errorf("Google answers %s %s for %q, want a token for %q", answer.Status, body, got, want)
	}

	_, body = w.idToken(job, "sts.amazonaws.com")
	form := with(w.webIdentityForm(), "WebIdentityToken", field(w, body, "value"))
	checkAWS(t, "")(w.postForm(stsURL, form))
	w.now = w.now.Add(5 * time.Minute)
	checkAWS(t, "400 ExpiredTokenException")(w.postForm(stsURL, form))
}
