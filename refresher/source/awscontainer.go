package source

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// An awsContainer gets keys from the endpoint that ECS and EKS Pod Identity have for containers.
//
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
type awsContainer struct {
	client      *http.Client
	environment awsEnvironment
}

func (c awsContainer) key(ctx context.Context) (refresher.AccessKey, time.Time, error) {
	variable, endpoint := c.environment.container()
	authorization, failure := c.authorization()
	if failure != nil {
		return refresher.AccessKey{}, time.Time{}, failure
	}
	asked := service{
		client: c.client,
		name:   fmt.Sprintf("AWS container credentials (%s)", variable),
		explain: func(status int, body []byte, e *refresher.Error) {
			explainContainer(status, body, authorization, e)
		},
		absent: "check the endpoint, and that no network policy keeps it from the Pod",
		alien:  "what answers there is not an AWS credentials endpoint: check " + variable,
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint, http.NoBody)
	if err != nil {
		return refresher.AccessKey{}, time.Time{}, asked.unusableURL()
	}
	r.Header.Set("Accept", "application/json")
	if authorization != "" {
		r.Header.Set("Authorization", authorization.Reveal())
	}
	text, failure := asked.send(r)
	if failure != nil {
		return refresher.AccessKey{}, time.Time{}, failure
	}
	key, expires, err := parseAWSKey(text)
	if err != nil {
		failure := asked.answered(err)
		failure.Hint = asked.alien
		return refresher.AccessKey{}, time.Time{}, failure
	}
	return key, expires, nil
}

// oneLine is what a header can carry.
var oneLine = regexp.MustCompile(`^[\x20-\x7E]+$`)

// authorization is what the endpoint wants to see, verbatim. That of a file is read each time, because it is
// renewed there; the file counts more than the variable.
func (c awsContainer) authorization() (refresher.Secret, *refresher.Error) {
	const variable = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
	path, text := c.environment.getenv(variable+"_FILE"), []byte(c.environment.getenv(variable))
	if path == "" && len(text) == 0 {
		return "", nil
	}
	from := variable
	if path != "" {
		from = variable + "_FILE"
		var failure *refresher.Error
		if text, failure = readFile(path); failure != nil {
			failure.Err = fmt.Errorf("%s: %w", from, failure.Err)
			return "", failure
		}
	}
	defer clear(text)
	authorization := trim(text)
	if !oneLine.Match(authorization) {
		failure := noToken(fmt.Errorf("%s: empty, or more than one line of printable ASCII characters", from))
		failure.Hint = "it must be the token that came with the endpoint, and nothing else"
		return "", failure
	}
	return refresher.Secret(authorization), nil
}

// explainContainer adds what the endpoint itself says, and what to do about it.
func explainContainer(status int, body []byte, authorization refresher.Secret, e *refresher.Error) {
	if e.Class != refresher.Settling { // an outage, throttling, a redirect
		return
	}
	quote(e, containerComplaint(body), authorization)
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		if status == http.StatusUnauthorized {
			e.Class = refresher.SubjectToken
		}
		e.Hint = "check that the token of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or AWS_CONTAINER_AUTHORIZATION_TOKEN is this container's, and that its role can be assumed"
		if authorization == "" {
			e.Hint = "the endpoint wants a token: set AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
		}
	default:
		e.Hint = "check the path of the endpoint, and that the task, or the Pod's service account, has a role"
	}
}

// containerComplaint finds the reason in an answer: {"code","message"} of ECS, plain text of EKS Pod Identity;
// nothing in a page of HTML.
func containerComplaint(body []byte) string {
	var said struct{ Code, Message string }
	switch err := json.Unmarshal(body, &said); {
	case err == nil:
		return strings.Trim(said.Code+": "+said.Message, ": ")
	case bytes.HasPrefix(trim(body), []byte("<")):
		return ""
	}
	return string(body)
}

// unusableURL is the failure of an endpoint that was a URL when the options were checked.
func (s service) unusableURL() *refresher.Error {
	return noToken(fmt.Errorf("%s: not a valid URL", s.name))
}
