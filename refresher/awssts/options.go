package awssts

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// What STS accepts as DurationSeconds. The role has a maximum of its own, one hour unless it was
// raised: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
const (
	DefaultDuration = time.Hour
	MinDuration     = 15 * time.Minute
	MaxDuration     = 12 * time.Hour
	// MaxHopDuration is that of a role which is assumed from another one's session, whatever the role
	// allows: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining
	MaxHopDuration = time.Hour
)

// Options configure an [Exchanger]. Nothing is read from the environment or from files of the AWS
// SDK: what is not here is not used.
type Options struct {
	// RoleARN is the role to assume with the token: "arn:<partition>:iam::<account>:role/<path and name>".
	// Required, unless Endpoint leads to a service that finds the rights in the token, as MinIO can.
	RoleARN string
	// Region picks the regional STS, "eu-west-1". "aws-global" stands for the global one in
	// us-east-1. Required unless Endpoint is set; then it is only what the requests of a Chain are
	// signed for, us-east-1 if empty.
	Region string
	// SessionName is the RoleSessionName, 2 to 64 of A-Za-z0-9_+=,.@- as CloudTrail shows it. Empty
	// means a name made from the token, which stays the same for the life of a Pod.
	SessionName string
	// Duration is the lifetime to ask for, in whole seconds: 15 minutes to 12 hours. Zero means
	// DefaultDuration. With a Chain it is that of the first session, which does nothing but assume the
	// next role; there zero means MinDuration. What is served is then limited by the last Hop.
	Duration time.Duration
	// Policy and PolicyARNs narrow what the session may do to what they allow as well: a JSON document,
	// and up to ten managed policies, of AWS or of the role's account. All text together is 2048
	// characters at most. With a Chain they narrow the first session only.
	Policy     string
	PolicyARNs []string
	// Chain are roles to assume one from the other's session, after RoleARN; the last one's credentials
	// are served. They are all assumed anew in every exchange.
	Chain []Hop
	// ExpectedAccount is the only account, 12 digits, whose credentials are accepted. It guards against
	// a role or an endpoint that somebody else had a hand in. Empty means any.
	ExpectedAccount string
	// Legacy sends what the SDKs call legacy regions to the global STS, as AWS_STS_REGIONAL_ENDPOINTS=legacy
	// asks for. Other regions keep their own.
	Legacy bool
	// FIPS and DualStack pick the variants of the regional endpoint.
	FIPS, DualStack bool
	// Endpoint is the URL of an STS to use instead of AWS's, such as that of MinIO or of a Ceph Object
	// Gateway; a path in it is kept. Roles may then be of their forms too: "arn:minio:iam:::role/<name>",
	// "arn:aws:iam::<tenant>:role/<path and name>". Legacy, FIPS and DualStack have no effect.
	Endpoint string
	// Transport sends the requests, and judges Endpoint. Required.
	Transport *upstream.Transport
}

var (
	// hostLabel is what a region may be, as it becomes part of a host name.
	hostLabel   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	nameText    = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]+$`)
	goodAccount = regexp.MustCompile(`^[0-9]{12}$`)
)

// isName tells what can be a role's, a session's or a source identity's name. (Here and elsewhere lengths
// are not in the patterns: the limits there are for people, and compiled they cost memory and time.)
func isName(text string) bool { return len(text) >= 2 && len(text) <= 64 && nameText.MatchString(text) }

// Check reports everything that is wrong with the options; nil if nothing is. Without a Transport
// it judges Endpoint as one would that permits no http.
func (o Options) Check() []refresher.FieldError {
	var found problems
	switch {
	case o.RoleARN != "":
		found.checkRole(o.RoleARN, o.Endpoint != "")
	case o.Endpoint == "":
		found.add("roleArn", "is required")
	}
	found.checkSessionName(o.SessionName)
	if d := o.duration(); d < MinDuration || d > MaxDuration || d%time.Second != 0 {
		found.add("duration", "must be 15m to 12h in whole seconds, and no more than the role's maximum session duration")
	}
	found.checkPolicies(o.Policy, o.PolicyARNs, parseRole(o.RoleARN))
	found = append(found, o.checkChain()...)
	if problem := o.accountProblem(); problem != "" {
		found.add("expectedAccount", "%s", problem)
	}
	if o.Endpoint != "" {
		if _, err := cmp.Or(o.Transport, new(upstream.Transport)).CheckURL(o.Endpoint); err != nil {
			found.add("endpoint", "%s", err)
		}
	}
	switch {
	case o.Region == "" && o.Endpoint == "":
		found.add("region", "is required: a regional STS is nearer and does not fail with another region (aws-global picks the global one)")
	case o.Region != "" && (len(o.Region) > 63 || !hostLabel.MatchString(o.Region)):
		found.add("region", "is not the name of a region")
	case o.Endpoint == "":
		if problem := o.endpointProblem(); problem != "" {
			found.add("region", "%s", problem)
		}
	}
	return found
}

// accountProblem says what is wrong with ExpectedAccount; empty if nothing is, or if the role is wrong
// already.
func (o Options) accountProblem() string {
	arn := o.lastRole()
	role := parseRole(arn)
	switch {
	case o.ExpectedAccount == "":
		return ""
	case !goodAccount.MatchString(o.ExpectedAccount):
		return "must be the 12 digits of an account"
	case role.account == "" && o.Endpoint != "" && (arn == "" || otherRole.MatchString(arn)):
		return "cannot be guaranteed: the role does not name an account, nor will the service"
	case role.account != "" && role.account != o.ExpectedAccount:
		return fmt.Sprintf("differs from the account of the role whose credentials are served, %s", arn)
	}
	return ""
}

// Lifetime is the one asked for of the credentials that are served.
func (o Options) Lifetime() time.Duration {
	if last := len(o.Chain) - 1; last >= 0 {
		return o.hopDuration(last)
	}
	return o.duration()
}

// duration is that of the first session. In front of a chain it signs one request, at once; the
// sessions of a chain do not end with the one they began in. So it need not live longer than the
// shortest that STS gives.
func (o Options) duration() time.Duration {
	switch {
	case o.Duration != 0:
		return o.Duration
	case len(o.Chain) > 0:
		return MinDuration
	}
	return DefaultDuration
}

// lastRole is the ARN of the role whose credentials are served.
func (o Options) lastRole() string {
	if len(o.Chain) == 0 {
		return o.RoleARN
	}
	return o.Chain[len(o.Chain)-1].RoleARN
}

// problems collects what is wrong.
type problems []refresher.FieldError

func (p *problems) add(field, format string, args ...any) {
	*p = append(*p, refresher.FieldError{Field: field, Problem: fmt.Sprintf(format, args...)})
}

// within returns the problems as those of a nested field.
func (p problems) within(field string) problems {
	nested := slices.Clone(p)
	for i := range nested {
		nested[i].Field = field + "." + nested[i].Field
	}
	return nested
}

func (p *problems) checkSessionName(name string) {
	if name != "" && !isName(name) {
		p.add("sessionName", "must be 2 to 64 of the characters A-Z a-z 0-9 _ + = , . @ -")
	}
}
