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

func (o *awsContainerOutlet) check() []refresher.FieldError { return checkPath(o.Path) }
func (o *awsContainerOutlet) accepts(s shape) string        { return only(accessKey, s) }
func (o *awsContainerOutlet) listen() string                { return o.Listen }
func (o *awsContainerOutlet) secret() secretPlace           { return secretPlace{o.SecretFile, o.SecretEnv} }
func (o *awsContainerOutlet) guarded() bool                 { return o.secret() != (secretPlace{}) }
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
