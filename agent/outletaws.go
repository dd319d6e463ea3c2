package agent

import (
	"cmp"
	"fmt"
	"log/slog"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/awscontainer"
	"github.com/wisp-sidecar/wisp/refresher"
)

// awsContainerOutlet is the AWS container credentials endpoint.
type awsContainerOutlet struct {
	Listen     string `yaml:"listen" doc:"loopback address and port; outlets may share one (default 127.0.0.1:9911)"`
	Path       string `yaml:"path" doc:"path of the one identity (default /aws/IDENTITY, which several identities always have)"`
	SecretFile string `yaml:"secretFile" doc:"file with the secret that callers have to send as Authorization; made if missing, and what AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names (default: no secret)"`
	SecretEnv  string `yaml:"secretEnv" doc:"environment variable with that secret, instead of a file"`
}

func (o *awsContainerOutlet) check() []refresher.FieldError {
	if o.Path != "" && !plainPath(o.Path) {
		return []refresher.FieldError{{Field: "path", Problem: "must be an absolute path without empty, dotted or escaped parts"}}
	}
	return nil
}

func (o *awsContainerOutlet) accepts(s shape) string { return only(accessKey, s) }
func (o *awsContainerOutlet) listen() string         { return o.Listen }
func (o *awsContainerOutlet) secret() secretPlace    { return secretPlace{o.SecretFile, o.SecretEnv} }
func (o *awsContainerOutlet) guarded() bool          { return o.secret() != (secretPlace{}) }
func (o *awsContainerOutlet) String() string {
	return at(o.Listen, cmp.Or(o.Path, "/aws/"+anyIdentity))
}

func (o *awsContainerOutlet) protocol(identities []outletIdentity, secret refresher.Secret, _ *slog.Logger) (*endpoints.Protocol, error) {
	if o.Path != "" && len(identities) > 1 {
		return nil, fmt.Errorf("path is for one identity; %d have /aws/NAME each", len(identities))
	}
	options := awscontainer.Options{Secret: secret}
	for _, i := range identities {
		entry := awscontainer.Entry{Path: cmp.Or(o.Path, "/aws/"+i.name), Provider: i.identity}
		if aws, ok := i.exchange.(*awsExchange); ok {
			entry.RoleARN = aws.RoleARN
		}
		options.Entries = append(options.Entries, entry)
	}
	return awscontainer.New(options), nil
}

func (o *awsContainerOutlet) variables(i outletIdentity, secret refresher.Secret) []Variable {
	list := []Variable{{Name: "AWS_CONTAINER_CREDENTIALS_FULL_URI", Value: at(o.Listen, cmp.Or(o.Path, "/aws/"+i.name))}}
	switch {
	case o.SecretEnv != "":
		list = append(list, Variable{Name: "AWS_CONTAINER_AUTHORIZATION_TOKEN", Value: secret.Reveal(), Secret: true})
	case o.SecretFile != "":
		list = append(list, Variable{Name: "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Value: o.SecretFile})
	}
	// Several SDKs would go on to the node's own role if something failed here.
	list = append(list, Variable{Name: "AWS_EC2_METADATA_DISABLED", Value: "true"})
	return append(list, awsRegion(i)...)
}

// awsRegion is the identity's region, in both spellings: boto3 and the AWS CLI 1 read only the second.
func awsRegion(i outletIdentity) []Variable {
	aws, ok := i.exchange.(*awsExchange)
	if !ok || aws.Region == "" || aws.Region == awsGlobal {
		return nil
	}
	return []Variable{{Name: "AWS_REGION", Value: aws.Region}, {Name: "AWS_DEFAULT_REGION", Value: aws.Region}}
}

// awsGlobal is the name of the global STS, which is no region for anything else.
const awsGlobal = "aws-global"
