package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

const (
	// ecsEndpoint is what AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is relative to.
	ecsEndpoint  = "http://169.254.170.2"
	ec2Endpoint  = "http://169.254.169.254"
	ec2Endpoint6 = "http://[fd00:ec2::254]"
)

// An awsEnvironment is what environment variables say of AWS. They are read when they are needed: keys are
// not kept.
//
// https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
type awsEnvironment struct{ getenv func(string) string }

// mentionsKey: there is a key or a part of one.
func (e awsEnvironment) mentionsKey() bool {
	return e.getenv("AWS_ACCESS_KEY_ID") != "" || e.getenv("AWS_SECRET_ACCESS_KEY") != ""
}

// complete returns the key if it is one. Errors never quote it.
func (e awsEnvironment) complete() (refresher.AccessKey, error) {
	key := refresher.AccessKey{
		ID:           e.getenv("AWS_ACCESS_KEY_ID"),
		Secret:       refresher.Secret(e.getenv("AWS_SECRET_ACCESS_KEY")),
		SessionToken: refresher.Secret(e.getenv("AWS_SESSION_TOKEN")),
	}
	switch {
	case key.ID == "" && key.Secret == "":
		return refresher.AccessKey{}, errors.New("neither AWS_ACCESS_KEY_ID nor AWS_SECRET_ACCESS_KEY is set")
	case key.ID == "":
		return refresher.AccessKey{}, errors.New("AWS_SECRET_ACCESS_KEY is set without AWS_ACCESS_KEY_ID")
	case key.Secret == "":
		return refresher.AccessKey{}, errors.New("AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY")
	}
	if err := checkAWSKey(key); err != nil {
		return refresher.AccessKey{}, fmt.Errorf("AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN: %w", err)
	}
	return key, nil
}

func (e awsEnvironment) key(context.Context) (refresher.AccessKey, time.Time, error) {
	key, err := e.complete()
	if err != nil {
		return refresher.AccessKey{}, time.Time{}, &refresher.Error{
			Class: refresher.Denied,
			Code:  refresher.CodeSubjectMissing,
			Err:   err,
			Hint:  "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN for a temporary key",
		}
	}
	return key, time.Time{}, nil
}

func (e awsEnvironment) region() string {
	return cmp.Or(e.getenv("AWS_REGION"), e.getenv("AWS_DEFAULT_REGION"))
}

// container is the endpoint for containers, and the variable that it comes from; empty if there is none.
// Most SDKs prefer the relative one, too.
func (e awsEnvironment) container() (variable, endpoint string) {
	if path := e.getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); path != "" {
		return "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", ecsEndpoint + "/" + strings.TrimPrefix(path, "/")
	}
	return "AWS_CONTAINER_CREDENTIALS_FULL_URI", e.getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
}

// metadata is the metadata service of the instance.
func (e awsEnvironment) metadata() string {
	usual := ec2Endpoint
	if strings.EqualFold(e.getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"), "IPv6") {
		usual = ec2Endpoint6
	}
	return cmp.Or(e.getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT"), usual)
}

func (e awsEnvironment) metadataDisabled() bool {
	return strings.EqualFold(e.getenv("AWS_EC2_METADATA_DISABLED"), "true")
}
