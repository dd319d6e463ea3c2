package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// AWSKeysOf makes keys of another identity's credentials. name is that identity's, for errors; region may
// be empty if the source that signs has one.
func AWSKeysOf(name string, c Credentials, region string) AWSKeys {
	return identityKeys{name: name, of: c, region: region}
}

type identityKeys struct {
	name   string
	of     Credentials
	region string
}

// AWSKey implements [AWSKeys]. The expiry is left out: what the credential says is by the local clock, and
// the other identity hands out nothing that is about to end.
func (k identityKeys) AWSKey(ctx context.Context) (refresher.AccessKey, time.Time, error) {
	credential, err := chained(ctx, k.name, k.of, refresher.Target{})
	if err != nil {
		return refresher.AccessKey{}, time.Time{}, err
	}
	key, ok := credential.Value.(refresher.AccessKey)
	if !ok {
		return refresher.AccessKey{}, time.Time{}, &refresher.Error{
			Class: refresher.Denied,
			Code:  refresher.CodeSubjectInvalid,
			Err:   fmt.Errorf("identity %q yields a token, not the AWS access key that signs", k.name),
			Hint:  "name an identity with an aws exchange",
		}
	}
	return key, time.Time{}, nil
}

// AWSRegion implements [AWSKeys].
func (k identityKeys) AWSRegion(context.Context) (string, error) {
	if k.region == "" {
		return "", noRegion(fmt.Sprintf("identity %q has no AWS region", k.name))
	}
	return k.region, nil
}

func noRegion(problem string) *refresher.Error {
	return &refresher.Error{
		Class: refresher.Denied,
		Code:  refresher.CodeSubjectMissing,
		Err:   errors.New(problem),
		Hint:  "set the region of the source, such as eu-west-1",
	}
}

func expiredKey(at time.Time) *refresher.Error {
	return &refresher.Error{
		Class: refresher.SubjectToken,
		Code:  refresher.CodeSubjectExpired,
		Err:   fmt.Errorf("the AWS access key expired at %s", at.UTC().Format(time.RFC3339)),
		Hint:  "whatever renews the keys of this machine or container has stopped: see whether it still has its role, and whether the clock is right",
	}
}

// checkAWSKey finds out whether a key is complete. A line feed at the end of a part is a common mistake. Errors
// never quote the key.
func checkAWSKey(key refresher.AccessKey) error {
	switch {
	case key.ID == "" || key.Secret == "":
		return errors.New("the access key lacks its id or its secret")
	case !oneWord.MatchString(key.ID) || !oneWord.MatchString(key.Secret.Reveal()) ||
		key.SessionToken != "" && !oneWord.MatchString(key.SessionToken.Reveal()):
		return errors.New("the access key has white space or other characters that are none of a key")
	case key.SessionToken == "" && strings.HasPrefix(key.ID, "ASIA"):
		return errors.New("the access key is a temporary one (ASIA…) without its session token")
	}
	return nil
}

// An awsKeyDocument is how the services of a container and of an instance write a key.
type awsKeyDocument struct {
	Code            string // absent for containers
	Message         string
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey refresher.Secret
	Token           refresher.Secret
	Expiration      string
}

// errNoKey is a document that says why there is no key, with the status of one that has a key.
var errNoKey = errors.New("there are no credentials")

// parseAWSKey reads a document. Errors quote no more of it than the reason that it gives.
func parseAWSKey(text []byte) (refresher.AccessKey, time.Time, error) {
	var doc awsKeyDocument
	if json.Unmarshal(text, &doc) != nil {
		return refresher.AccessKey{}, time.Time{}, errors.New("not a JSON object of strings")
	}
	if doc.Code != "" && !strings.EqualFold(doc.Code, "Success") {
		reason := strings.TrimSuffix(upstream.Clean(doc.Code)+": "+upstream.Clean(doc.Message), ": ")
		return refresher.AccessKey{}, time.Time{}, fmt.Errorf("%w: %s", errNoKey, reason)
	}
	key := refresher.AccessKey{ID: doc.AccessKeyID, Secret: doc.SecretAccessKey, SessionToken: doc.Token}
	if err := checkAWSKey(key); err != nil {
		return refresher.AccessKey{}, time.Time{}, err
	}
	if doc.Expiration == "" {
		return key, time.Time{}, nil
	}
	expires, err := time.Parse(time.RFC3339, doc.Expiration)
	if err != nil {
		return refresher.AccessKey{}, time.Time{}, errors.New("its Expiration is not a time such as 2026-01-02T03:04:05Z")
	}
	return key, expires, nil
}
