package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// An awsInstance gets keys from the metadata service of an EC2 instance, in its version 2: each call begins
// with a session token. Without a URL for that, it is version 1.
//
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
type awsInstance struct {
	client *http.Client
	urls   metadataURLs
}

// metadataURLs are where the metadata service has what; an empty one is not there.
type metadataURLs struct{ sessionToken, credentials, region string }

// sessionSeconds is how long a session token lives. It is used at once.
const sessionSeconds = "300"

func (i *awsInstance) key(ctx context.Context) (refresher.AccessKey, time.Time, error) {
	session, failure := i.session(ctx)
	if failure != nil {
		return refresher.AccessKey{}, time.Time{}, failure
	}
	role, failure := i.role(ctx, session)
	if failure != nil {
		return refresher.AccessKey{}, time.Time{}, failure
	}
	asked := i.service("credentials of role "+role, "the role was detached, or replaced: see which one the instance profile has")
	text, failure := i.get(ctx, asked, i.urls.credentials+"/"+role, session)
	if failure != nil {
		return refresher.AccessKey{}, time.Time{}, failure
	}
	key, expires, err := parseAWSKey(text)
	if err != nil {
		failure := asked.answered(err)
		failure.Hint = asked.alien
		if errors.Is(err, errNoKey) { // a new trust policy takes a while to spread
			failure.Class = refresher.Settling
			failure.Hint = fmt.Sprintf("the trust policy of role %s must let ec2.amazonaws.com assume it", role)
		}
		return refresher.AccessKey{}, time.Time{}, failure
	}
	return key, expires, nil
}

func (i *awsInstance) role(ctx context.Context, session refresher.Secret) (string, *refresher.Error) {
	const none = "no role is attached to the instance: attach an instance profile that has one"
	asked := i.service("name of the role", none)
	list, failure := i.get(ctx, asked, i.urls.credentials, session)
	if failure != nil {
		return "", failure
	}
	role, err := roleOf(list)
	if err != nil {
		failure := asked.answered(err)
		failure.Hint = none
		return "", failure
	}
	return role, nil
}

func (i *awsInstance) region(ctx context.Context) (string, error) {
	const unknown = "set AWS_REGION, or the region of the source"
	session, failure := i.session(ctx)
	if failure != nil {
		return "", failure
	}
	asked := i.service("region", unknown)
	text, failure := i.get(ctx, asked, i.urls.region, session)
	if failure != nil {
		return "", failure
	}
	region, err := regionOf(text)
	if err != nil {
		failure := asked.answered(err)
		failure.Hint = unknown
		return "", failure
	}
	return region, nil
}

// session asks for a session token; empty if none is wanted.
func (i *awsInstance) session(ctx context.Context) (refresher.Secret, *refresher.Error) {
	if i.urls.sessionToken == "" {
		return "", nil
	}
	asked := i.service("session token", "")
	asked.explain = explainSession
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, i.urls.sessionToken, http.NoBody)
	if err != nil {
		return "", asked.unusableURL()
	}
	r.Header.Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", sessionSeconds)
	text, failure := asked.send(r)
	if failure != nil {
		return "", failure
	}
	session := trim(text)
	if !oneWord.Match(session) {
		failure := asked.answered(errors.New("not a session token"))
		failure.Hint = asked.alien
		return "", failure
	}
	return refresher.Secret(session), nil
}

func (i *awsInstance) get(ctx context.Context, from service, url string, session refresher.Secret) ([]byte, *refresher.Error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, from.unusableURL()
	}
	if session != "" {
		r.Header.Set("X-Aws-Ec2-Metadata-Token", session.Reveal())
	}
	return from.send(r)
}

// service is the metadata service when asked for something; missing is the hint if it does not have that.
// Its refusals are pages of HTML that say no more than their status.
func (i *awsInstance) service(what, missing string) service {
	return service{
		client: i.client,
		name:   "EC2 instance metadata, " + what,
		explain: func(status int, _ []byte, e *refresher.Error) {
			switch {
			case status == http.StatusUnauthorized && i.urls.sessionToken == "":
				e.Class = refresher.Denied
				e.Hint = "the instance wants IMDSv2: add the URL of session tokens (imdsv2_session_token_url), such as http://169.254.169.254/latest/api/token"
			case status == http.StatusUnauthorized:
				e.Class = refresher.Transient // the next attempt has a new session token
			case status == http.StatusNotFound:
				e.Hint = missing
			}
		},
		absent: "this is not an EC2 instance, or its answers to a Pod get lost: set HttpPutResponseHopLimit of the instance to 2, or use another source",
		alien:  "what answers there is not the metadata service of EC2: check the endpoint",
	}
}

// explainSession sorts the refusals of a session token, which no role and no time will change.
func explainSession(status int, _ []byte, e *refresher.Error) {
	switch status {
	case http.StatusForbidden:
		e.Class = refresher.Denied
		e.Hint = "turn on the metadata service of the instance (HttpEndpoint), and let no proxy stand before it"
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed:
		e.Class = refresher.Denied
		e.Hint = "what answers there does not know IMDSv2: check the endpoint"
	}
}

var (
	roleName = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]+$`)
	// awsZone is a region, or a zone in one: eu-west-1a, us-west-2-lax-1a, us-east-1-wl1-bos-wlz-1.
	awsZone = regexp.MustCompile(`^([a-z]+(?:-[a-z]+)+-[0-9]+)(?:[a-z]|(?:-[a-z0-9]+)+)?$`)
)

// roleOf reads the list of roles, of which an instance has one.
func roleOf(list []byte) (string, error) {
	role, _, _ := strings.Cut(string(trim(list)), "\n")
	role = strings.TrimSpace(role)
	if len(role) > 64 || !roleName.MatchString(role) {
		return "", errors.New("not the name of a role")
	}
	return role, nil
}

// regionOf reads the name of a region or of a zone.
func regionOf(text []byte) (string, error) {
	found := awsZone.FindSubmatch(trim(text))
	if found == nil {
		return "", errors.New("neither a region nor an availability zone")
	}
	return string(found[1]), nil
}
