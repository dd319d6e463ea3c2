// Package awssts trades a subject token for AWS credentials with AssumeRoleWithWebIdentity
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html). The
// token is the authorization: the request is not signed, and no AWS credentials are looked for.
package awssts

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/wisp-sidecar/wisp/refresher"
)

// An Exchanger is a [refresher.Exchanger] for one role. It is safe for concurrent use.
type Exchanger struct {
	options Options
	client  *sts.Client
}

// New returns an Exchanger, or everything that is wrong with the options as one error.
func New(o Options) (*Exchanger, error) {
	if err := refresher.JoinFieldErrors(o.Check()); err != nil {
		return nil, err
	}
	if o.Transport == nil {
		return nil, errors.New("a Transport is required")
	}
	// Built by hand, not from aws.Config: loading that would look at the environment, at ~/.aws and
	// at metadata services, one of which may be wisp itself.
	client := sts.New(sts.Options{
		Region:       o.Region,
		BaseEndpoint: aws.String(o.url()),
		HTTPClient:   o.Transport.Client(),
		Credentials:  aws.AnonymousCredentials{},
		Retryer:      aws.NopRetryer{}, // the Refresher retries; two layers would multiply
		AppID:        "wisp",
	})
	return &Exchanger{options: o, client: client}, nil
}

// Exchange assumes the role. The credential is an [refresher.AccessKey]. AWS has one kind of
// credential per role, so any target but the zero one is refused.
func (x *Exchanger) Exchange(ctx context.Context, subject refresher.Token, target refresher.Target) (refresher.Credential, error) {
	if target != (refresher.Target{}) {
		return refresher.Credential{}, &refresher.Error{
			Class: refresher.Denied,
			Code:  refresher.CodeTargetNotAllowed,
			Err:   errors.New("AWS credentials have neither scope nor audience"),
		}
	}
	if refresher.AttemptFrom(ctx) == nil { // a caller without engine; failures are read from it
		ctx = refresher.WithAttempt(ctx, new(refresher.Attempt))
	}
	attempt := refresher.AttemptFrom(ctx)
	duration := x.options.duration()
	attempt.Record(func(d *refresher.AttemptData) { d.Requested = duration })

	// What STS says about a token that cannot be read is worth more than what can be said here.
	claims, _ := refresher.ParseClaims(subject.Raw)
	name := x.options.SessionName
	if name == "" {
		name = sessionName(claims)
	}
	out, err := x.client.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn:          aws.String(x.options.RoleARN),
		RoleSessionName:  aws.String(name),
		WebIdentityToken: aws.String(subject.Raw.Reveal()),
		DurationSeconds:  aws.Int32(int32(duration / time.Second)),
	})
	if err != nil {
		return refresher.Credential{}, x.failure(ctx, err, claims)
	}
	return x.credential(out, attempt.ServerNow())
}

// credential checks what STS gave, by the service's clock. The SDK turns elements that are missing
// from an answer into nil, and an empty answer into an empty output.
func (x *Exchanger) credential(out *sts.AssumeRoleWithWebIdentityOutput, now time.Time) (refresher.Credential, error) {
	given := out.Credentials
	if given == nil {
		given = &types.Credentials{}
	}
	key := refresher.AccessKey{
		ID:           aws.ToString(given.AccessKeyId),
		Secret:       refresher.Secret(aws.ToString(given.SecretAccessKey)),
		SessionToken: refresher.Secret(aws.ToString(given.SessionToken)),
		AccountID:    x.options.account(),
	}
	if user := out.AssumedRoleUser; user != nil {
		if m := assumedRoleARN.FindStringSubmatch(aws.ToString(user.Arn)); m != nil {
			key.AccountID = m[1]
		}
	}
	expires := aws.ToTime(given.Expiration)
	switch {
	case key.ID == "" || key.Secret == "" || key.SessionToken == "":
		return refresher.Credential{}, badCredential(errors.New("STS answered without complete credentials"))
	case expires.IsZero():
		return refresher.Credential{}, badCredential(errors.New("STS answered without an expiration"))
	case !expires.After(now):
		return refresher.Credential{}, badCredential(fmt.Errorf("STS answered with credentials that expired at %s", expires.UTC().Format(time.RFC3339)))
	}
	return refresher.Credential{Value: key, Expires: expires}, nil
}

// assumedRoleARN is the ARN of a role session, from which the account is taken.
var assumedRoleARN = regexp.MustCompile(`^arn:[a-z-]+:sts::([0-9]{12}):assumed-role/`)

func badCredential(err error) *refresher.Error {
	return &refresher.Error{Class: refresher.Transient, Code: refresher.CodeBadCredential, Err: err}
}
