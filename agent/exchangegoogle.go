package agent

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// googleExchange is Google's Security Token Service, and the impersonation of a service account.
type googleExchange struct {
	Audience         string        `yaml:"audience" doc:"resource name of the provider: //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER, or //iam.googleapis.com/locations/LOCATION/workforcePools/POOL/providers/PROVIDER, or identitynamespace:PROJECT.svc.id.goog:URL for a GKE fleet (required)"`
	ServiceAccount   string        `yaml:"serviceAccount" doc:"e-mail of the service account to impersonate; without one the federated token itself is handed out, and clients call the account IDENTITY@POOL.global.NUMBER.workload.id.goog"`
	Lifetime         time.Duration `yaml:"lifetime" doc:"lifetime to ask for, 10m to 12h; more than 1h needs an organization policy (default 1h; impersonation only)"`
	Scopes           []string      `yaml:"scopes" doc:"scopes of the default token (default https://www.googleapis.com/auth/cloud-platform)"`
	Delegates        []string      `yaml:"delegates" doc:"service accounts through which the last one is impersonated, in order"`
	QuotaProject     string        `yaml:"quotaProject" doc:"project that pays for the impersonation calls"`
	UserProject      string        `yaml:"userProject" doc:"project that pays for the token exchange of a workforce pool"`
	ClientID         string        `yaml:"clientId" doc:"OAuth client that the token service is to authenticate, for workforce pools"`
	ClientSecretFile string        `yaml:"clientSecretFile" doc:"absolute path of the file with its secret, read at the start"`
	SubjectTokenType string        `yaml:"subjectTokenType" doc:"RFC 8693 token type URI to send (default: that of the source)"`
	UniverseDomain   string        `yaml:"universeDomain" doc:"domain of another Google Cloud (default googleapis.com)"`
	TokenURL         string        `yaml:"tokenUrl" doc:"URL of the token service (default https://sts.UNIVERSE/v1/token)"`
	ImpersonationURL string        `yaml:"impersonationUrl" doc:"URL of the IAM Credentials API, without a path (default https://iamcredentials.UNIVERSE)"`

	clientSecret *refresher.Secret // from an external_account file; a pointer, for package fmt prints what it finds in private fields
}

func (o *googleExchange) options(transport *upstream.Transport) googlests.Options {
	options := googlests.Options{
		Audience: o.Audience, ServiceAccount: o.ServiceAccount, Lifetime: o.Lifetime, Scopes: o.Scopes,
		Delegates: o.Delegates, QuotaProject: o.QuotaProject, UserProject: o.UserProject,
		ClientID: o.ClientID, SubjectTokenType: o.SubjectTokenType,
		UniverseDomain: o.UniverseDomain, TokenURL: o.TokenURL, ImpersonationURL: o.ImpersonationURL, Transport: transport,
	}
	if o.clientSecret != nil {
		options.ClientSecret = *o.clientSecret
	}
	return options
}

func (o *googleExchange) check(transport *upstream.Transport) []refresher.FieldError {
	options := o.options(transport)
	var list []refresher.FieldError
	if o.ClientSecretFile != "" {
		options.ClientSecret = "one that stands for the real one"
		if !filepath.IsAbs(o.ClientSecretFile) {
			list = append(list, refresher.FieldError{Field: "clientSecretFile", Problem: "must be an absolute path"})
		}
	}
	return append(list, options.Check()...)
}

func (o *googleExchange) exchanger(s surroundings) (refresher.Exchanger, error) {
	options := o.options(s.transport)
	if o.ClientSecretFile != "" {
		secret, err := readDocument(o.ClientSecretFile)
		if err != nil {
			return nil, fmt.Errorf("clientSecretFile: %w", err)
		}
		options.ClientSecret = refresher.Secret(bytes.TrimSpace(secret))
	}
	return made(googlests.New(options))
}

// poolOf finds project, if there is one, location, kind and name of a provider's pool.
var poolOf = regexp.MustCompile(`/(?:projects/([0-9]+)/)?locations/([a-z0-9-]+)/(workload|workforce)[A-Za-z]+/([a-z0-9-]+)/`)

// account is what clients call the identity that is named like this. Without a service account there is no
// e-mail, but gcloud, for one, needs something to call an account by. The principal, of which the token
// says the most, is not known before there is a token; so it is the identity at its pool, by the pool's name as a
// trust domain: POOL.global.NUMBER.workload.id.goog.
func (o *googleExchange) account(name string) string {
	if o.ServiceAccount != "" {
		return o.ServiceAccount
	}
	if pool := googlests.FleetPool(o.Audience); pool != "" {
		return pool // as GKE does it
	}
	domain := "id.goog"
	if m := poolOf.FindStringSubmatch(o.Audience); m != nil {
		for _, part := range []string{m[3], m[1], m[2], m[4]} {
			if part != "" {
				domain = part + "." + domain
			}
		}
	}
	return name + "@" + domain
}

// scopes are those of the default token.
func (o *googleExchange) scopes() []string {
	if len(o.Scopes) == 0 {
		return []string{googlests.CloudPlatform}
	}
	return o.Scopes
}

func (o *googleExchange) takes(tokenType string) bool { return tokenType != refresher.TypeAccessToken }

func (o *googleExchange) yields() shape        { return googleBearer }
func (o *googleExchange) floor() time.Duration { return floorGoogle }

func (o *googleExchange) lifetime() time.Duration {
	if o.ServiceAccount == "" {
		return 0
	}
	return cmp.Or(o.Lifetime, time.Hour)
}

// audiences: a provider accepts its own name as a URL unless it lists others, which we cannot know.
func (o *googleExchange) audiences() []string {
	if pool := googlests.FleetPool(o.Audience); pool != "" {
		return []string{pool}
	}
	return []string{"https:" + o.Audience, o.Audience}
}
