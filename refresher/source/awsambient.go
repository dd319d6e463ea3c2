package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// The places in which a workload on AWS finds keys, by their names in the configuration.
const (
	AWSEnvironment = "environment" // AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
	AWSContainer   = "container"   // the endpoint of ECS and of EKS Pod Identity
	AWSInstance    = "instance"    // the metadata service of EC2
)

// AWSAmbientOptions configure an [AWSAmbient]. The three URLs are those of an external_account document
// (https://google.aip.dev/auth/4117). If there is any of them, the metadata service is the document's; else it
// is that of AWS_EC2_METADATA_SERVICE_ENDPOINT, or EC2's, unless AWS_EC2_METADATA_DISABLED is true.
type AWSAmbientOptions struct {
	// Use is one of AWSEnvironment, AWSContainer and AWSInstance. Empty means the first of these that the
	// environment describes, the instance last; with a document, which does not know containers, the
	// environment or else the instance. In the configuration its name is credentials.
	Use string
	// RegionURL gives the region or the availability zone that is in it.
	RegionURL string
	// CredentialsURL gives the name of the role, and below it the role's key.
	CredentialsURL string
	// SessionTokenURL gives the session token of IMDSv2 that the others want. Empty in a document: none is
	// sent.
	SessionTokenURL string
	// Getenv looks up environment variables; nil means os.Getenv. It must not show variables that lead to
	// this process itself.
	Getenv func(string) string
	// Transport sends the requests. Required.
	Transport *upstream.Transport
}

// An AWSAmbient finds the keys that AWS lends to the machine or container it runs on, or that somebody has put
// into the environment. It implements [AWSKeys], keeps nothing, and is safe for concurrent use.
//
// The region is AWS_REGION or AWS_DEFAULT_REGION, wherever the key comes from, or else what the metadata
// service says.
type AWSAmbient struct {
	place       string
	environment awsEnvironment
	keys        keyPlace
	instance    *awsInstance // knows the region; nil if there is nobody to ask
}

// A keyPlace is one of the places.
type keyPlace interface {
	key(ctx context.Context) (refresher.AccessKey, time.Time, error)
}

// NewAWSAmbient decides on a place, and asks it nothing yet. The error is everything that is wrong with the
// options.
func NewAWSAmbient(o AWSAmbientOptions) (*AWSAmbient, error) {
	if err := usable(o.Check(), o.Transport); err != nil {
		return nil, fmt.Errorf("AWS keys: %w", err)
	}
	a := &AWSAmbient{place: o.place(), environment: o.environment()}
	if a.place == AWSInstance || o.RegionURL != "" {
		a.instance = &awsInstance{client: client(o.Transport), urls: o.metadata()}
	}
	switch a.place {
	case AWSEnvironment:
		a.keys = a.environment
	case AWSContainer:
		a.keys = awsContainer{client: client(o.Transport), environment: a.environment}
	default:
		a.keys = a.instance
	}
	return a, nil
}

// Place returns which of the places was decided on.
func (a *AWSAmbient) Place() string { return a.place }

// AWSKey implements [AWSKeys].
func (a *AWSAmbient) AWSKey(ctx context.Context) (refresher.AccessKey, time.Time, error) {
	return a.keys.key(ctx)
}

// AWSRegion implements [AWSKeys].
func (a *AWSAmbient) AWSRegion(ctx context.Context) (string, error) {
	switch region := a.environment.region(); {
	case region != "":
		return region, nil
	case a.instance != nil && a.instance.urls.region != "":
		return a.instance.region(ctx)
	}
	return "", noRegion("neither AWS_REGION nor AWS_DEFAULT_REGION is set")
}

// Check reports everything that is wrong with the options, and with what the environment says of the place
// that they lead to.
func (o AWSAmbientOptions) Check() []refresher.FieldError {
	var problems []refresher.FieldError
	report := func(field string, err error) {
		if err != nil {
			problems = append(problems, refresher.FieldError{Field: field, Problem: err.Error()})
		}
	}
	for _, u := range []struct{ field, raw string }{
		{"regionUrl", o.RegionURL}, {"credentialsUrl", o.CredentialsURL}, {"sessionTokenUrl", o.SessionTokenURL},
	} {
		if u.raw != "" {
			_, err := checkURL(o.Transport, u.raw)
			report(u.field, err)
		}
	}
	switch place := o.place(); {
	case place != AWSInstance || !o.documented():
		report("credentials", o.checkPlace(place))
	case o.CredentialsURL == "":
		report("credentialsUrl", errors.New("is required, as the environment has no AWS_ACCESS_KEY_ID"))
	}
	return problems
}

// checkPlace finds out whether the environment says what a place needs. The text never holds a secret.
func (o AWSAmbientOptions) checkPlace(place string) error {
	environment := o.environment()
	switch place {
	case AWSEnvironment:
		if _, err := environment.complete(); err != nil {
			return fmt.Errorf("%w: set both, and AWS_SESSION_TOKEN for a temporary key, or choose other credentials", err)
		}
		return nil
	case AWSContainer:
		variable, endpoint := environment.container()
		if endpoint == "" {
			return errors.New("neither AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set: give the task, or the Pod's service account, a role")
		}
		if _, err := checkURL(o.Transport, endpoint); err != nil {
			return fmt.Errorf("%s: %w", variable, err)
		}
		return nil
	case AWSInstance:
		if environment.metadataDisabled() {
			return errors.New("AWS_EC2_METADATA_DISABLED is true, so that the instance is not asked: put a key into the environment, or unset it")
		}
		if _, err := checkEndpoint(o.Transport, environment.metadata()); err != nil {
			return fmt.Errorf("AWS_EC2_METADATA_SERVICE_ENDPOINT: %w", err)
		}
		return nil
	}
	return fmt.Errorf("%.40q is none of %s, %s and %s", place, AWSEnvironment, AWSContainer, AWSInstance)
}

func (o AWSAmbientOptions) environment() awsEnvironment {
	if o.Getenv == nil {
		return awsEnvironment{os.Getenv}
	}
	return awsEnvironment{o.Getenv}
}

// documented: the URLs are those of a document.
func (o AWSAmbientOptions) documented() bool {
	return o.RegionURL != "" || o.CredentialsURL != "" || o.SessionTokenURL != ""
}

// place decides, in the order of the AWS SDKs.
func (o AWSAmbientOptions) place() string {
	environment := o.environment()
	_, endpoint := environment.container()
	switch {
	case o.Use != "":
		return o.Use
	case environment.mentionsKey():
		return AWSEnvironment
	case endpoint != "" && !o.documented():
		return AWSContainer
	}
	return AWSInstance
}

// metadata is where the metadata service has what.
func (o AWSAmbientOptions) metadata() metadataURLs {
	if o.documented() {
		return metadataURLs{
			sessionToken: o.SessionTokenURL,
			credentials:  strings.TrimRight(o.CredentialsURL, "/"),
			region:       o.RegionURL,
		}
	}
	latest := strings.TrimRight(o.environment().metadata(), "/") + "/latest/"
	return metadataURLs{
		sessionToken: latest + "api/token",
		credentials:  latest + "meta-data/iam/security-credentials",
		region:       latest + "meta-data/placement/region",
	}
}
