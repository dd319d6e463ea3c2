package awssts

import (
	"cmp"
	"regexp"
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
)

// Options configure an [Exchanger]. Nothing is read from the environment or from files of the AWS
// SDK: what is not here is not used.
type Options struct {
	// RoleARN is the role to assume: "arn:<partition>:iam::<account>:role/<path and name>". Required.
	RoleARN string
	// Region picks the regional STS, "eu-west-1". "aws-global" stands for the global one in
	// us-east-1. Required unless Endpoint is set.
	Region string
	// SessionName is the RoleSessionName, 2 to 64 of A-Za-z0-9_+=,.@- as CloudTrail shows it. Empty
	// means a name made from the token, which stays the same for the life of a Pod.
	SessionName string
	// Duration is the lifetime to ask for, in whole seconds: 15 minutes to 12 hours. Zero means
	// DefaultDuration.
	Duration time.Duration
	// Legacy sends what the SDKs call legacy regions to the global STS, as AWS_STS_REGIONAL_ENDPOINTS=legacy
	// asks for. Other regions keep their own.
	Legacy bool
	// FIPS and DualStack pick the variants of the regional endpoint.
	FIPS, DualStack bool
	// Endpoint is the URL of an STS to use instead of AWS's. Region, Legacy, FIPS and DualStack then
	// have no effect.
	Endpoint string
	// Transport sends the requests, and judges Endpoint. Required.
	Transport *upstream.Transport
}

var (
	roleARN = regexp.MustCompile(`^arn:(aws(?:-[a-z]+)*):iam::([0-9]{12}):role/(?:[\x21-\x2e\x30-\x7e]+/)*[A-Za-z0-9_+=,.@-]{1,64}$`)
	// hostLabel is what a region may be, as it becomes part of a host name.
	hostLabel       = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	goodSessionName = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{2,64}$`)
)

// Check reports everything that is wrong with the options; nil if nothing is. Without a Transport
// it judges Endpoint as one would that permits no http.
func (o Options) Check() []refresher.FieldError {
	var problems []refresher.FieldError
	complain := func(field, problem string) {
		problems = append(problems, refresher.FieldError{Field: field, Problem: problem})
	}
	switch {
	case o.RoleARN == "":
		complain("roleArn", "is required")
	case len(o.RoleARN) < 20 || len(o.RoleARN) > 2048 || !roleARN.MatchString(o.RoleARN):
		complain("roleArn", "is not of the form arn:<partition>:iam::<12 digits>:role/<name>")
	}
	if o.SessionName != "" && !goodSessionName.MatchString(o.SessionName) {
		complain("sessionName", "must be 2 to 64 of the characters A-Z a-z 0-9 _ + = , . @ -")
	}
	if d := o.duration(); d < MinDuration || d > MaxDuration || d%time.Second != 0 {
		complain("duration", "must be 15m to 12h in whole seconds, and no more than the role's maximum session duration")
	}
	switch {
	case o.Endpoint != "":
		if _, err := cmp.Or(o.Transport, new(upstream.Transport)).CheckURL(o.Endpoint); err != nil {
			complain("endpoint", err.Error())
		}
	case o.Region == "":
		complain("region", "is required: a regional STS is nearer and does not fail with another region (aws-global picks the global one)")
	case !hostLabel.MatchString(o.Region):
		complain("region", "is not the name of a region")
	default:
		if problem := o.endpointProblem(); problem != "" {
			complain("region", problem)
		}
	}
	return problems
}

func (o Options) duration() time.Duration {
	if o.Duration == 0 {
		return DefaultDuration
	}
	return o.Duration
}

// account is the account of the role.
func (o Options) account() string {
	if m := roleARN.FindStringSubmatch(o.RoleARN); m != nil {
		return m[2]
	}
	return ""
}

// partition is the AWS partition of the role: "aws", "aws-cn", and so on.
func (o Options) partition() string {
	if m := roleARN.FindStringSubmatch(o.RoleARN); m != nil {
		return m[1]
	}
	return ""
}
