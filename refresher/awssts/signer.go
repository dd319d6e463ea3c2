package awssts

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/wisp-sidecar/wisp/refresher"
)

// A signer signs by the service's clock. STS refuses signatures that are more than 15 minutes old or
// ahead, and a node's clock may be further off than that; but the answer that brought the keys also
// told the time. The SDK measures the difference too, and would use it only when it retries.
type signer struct{ *v4.Signer }

func newSigner() sts.HTTPSignerV4 { return signer{v4.NewSigner()} }

func (s signer) SignHTTP(ctx context.Context, key aws.Credentials, r *http.Request, payloadHash, service, region string, _ time.Time, options ...func(*v4.SignerOptions)) error {
	now := refresher.AttemptFrom(ctx).ServerNow()
	return s.Signer.SignHTTP(ctx, key, r, payloadHash, service, region, now, options...)
}

// signedWith makes a call with the keys of a session.
func signedWith(key refresher.AccessKey) func(*sts.Options) {
	credentials := aws.Credentials{
		AccessKeyID:     key.ID,
		SecretAccessKey: key.Secret.Reveal(),
		SessionToken:    key.SessionToken.Reveal(),
	}
	return func(o *sts.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return credentials, nil })
	}
}
