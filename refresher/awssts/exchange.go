// Package awssts trades a subject token for AWS credentials with AssumeRoleWithWebIdentity
// (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html). The
// token is the authorization: the request is not signed, and no AWS credentials are looked for. From
// the session that this gives, further roles can be assumed, each from the one before.
package awssts

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

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
		Region:       o.signingRegion(),
		BaseEndpoint: aws.String(o.url()),
		HTTPClient:   o.Transport.Client(),
		Credentials:  aws.AnonymousCredentials{},
		HTTPSignerV4: newSigner(),
		Retryer:      aws.NopRetryer{}, // the Refresher retries; two layers would multiply
		AppID:        "wisp",
	})
	return &Exchanger{options: o, client: client}, nil
}

// Exchange assumes the role, and then those of the chain. The credential is an
// [refresher.AccessKey]. AWS has one kind of credential per role, so any target but the zero one is
// refused.
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
	refresher.AttemptFrom(ctx).Record(func(d *refresher.AttemptData) { d.Requested = x.options.Lifetime() })

	// What STS says about a token that cannot be read is worth more than what can be said here.
	claims, _ := refresher.ParseClaims(subject.Raw)
	name := cmp.Or(x.options.SessionName, sessionName(claims))
	s, err := x.begin(ctx, subject, claims, name)
	for i := 0; err == nil && i < len(x.options.Chain); i++ {
		s, err = x.hop(ctx, i, name, s)
	}
	if err == nil {
		err = x.guard(s)
	}
	if err != nil {
		return refresher.Credential{}, err
	}
	return refresher.Credential{Value: s.key, Expires: s.expires}, nil
}

// begin trades the token for the first session.
func (x *Exchanger) begin(ctx context.Context, subject refresher.Token, claims refresher.Claims, name string) (session, error) {
	out, err := x.client.AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
		RoleArn:          aws.String(x.options.RoleARN),
		RoleSessionName:  aws.String(name),
		WebIdentityToken: aws.String(subject.Raw.Reveal()),
		DurationSeconds:  seconds(x.options.duration()),
		Policy:           optional(x.options.Policy),
		PolicyArns:       policyDescriptors(x.options.PolicyARNs),
	})
	if err != nil {
		return session{}, x.failure(ctx, err, claims)
	}
	return newSession(out.Credentials, out.AssumedRoleUser, x.options.RoleARN, refresher.AttemptFrom(ctx).ServerNow())
}

func seconds(d time.Duration) *int32 { return aws.Int32(int32(d / time.Second)) }

// optional is a parameter that is not sent if it is empty.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
