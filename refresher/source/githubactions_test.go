package source_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

func TestGitHubActionsOptions(t *testing.T) {
	const good = "https://run.actions.githubusercontent.com/idtoken?api-version=2.0"
	var b strings.Builder
	for _, test := range []struct {
		name    string
		options source.GitHubActionsOptions
	}{
		{"outside a job, or without the permission", source.GitHubActionsOptions{Audience: "x"}},
		{"only the token", source.GitHubActionsOptions{RequestToken: secret}},
		{"only the URL", source.GitHubActionsOptions{RequestURL: good}},
		{"a URL that is none", source.GitHubActionsOptions{RequestURL: secret, RequestToken: secret}},
		{"http", source.GitHubActionsOptions{RequestURL: "http://ghes.example/idtoken", RequestToken: secret}},
		{"a line feed in the token", source.GitHubActionsOptions{RequestURL: good, RequestToken: secret + "\n"}},
		{"no audience", source.GitHubActionsOptions{RequestURL: good, RequestToken: secret}},
	} {
		list := test.options.Check()
		b.WriteString(problems(test.name, list))
		test.options.Transport = transport(t, answers(200, ""))
		if _, err := source.NewGitHubActions(test.options); (err == nil) != (len(list) == 0) {
			t.Errorf("%s: NewGitHubActions: error %v, but Check = %v", test.name, err, list)
		}
	}
	if strings.Contains(b.String(), secret) {
		t.Error("a problem shows a secret")
	}
	golden(t, "options_github", b.String())

	if _, err := source.NewGitHubActions(source.GitHubActionsOptions{RequestURL: good, RequestToken: secret}); err == nil || !strings.Contains(err.Error(), "a Transport is required") {
		t.Errorf("NewGitHubActions without a Transport: error %v, want one that says so", err)
	}
}

// github is GitHub's endpoint on a network, with options for a source that uses it.
func github(t testing.TB) (*cloudtest.GitHub, source.GitHubActionsOptions) {
	gh := cloudtest.NewGitHub(cloudtest.GitHubOptions{Repository: "acme/reports"})
	u, err := url.Parse(gh.RequestURL())
	if err != nil {
		t.Fatal(err)
	}
	network := cloudtest.NewNetwork()
	network.Handle(u.Host, gh)
	return gh, source.GitHubActionsOptions{
		RequestURL: gh.RequestURL(), RequestToken: refresher.Secret(gh.RequestToken()), Transport: transport(t, network),
	}
}

func newGitHub(t testing.TB, o source.GitHubActionsOptions) refresher.Source {
	t.Helper()
	s, err := source.NewGitHubActions(o)
	return must(t, s, err)
}

func TestGitHubGivesATokenForTheAudience(t *testing.T) {
	for audience, want := range map[string]string{
		"sts.amazonaws.com":          "sts.amazonaws.com",
		"api://AzureADTokenExchange": "api://AzureADTokenExchange",
		"https://iam.googleapis.com/projects/1/x?a=b&audience=c d+e#f": "https://iam.googleapis.com/projects/1/x?a=b&audience=c d+e#f",
		"": "https://github.com/acme",
	} {
		gh, o := github(t)
		o.Audience = audience
		token, err := newGitHub(t, o).Token(t.Context())
		if err != nil {
			t.Errorf("Token for %q: %v", audience, err)
			continue
		}
		claims, err := refresher.ParseClaims(token.Raw)
		if err != nil || len(claims.Audience) != 1 || claims.Audience[0] != want || claims.Subject != gh.Subject() {
			t.Errorf("claims = %+v, %v, want audience %q and subject %q", claims, err, want, gh.Subject())
		}
		if left := time.Until(token.Expires); token.Type != refresher.TypeIDToken || left > 5*time.Minute || left < 4*time.Minute {
			t.Errorf("Token is of type %s with %v left, want an ID token of 5 minutes", token.Type, left)
		}
	}
}

// An audience in the URL would be a second one.
func TestGitHubIsAskedForOneAudience(t *testing.T) {
	_, o := github(t)
	o.RequestURL += "&audience=other"
	o.Audience = "sts.amazonaws.com"
	token, err := newGitHub(t, o).Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if claims, err := refresher.ParseClaims(token.Raw); err != nil || claims.Audience[0] != "sts.amazonaws.com" {
		t.Errorf("claims = %+v, %v, want the audience of the options", claims, err)
	}
}

func TestGitHubRefuses(t *testing.T) {
	var b strings.Builder
	gh, o := github(t)
	ended := o
	ended.RequestToken = secret
	tell(t, &b, "the token of another job", newGitHub(t, ended))
	noVersion := o
	noVersion.RequestURL, _, _ = strings.Cut(o.RequestURL, "?")
	tell(t, &b, "a URL that was cut off", newGitHub(t, noVersion))
	elsewhere := o
	elsewhere.RequestURL = strings.Replace(o.RequestURL, "/45//", "/46//", 1)
	tell(t, &b, "a URL of nobody", newGitHub(t, elsewhere))

	s := newGitHub(t, o)
	gh.Inject(cloudtest.Fault{Throttle: true, RetryAfter: 30 * time.Second, Times: 1})
	tell(t, &b, "throttled", s)
	gh.Inject(cloudtest.Fault{Malformed: true, Times: 1})
	tell(t, &b, "half an answer", s)
	gh.Inject(cloudtest.Fault{Status: 401, Body: `{"message":"token ` + hourToken(1) + ` is over\u001b[2J"}`, Times: 1})
	tell(t, &b, "the token comes back", s)
	golden(t, "github_refusals", b.String())

	if _, err := s.Token(t.Context()); err != nil {
		t.Errorf("Token after all that: %v", err)
	}
}
