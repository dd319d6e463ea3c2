package conformance_test

import (
	"net/http"
	"sync"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const (
	awsShell    = awsMember + "shell"
	awsInstance = awsMember + "i-0123456789abcdef0"
)

// Clouds by whose clocks this machine's is slow, or fast.
var (
	slowHere         = sync.OnceValue(func() *clouds { return newClouds(20 * time.Minute) })
	fastHere         = sync.OnceValue(func() *clouds { return newClouds(-2 * time.Minute) })
	slightlyFastHere = sync.OnceValue(func() *clouds { return newClouds(-20 * time.Second) })
)

// awsRows are about requests to AWS that are signed for Google to send.
var awsRows = []row{
	{name: "AWS: keys in the environment", environ: true, set: shell(awsRole), want: gets(awsShell)},
	{
		name: "AWS: keys in the environment, for a service account", environ: true, set: both(shell(awsRole), account(reports)),
		want: gets(impersonated),
	},
	{name: "AWS: keys in the environment, and AWS_DEFAULT_REGION", environ: true, set: both(shell(awsRole), func(s *stage) {
		s.Setenv("AWS_REGION", "")
		s.Setenv("AWS_DEFAULT_REGION", "eu-west-1")
	}), want: gets(awsShell)},
	{
		name: "AWS: keys in the environment, and no URLs", environ: true,
		set:  both(shell(awsRole), func(s *stage) { s.gives("environment_id", "aws1") }),
		want: gets(awsShell),
	},
	{name: "AWS: keys in the environment, and the region of the instance", environ: true, set: both(shell(awsRole), func(s *stage) {
		s.Setenv("AWS_REGION", "")
		s.instance(awsRole)
	}), want: gets(awsShell)},
	{name: "AWS: the instance's role", set: instance(awsRole), want: gets(awsInstance)},
	{
		name: "AWS: the instance's role, for an account that does not know it", set: both(instance(awsRole), account(reports)),
		want: refuses("403 PERMISSION_DENIED", "denied", refresher.Settling),
	},
	{
		name: "AWS: the instance's role, and the region in the environment", environ: true,
		set:  both(instance(awsRole), func(s *stage) { s.Setenv("AWS_REGION", "eu-west-1") }),
		want: gets(awsInstance),
	},

	{name: "AWS: another account", set: instance(awsOther), want: refusesUse("account does not match")},
	{
		name: "AWS: the attribute condition", set: both(instance(awsRole), toProvider("amazon-picky")),
		want: refuses("400 unauthorized_client", "attribute condition", refresher.Settling),
	},
	{
		name: "AWS: a provider for JWTs", set: both(instance(awsRole), toProvider("kubernetes")),
		want: refuses("400 invalid_request", "does not take this type", refresher.Denied),
	},
	{name: "AWS: signed for another provider", set: both(instance(awsRole), func(s *stage) {
		s.door.audience = "//iam.googleapis.com/" + provider("amazon-picky")
	}), want: refusesUse("target-resource")},
	{
		name: "AWS: expired keys", environ: true, set: func(s *stage) { s.shell(awsRole, -time.Minute) },
		want: refusesToken("invalid AWS response"),
	},
	{name: "AWS: a wrong secret", environ: true, set: both(shell(awsRole), func(s *stage) {
		s.Setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
	}), want: refusesToken("invalid AWS response")},
	{
		name: "AWS: a clock that is 20 minutes slow", patient: true,
		set:  both(func(s *stage) { s.clouds = slowHere() }, instance(awsRole)),
		want: refusesToken("x-amz-date"), wisp: gets(awsInstance), differs: becauseTime,
	},
	{
		name: "AWS: a clock that is 2 minutes fast", patient: true,
		set:  both(func(s *stage) { s.clouds = fastHere() }, instance(awsRole)),
		want: refusesToken("x-amz-date"), wisp: gets(awsInstance), differs: becauseTime,
	},
	{
		name: "AWS: a clock that is 20 seconds fast", set: both(func(s *stage) { s.clouds = slightlyFastHere() }, instance(awsRole)),
		want: refusesToken("x-amz-date"), wisp: gets(awsInstance), differs: "wisp signs as of a minute ago",
	},

	{name: "AWS: an instance without a role", set: instance(""), want: lacks(refresher.Settling, refresher.CodeSubjectMissing)},
	{
		name: "AWS: no metadata service", set: both(instance(awsRole), func(s *stage) { s.door.ec2 = http.NotFoundHandler() }),
		want: lacks(refresher.Denied, refresher.CodeSubjectMissing),
	},
	{
		name: "AWS: IMDSv1 where only IMDSv2 answers",
		set:  both(instance(awsRole), func(s *stage) { delete(s.source(), "imdsv2_session_token_url") }),
		want: lacks(refresher.Denied, refresher.CodeSubjectMissing),
	},
	{name: "AWS: keys, but no region", environ: true, set: both(shell(awsRole), func(s *stage) {
		s.Setenv("AWS_REGION", "")
		delete(s.source(), "region_url")
	}), want: lacks(refresher.Denied, refresher.CodeSubjectMissing)},
	{
		name: "AWS: half a key", environ: true, set: both(shell(awsRole), func(s *stage) {
			s.Setenv("AWS_SECRET_ACCESS_KEY", "")
			s.instance(awsRole)
		}),
		want: gets(awsInstance), wisp: rejects("AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY"),
		differs: "wisp takes half a key for a mistake, libraries for none",
	},
	{
		name: "AWS: a region_url that gives a region", set: both(instance(awsRole), func(s *stage) {
			s.source()["region_url"] = s.door.URL + "/latest/meta-data/placement/region"
		}),
		want: refuses("400 invalid_grant", "Error connecting", refresher.Transient), wisp: gets(awsInstance),
		differs: "wisp knows a region from a zone; libraries cut the last letter off, whatever it is",
	},
	{name: "AWS: no URLs, no keys", environ: true, set: func(s *stage) {
		s.instance(awsRole)
		s.gives("environment_id", "aws1")
		s.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", s.door.URL)
	}, want: lacks(0, ""), wisp: gets(awsInstance), differs: "wisp knows where the metadata service is"},
	{
		name: "AWS: environment_id aws2",
		set:  both(instance(awsRole), func(s *stage) { s.source()["environment_id"] = "aws2" }),
		want: rejects("environment_id: \"aws2\" is not supported"),
	},
	{
		name: "AWS: environment_id that nobody knows",
		set:  func(s *stage) { s.answers(200, s.good(), "environment_id", "gcp1") },
		want: gets(federated), wisp: rejects("environment_id: \"gcp1\" is not aws1"),
		differs: "libraries for Go overlook what they do not know, and ask the url for a token",
	},
	{
		name: "AWS: a subject_token_type for JWTs", set: both(instance(awsRole), with("subject_token_type", refresher.TypeJWT)),
		want: refuses("400 invalid_request", "does not take this type", refresher.Denied), wisp: rejects("subject_token_type: "),
		differs: becauseForeseen,
	},
	{
		name: "AWS: a signed request from a file", set: with("subject_token_type", refresher.TypeAWSRequest),
		want: refuses("400 invalid_request", "does not take this type", refresher.Denied), wisp: rejects("subject_token_type: "),
		differs: becauseForeseen,
	},
	{
		name: "AWS: a verification URL of somebody else", set: both(instance(awsRole), func(s *stage) {
			s.source()["regional_cred_verification_url"] = "https://sts.{region}.amazonaws.com?Action=AssumeRole&Version=2011-06-15"
		}),
		want: refusesToken("GetCallerIdentity"), wisp: rejects("verificationUrl"),
		differs: "wisp signs no request but the one that Google takes",
	},
}

func shell(role string) func(*stage) { return func(s *stage) { s.shell(role, time.Hour) } }

func instance(role string) func(*stage) { return func(s *stage) { s.instance(role) } }

// shell puts keys of a role into the environment.
func (s *stage) shell(role string, life time.Duration) {
	id, secret, session, _, err := s.aws.IssueSession(role, "shell", life)
	if err != nil {
		s.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": session, "AWS_REGION": "eu-west-1",
	} {
		s.Setenv(name, value)
	}
	s.amazon()
}

// instance has the metadata service give out keys of a role.
func (s *stage) instance(role string) {
	s.door.ec2 = cloudtest.NewEC2(cloudtest.EC2Options{AWS: s.aws, RoleARN: role, AvailabilityZone: "eu-west-1b"})
	s.amazon()
}

// amazon is credential_source as gcloud writes it, but for the address.
func (s *stage) amazon() {
	metadata := s.door.URL + "/latest/"
	s.asks("amazon")
	s.document["subject_token_type"] = refresher.TypeAWSRequest
	s.gives(
		"environment_id", "aws1",
		"region_url", metadata+"meta-data/placement/availability-zone",
		"url", metadata+"meta-data/iam/security-credentials",
		"regional_cred_verification_url", "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
		"imdsv2_session_token_url", metadata+"api/token",
	)
}

// source is credential_source.
func (s *stage) source() map[string]any { return s.document["credential_source"].(map[string]any) }
