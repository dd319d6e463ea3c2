package source

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// The variables that a job's runner sets for its steps.
const (
	githubURLVariable   = "ACTIONS_ID_TOKEN_REQUEST_URL"
	githubTokenVariable = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
)

const githubAdvice = "the job needs permissions: id-token: write, and wisp has to run inside a step of that job"

// GitHubActionsOptions configure a [GitHubActions].
type GitHubActionsOptions struct {
	// RequestURL is the value of ACTIONS_ID_TOKEN_REQUEST_URL. Required.
	RequestURL string
	// RequestToken is the value of ACTIONS_ID_TOKEN_REQUEST_TOKEN. Required.
	RequestToken refresher.Secret
	// Audience of the token: what the cloud expects in its claim "aud". Empty is GitHub's own default,
	// the URL of the repository's owner, which no cloud expects unless told to.
	Audience string
	// Transport sends the requests. Required.
	Transport *upstream.Transport
}

// Check reports everything that is wrong with the options, nil if nothing is.
func (o GitHubActionsOptions) Check() []refresher.FieldError {
	var problems []refresher.FieldError
	report := func(field, format string, args ...any) {
		problems = append(problems, refresher.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
	}
	switch {
	case o.RequestURL == "" && o.RequestToken == "":
		report("requestUrl", "%s and %s are not set: %s", githubURLVariable, githubTokenVariable, githubAdvice)
		return problems
	case o.RequestURL == "":
		report("requestUrl", "%s is not set: %s", githubURLVariable, githubAdvice)
	default:
		if _, err := checkURL(o.Transport, o.RequestURL); err != nil {
			report("requestUrl", "%s: %v", githubURLVariable, err)
		}
	}
	switch token := o.RequestToken.Reveal(); {
	case token == "":
		report("requestToken", "%s is not set: %s", githubTokenVariable, githubAdvice)
	case !sendable.MatchString(token) || strings.ContainsAny(token, " \t"):
		report("requestToken", "%s is not what the runner has set: it has white space or control characters in it", githubTokenVariable)
	}
	return problems
}

// GitHubActions is the ID token of a job of GitHub Actions. One lives for five minutes, so it asks
// for each exchange and keeps nothing. It implements [refresher.Source].
//
// https://docs.github.com/actions/reference/security/oidc
type GitHubActions struct {
	question question
}

// NewGitHubActions returns the source; it does not ask yet. Its error joins all that
// [GitHubActionsOptions.Check] reports.
func NewGitHubActions(o GitHubActionsOptions) (*GitHubActions, error) {
	const name = "GitHub's token service"
	if err := usable(o.Check(), o.Transport); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	u, err := checkURL(o.Transport, o.RequestURL)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if o.Audience != "" {
		query := u.Query() // it has an api-version already
		query.Set("audience", o.Audience)
		u.RawQuery = query.Encode()
	}
	return &GitHubActions{question{
		service: service{
			client:  client(o.Transport),
			name:    name,
			explain: explainGitHub,
			absent:  "the job's runner must reach GitHub: check its network, and HTTPS_PROXY if it needs a proxy",
			alien:   githubURLVariable + " must be as the runner has set it: what it names does not answer as GitHub does",
		},
		request: &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{
			"Authorization": {"Bearer " + o.RequestToken.Reveal()},
			"Accept":        {"application/json"},
		}},
		format:    Format{JSONField: "value"},
		tokenType: refresher.TypeIDToken,
	}}, nil
}

// Token implements [refresher.Source]. Errors are of type [*refresher.Error].
func (g *GitHubActions) Token(ctx context.Context) (refresher.Token, error) {
	return g.question.token(ctx)
}

// explainGitHub adds GitHub's own words. That the permission is missing shows at the start, because
// the variables are not set then; a refusal later on means that the job has ended.
func explainGitHub(status int, body []byte, e *refresher.Error) {
	if e.Class != refresher.Settling {
		return
	}
	var refusal struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &refusal) == nil {
		quote(e, refusal.Message)
	}
	e.Hint = githubURLVariable + " and " + githubTokenVariable + " must be those of the job that wisp runs in"
	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		e.Class = refresher.Denied
		e.Hint = "the request token ends with its job; " + githubAdvice
	}
}
