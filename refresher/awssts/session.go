package awssts

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/wisp-sidecar/wisp/refresher"
)

// CodeWrongAccount: the credentials are not those of the expected account.
const CodeWrongAccount = "wrong_account"

// A session is what STS gives for a role.
type session struct {
	key     refresher.AccessKey
	account string // as STS said; empty if it did not
	expires time.Time
}

// assumedRoleARN is the ARN of a role session, from which the account is taken.
var assumedRoleARN = regexp.MustCompile(`^arn:[a-z-]+:sts::([0-9]{12}):assumed-role/`)

// newSession checks what STS gave, by the service's clock. The SDK turns elements that are missing
// from an answer into nil, and an empty answer into an empty output.
func newSession(given *types.Credentials, user *types.AssumedRoleUser, arn string, now time.Time) (session, error) {
	if given == nil {
		given = &types.Credentials{}
	}
	s := session{
		key: refresher.AccessKey{
			ID:           aws.ToString(given.AccessKeyId),
			Secret:       refresher.Secret(aws.ToString(given.SecretAccessKey)),
			SessionToken: refresher.Secret(aws.ToString(given.SessionToken)),
		},
		expires: aws.ToTime(given.Expiration),
	}
	if user != nil {
		if m := assumedRoleARN.FindStringSubmatch(aws.ToString(user.Arn)); m != nil {
			s.account = m[1]
		}
	}
	s.key.AccountID = cmp.Or(s.account, parseRole(arn).account)
	switch {
	case s.key.ID == "" || s.key.Secret == "" || s.key.SessionToken == "":
		return session{}, badCredential(errors.New("STS answered without complete credentials"))
	case s.expires.IsZero():
		return session{}, badCredential(errors.New("STS answered without an expiration"))
	case !s.expires.After(now):
		return session{}, badCredential(fmt.Errorf("STS answered with credentials that expired at %s", s.expires.UTC().Format(time.RFC3339)))
	}
	return s, nil
}

func badCredential(err error) *refresher.Error {
	return &refresher.Error{Class: refresher.Transient, Code: refresher.CodeBadCredential, Err: err}
}

// guard refuses credentials of any account but the expected one.
func (x *Exchanger) guard(s session) error {
	want := x.options.ExpectedAccount
	if want == "" || s.account == want {
		return nil
	}
	e := &refresher.Error{
		Class: refresher.Denied,
		Code:  CodeWrongAccount,
		Hint:  fmt.Sprintf("find out what answers in place of STS, or correct expectedAccount and the role, %s", x.options.lastRole()),
		Err:   fmt.Errorf("STS gave credentials of account %s, and only those of %s are accepted", s.account, want),
	}
	if s.account == "" {
		e.Err = fmt.Errorf("STS did not say whose credentials it gave, and only those of account %s are accepted", want)
	}
	return e
}
