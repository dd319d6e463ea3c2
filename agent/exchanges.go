package agent

import (
	"cmp"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/awssts"
	"github.com/wisp-sidecar/wisp/refresher/entra"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
	"github.com/wisp-sidecar/wisp/refresher/subject"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// Under these remaining lives the clients of a cloud start to refresh by themselves, and ask for a
// new credential at every call if there is none: botocore and the .NET SDK at 15 minutes, Google's
// and Azure's libraries at 5, to which a minute is added for the refresh itself.
const (
	floorAWS    = 15 * time.Minute
	floorGoogle = 6 * time.Minute
	floorEntra  = 6 * time.Minute
)

// awsExchange is AWS STS AssumeRoleWithWebIdentity.
type awsExchange struct {
	RoleARN     string        `yaml:"roleArn" doc:"role to assume: arn:PARTITION:iam::ACCOUNT:role/NAME (required)"`
	Region      string        `yaml:"region" doc:"region whose STS is asked; aws-global is the global one (required unless endpoint is set)"`
	SessionName string        `yaml:"sessionName" doc:"name that CloudTrail shows (default NAMESPACE-SERVICEACCOUNT-POD from the token, the same for the life of a Pod)"`
	Duration    time.Duration `yaml:"duration" doc:"lifetime to ask for, 15m to 12h, and at most the role's maximum (default 1h)"`
	Audience    string        `yaml:"audience" doc:"audience that the token should have, for the warning if it has not (default sts.amazonaws.com)"`
	Legacy      bool          `yaml:"legacy" doc:"use the global STS in the regions that had no other once, as AWS_STS_REGIONAL_ENDPOINTS=legacy does (default false)"`
	FIPS        bool          `yaml:"fips" doc:"use the FIPS endpoint (default false)"`
	DualStack   bool          `yaml:"dualStack" doc:"use the dual-stack endpoint, which has IPv6 (default false)"`
	Endpoint    string        `yaml:"endpoint" doc:"URL of another STS instead"`
}

func (o *awsExchange) options(transport *upstream.Transport) awssts.Options {
	return awssts.Options{
		RoleARN: o.RoleARN, Region: o.Region, SessionName: o.SessionName, Duration: o.Duration,
		Legacy: o.Legacy, FIPS: o.FIPS, DualStack: o.DualStack, Endpoint: o.Endpoint, Transport: transport,
	}
}

func (o *awsExchange) check(transport *upstream.Transport) []refresher.FieldError {
	return o.options(transport).Check()
}

func (o *awsExchange) exchanger(s surroundings) (refresher.Exchanger, error) {
	return made(awssts.New(o.options(s.transport)))
}

func (o *awsExchange) takes(tokenType string) bool { return isJWT(tokenType) }

func (o *awsExchange) yields() shape        { return accessKey }
func (o *awsExchange) floor() time.Duration { return floorAWS }

func (o *awsExchange) lifetime() time.Duration { return cmp.Or(o.Duration, awssts.DefaultDuration) }

func (o *awsExchange) audiences() []string {
	if o.Audience != "" {
		return []string{o.Audience}
	}
	return []string{"sts.amazonaws.com"}
}

// googleExchange is Google's Security Token Service, and the impersonation of a service account.
type googleExchange struct {
	Audience         string        `yaml:"audience" doc:"resource name of the workload identity provider: //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER (required)"`
	ServiceAccount   string        `yaml:"serviceAccount" doc:"e-mail of the service account to impersonate; without one the federated token itself is handed out"`
	Lifetime         time.Duration `yaml:"lifetime" doc:"lifetime to ask for, 10m to 12h; more than 1h needs an organization policy (default 1h; impersonation only)"`
	Scopes           []string      `yaml:"scopes" doc:"scopes of the default token (default https://www.googleapis.com/auth/cloud-platform)"`
	Delegates        []string      `yaml:"delegates" doc:"service accounts through which the last one is impersonated, in order"`
	QuotaProject     string        `yaml:"quotaProject" doc:"project that pays for the impersonation calls"`
	SubjectTokenType string        `yaml:"subjectTokenType" doc:"RFC 8693 token type URI to send (default: that of the source)"`
	UniverseDomain   string        `yaml:"universeDomain" doc:"domain of another Google Cloud (default googleapis.com)"`
	TokenURL         string        `yaml:"tokenUrl" doc:"URL of the token service (default https://sts.UNIVERSE/v1/token)"`
	ImpersonationURL string        `yaml:"impersonationUrl" doc:"URL of the IAM Credentials API, without a path (default https://iamcredentials.UNIVERSE)"`
}

func (o *googleExchange) options(transport *upstream.Transport) googlests.Options {
	return googlests.Options{
		Audience: o.Audience, ServiceAccount: o.ServiceAccount, Lifetime: o.Lifetime, Scopes: o.Scopes,
		Delegates: o.Delegates, QuotaProject: o.QuotaProject, SubjectTokenType: o.SubjectTokenType,
		UniverseDomain: o.UniverseDomain, TokenURL: o.TokenURL, ImpersonationURL: o.ImpersonationURL, Transport: transport,
	}
}

func (o *googleExchange) check(transport *upstream.Transport) []refresher.FieldError {
	return o.options(transport).Check()
}

func (o *googleExchange) exchanger(s surroundings) (refresher.Exchanger, error) {
	return made(googlests.New(o.options(s.transport)))
}

// scopes are those of the default token.
func (o *googleExchange) scopes() []string {
	if len(o.Scopes) == 0 {
		return []string{googlests.CloudPlatform}
	}
	return o.Scopes
}

func (o *googleExchange) takes(string) bool { return true }

func (o *googleExchange) yields() shape        { return googleBearer }
func (o *googleExchange) floor() time.Duration { return floorGoogle }

func (o *googleExchange) lifetime() time.Duration {
	if o.ServiceAccount == "" {
		return 0
	}
	return cmp.Or(o.Lifetime, time.Hour)
}

// audiences: a provider accepts its own name as a URL unless it lists others, which we cannot know.
func (o *googleExchange) audiences() []string { return []string{"https:" + o.Audience, o.Audience} }

// entraExchange is Microsoft Entra's token endpoint with a client assertion.
type entraExchange struct {
	TenantID      string `yaml:"tenantId" doc:"tenant of the identity: GUID or domain name (required)"`
	ClientID      string `yaml:"clientId" doc:"GUID of the application or user-assigned managed identity (required)"`
	AuthorityHost string `yaml:"authorityHost" doc:"where the cloud signs in (default https://login.microsoftonline.com)"`
	Resource      string `yaml:"resource" doc:"resource of the default token (default: Azure Resource Manager of the authority's cloud)"`
	Audience      string `yaml:"audience" doc:"audience that the token should have, for the warning if it has not (default api://AzureADTokenExchange)"`
	ObjectID      string `yaml:"objectId" doc:"object (principal) id by which applications may ask for this identity"`
	ResourceID    string `yaml:"resourceId" doc:"Azure resource id by which applications may ask for this identity"`
}

func (o *entraExchange) options(transport *upstream.Transport) entra.Options {
	return entra.Options{
		TenantID: o.TenantID, ClientID: o.ClientID, Authority: o.AuthorityHost, Resource: o.Resource, Transport: transport,
	}
}

func (o *entraExchange) check(transport *upstream.Transport) []refresher.FieldError {
	return o.options(transport).Check()
}

func (o *entraExchange) exchanger(s surroundings) (refresher.Exchanger, error) {
	return made(entra.New(o.options(s.transport)))
}

func (o *entraExchange) takes(tokenType string) bool { return isJWT(tokenType) }

func (o *entraExchange) yields() shape        { return entraBearer }
func (o *entraExchange) floor() time.Duration { return floorEntra }

func (o *entraExchange) lifetime() time.Duration { return 0 }

// audiences are those of the public cloud, of the US government and of China.
func (o *entraExchange) audiences() []string {
	if o.Audience != "" {
		return []string{o.Audience}
	}
	return []string{"api://AzureADTokenExchange", "api://AzureADTokenExchangeUSGov", "api://AzureADTokenExchangeChina"}
}

// subjectExchange trades nothing: the credential is the subject token.
type subjectExchange struct{}

func (*subjectExchange) check(*upstream.Transport) []refresher.FieldError { return nil }
func (*subjectExchange) exchanger(surroundings) (refresher.Exchanger, error) {
	return subject.Exchanger{}, nil
}
func (*subjectExchange) takes(string) bool       { return true }
func (*subjectExchange) yields() shape           { return subjectToken }
func (*subjectExchange) floor() time.Duration    { return 0 }
func (*subjectExchange) lifetime() time.Duration { return 0 }
func (*subjectExchange) audiences() []string     { return nil }

// made turns a constructor's results into those of the registry's interfaces, where a nil pointer
// must not become an interface that is not nil.
func made[T refresher.Exchanger](x T, err error) (refresher.Exchanger, error) {
	if err != nil {
		return nil, err
	}
	return x, nil
}

func isJWT(tokenType string) bool {
	return tokenType == refresher.TypeJWT || tokenType == refresher.TypeIDToken
}
