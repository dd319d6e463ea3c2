package agent

import (
	"log/slog"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/bearer"
	"github.com/wisp-sidecar/wisp/refresher"
)

// bearerOutlet shows tokens of any cloud as JSON.
type bearerOutlet struct {
	Listen     string `yaml:"listen" doc:"loopback address and port; outlets may share one (default 127.0.0.1:9911)"`
	SecretFile string `yaml:"secretFile" doc:"file with the secret that callers have to send as Authorization: Bearer SECRET; made if missing (this or secretEnv is required)"`
	SecretEnv  string `yaml:"secretEnv" doc:"environment variable with that secret"`
}

func (o *bearerOutlet) check() []refresher.FieldError { return requireSecret(o.secret()) }

func (o *bearerOutlet) accepts(s shape) string {
	switch s {
	case googleBearer, entraBearer, oauthBearer:
		return ""
	case subjectToken:
		return "that is what the outlet subjectToken is for"
	}
	return "this outlet shows Google, Entra and OAuth tokens"
}

func (o *bearerOutlet) listen() string      { return o.Listen }
func (o *bearerOutlet) secret() secretPlace { return secretPlace{o.SecretFile, o.SecretEnv} }
func (o *bearerOutlet) guarded() bool       { return true }
func (o *bearerOutlet) String() string      { return at(o.Listen, bearer.Prefix+anyIdentity) }

func (o *bearerOutlet) protocol(identities []outletIdentity, secret refresher.Secret, _ *slog.Logger) (*endpoints.Protocol, error) {
	options := bearer.Options{Secret: secret}
	for _, i := range identities {
		options.Entries = append(options.Entries, bearer.Entry{
			Name: i.name, Provider: i.identity, Target: i.exchange.yields().target,
		})
	}
	return bearer.New(options), nil
}

// target is what a query stands for, or false if it makes no sense for tokens of this shape: Entra knows
// resources, the others scopes and, instead of them, the audience of an ID token.
func (s shape) target(q bearer.Query) (refresher.Target, bool) {
	scoped := q.Scope != "" || q.Audience != ""
	if scoped && !s.scoped() || q.Resource != "" && s != entraBearer || q.Scope != "" && q.Audience != "" {
		return refresher.Target{}, false
	}
	return Target([]string{q.Scope}, q.Resource, q.Audience), true
}
