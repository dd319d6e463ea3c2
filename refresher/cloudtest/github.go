package cloudtest

import (
	"cmp"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// GitHubOptions configure a [GitHub].
type GitHubOptions struct {
	Repository  string // OWNER/NAME; required
	Ref         string // empty is refs/heads/main
	Environment string // the job's; if there is one, the subject names it in place of the ref
	Workflow    string // name of the workflow and, with .yml, of its file; empty is deploy
	// URL is where the endpoint is, without a path. Empty is a host as GitHub's runners are given one.
	URL string
	// IssuerURL is the claim "iss", and where its documents are. Empty is
	// https://token.actions.githubusercontent.com.
	IssuerURL string
	Now       func() time.Time // nil is time.Now
	Rand      io.Reader        // for the job's ids and token ids; nil is crypto/rand
}

// GitHub is what gives ID tokens to a job of GitHub Actions that has the permission "id-token:
// write". The job of one workflow run is all it knows, and that never ends. Operations for [Faults]:
//
//	idtoken  GET, the path of RequestURL
//
// All other requests go to the [Issuer] of the tokens, so that one handler can serve both hosts. It is
// safe for concurrent use.
//
// https://docs.github.com/actions/reference/security/oidc
type GitHub struct {
	Faults
	o      GitHubOptions
	url    string
	path   string
	token  string // the request token
	issuer *Issuer
	now    func() time.Time
	chance *chance
}

// Dates of a token: it is good for five minutes, and from ten before, for clocks that are behind.
const (
	githubLifetime  = 5 * time.Minute
	githubBackdated = 10 * time.Minute
)

// NewGitHub returns the endpoint of a job. It panics if the repository is not OWNER/NAME, or a URL is
// not one.
func NewGitHub(o GitHubOptions) *GitHub {
	owner, name, _ := strings.Cut(o.Repository, "/")
	if owner == "" || name == "" || strings.Contains(name, "/") {
		panic("cloudtest: GitHubOptions.Repository must be OWNER/NAME, not " + o.Repository)
	}
	o.Ref = cmp.Or(o.Ref, "refs/heads/main")
	o.Workflow = cmp.Or(o.Workflow, "deploy")
	o.URL = cmp.Or(strings.TrimRight(o.URL, "/"), "https://run-actions-1-azure-eastus.actions.githubusercontent.com")
	o.IssuerURL = cmp.Or(o.IssuerURL, "https://token.actions.githubusercontent.com")
	chance := newChance(o.Rand)
	// The doubled slash is the real one's: a client that cleans the path asks for something else.
	path := "/45//idtoken/" + chance.uuid() + "/" + chance.uuid()
	return &GitHub{
		o:      o,
		url:    o.URL + path + "?api-version=2.0",
		path:   path,
		token:  "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9." + chance.text(base64Alphabet, 800) + "." + chance.text(base64Alphabet, 342),
		issuer: NewIssuer(IssuerOptions{URL: o.IssuerURL, Now: o.Now}),
		now:    clock(o.Now),
		chance: chance,
	}
}

// RequestURL is the job's ACTIONS_ID_TOKEN_REQUEST_URL. It has a query: an audience is appended with
// "&audience=".
func (g *GitHub) RequestURL() string { return g.url }

// RequestToken is the job's ACTIONS_ID_TOKEN_REQUEST_TOKEN.
func (g *GitHub) RequestToken() string { return g.token }

// Subject is the claim "sub" of the tokens.
func (g *GitHub) Subject() string {
	if g.o.Environment != "" {
		return "repo:" + g.o.Repository + ":environment:" + g.o.Environment
	}
	return "repo:" + g.o.Repository + ":ref:" + g.o.Ref
}

// Issuer is what signs the tokens.
func (g *GitHub) Issuer() *Issuer { return g.issuer }

// ServeHTTP answers for tokens and for the issuer's documents.
func (g *GitHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != g.path {
		g.issuer.ServeHTTP(w, r)
		return
	}
	if g.answers(w, r, "idtoken", g.now, githubWording) {
		return
	}
	audience, failure := g.read(r)
	if failure != nil {
		writeGitHubError(w, failure)
		return
	}
	token := g.mint(audience)
	// The value's length: the service takes the text for a list of its characters.
	writeJSON(w, githubJSON, http.StatusOK, struct {
		Count int    `json:"count"`
		Value string `json:"value"`
	}{len(token), token})
}

// read checks a request and returns the audience that it is for.
func (g *GitHub) read(r *http.Request) (string, *githubError) {
	if r.Method != http.MethodGet {
		return "", &githubError{http.StatusMethodNotAllowed, "The requested resource does not support http method '" + r.Method + "'.", ""}
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", &githubError{http.StatusUnauthorized, "The user is not authorized to access this resource.", "UnauthorizedRequestException"}
	}
	if token != g.token {
		return "", &githubError{http.StatusForbidden, "The request token is not that of the job.", "AccessCheckException"}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	switch {
	case err != nil || len(query["audience"]) > 1 || len(query["api-version"]) > 1:
		return "", &githubError{http.StatusBadRequest, "The query string is malformed.", "ArgumentException"}
	case query.Get("api-version") == "":
		return "", &githubError{http.StatusBadRequest, "No api-version was supplied for the request.", "VssVersionNotSpecifiedException"}
	case query.Get("api-version") != "2.0":
		return "", &githubError{http.StatusBadRequest, "The requested REST API version is not supported.", "VssVersionOutOfRangeException"}
	}
	owner, _, _ := strings.Cut(g.o.Repository, "/")
	return cmp.Or(query.Get("audience"), "https://github.com/"+owner), nil
}

// mint makes an ID token.
func (g *GitHub) mint(audience string) string {
	now := g.now()
	owner, _, _ := strings.Cut(g.o.Repository, "/")
	workflow := g.o.Repository + "/.github/workflows/" + g.o.Workflow + ".yml@" + g.o.Ref
	claims := map[string]any{
		"iss": g.issuer.URL(),
		"sub": g.Subject(),
		"aud": audience,
		"jti": g.chance.uuid(),
		"iat": now.Unix(),
		"nbf": now.Add(-githubBackdated).Unix(),
		"exp": now.Add(g.limit(githubLifetime)).Unix(),

		"actor":                 owner,
		"base_ref":              "",
		"event_name":            "push",
		"head_ref":              "",
		"job_workflow_ref":      workflow,
		"ref":                   g.o.Ref,
		"ref_type":              "branch",
		"repository":            g.o.Repository,
		"repository_id":         "74",
		"repository_owner":      owner,
		"repository_owner_id":   "65",
		"repository_visibility": "private",
		"run_attempt":           "1",
		"run_id":                "9876543210",
		"run_number":            "10",
		"runner_environment":    "github-hosted",
		"sha":                   "0123456789abcdef0123456789abcdef01234567",
		"workflow":              g.o.Workflow,
		"workflow_ref":          workflow,
	}
	if g.o.Environment != "" {
		claims["environment"] = g.o.Environment
	}
	if strings.HasPrefix(g.o.Ref, "refs/tags/") {
		claims["ref_type"] = "tag"
	}
	return sign(jose.RS256, g.issuer.keys.key(jose.RS256), claims)
}

const githubJSON = "application/json; charset=utf-8; api-version=2.0"

// A githubError is a refusal. The kind tells a client's program what the message tells a person.
type githubError struct {
	status  int
	message string
	kind    string
}

func writeGitHubError(w http.ResponseWriter, e *githubError) {
	switch e.status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodGet)
	}
	writeJSON(w, "application/json; charset=utf-8", e.status, struct {
		Message string `json:"message"`
		Kind    string `json:"typeKey,omitempty"`
	}{e.message, e.kind})
}

var githubWording = wording{
	throttled: func(w http.ResponseWriter) {
		writeGitHubError(w, &githubError{http.StatusTooManyRequests, "Request was blocked due to exceeding usage of resource.", "RequestBlockedException"})
	},
	contentType: githubJSON,
	malformed:   `{"count":1024,"value":"eyJ`,
}
