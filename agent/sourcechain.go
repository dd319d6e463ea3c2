package agent

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// identitySource is what another identity yields, shown as a subject token.
type identitySource struct {
	Name     string   `yaml:"name" doc:"the other identity (required)"`
	Audience string   `yaml:"audience" doc:"show an ID token for this audience (Google, oauthSTS)"`
	Scopes   []string `yaml:"scopes" doc:"show a token with these scopes (Google, oauthSTS; default: the other identity's own)"`
	Resource string   `yaml:"resource" doc:"show a token for this resource, the App ID URI of an application of yours (Entra; default: the other identity's own)"`
	Type     string   `yaml:"type" doc:"what the token is called: jwt, id_token, saml2 or access_token (default id_token with audience, jwt for Entra, else what the other identity yields)"`

	other *IdentityConfig
}

func (o *identitySource) builtOn() string { return o.Name }

func (o *identitySource) target() refresher.Target { return Target(o.Scopes, o.Resource, o.Audience) }

func (o *identitySource) check(exchangeOptions, *upstream.Transport) []refresher.FieldError {
	list := checkType(o.Type)
	if o.Name == "" {
		list = append(list, refresher.FieldError{Field: "name", Problem: "is missing: whose credential is the subject token"})
	}
	asked := 0
	for _, set := range []bool{o.Audience != "", len(o.Scopes) > 0, o.Resource != ""} {
		if set {
			asked++
		}
	}
	if asked > 1 {
		list = append(list, refresher.FieldError{Field: "audience", Problem: "only one of audience, scopes and resource can be asked for"})
	}
	return list
}

func (o *identitySource) join(other *IdentityConfig, transport *upstream.Transport) string {
	o.other = other
	yields := other.Exchange.Options.yields()
	switch {
	case yields == accessKey:
		return fmt.Sprintf("%q yields %s, which is no token: show it by the source awsCallerIdentity", other.Name, yields)
	case o.Resource != "" && yields != entraBearer:
		return fmt.Sprintf("%q yields %s, which has no resource", other.Name, yields)
	case o.Resource == "" && yields == entraBearer && (o.Audience != "" || len(o.Scopes) > 0):
		return fmt.Sprintf("%q yields %s, which is asked for by resource", other.Name, yields)
	case yields == subjectToken && o.target() != (refresher.Target{}):
		return fmt.Sprintf("%q yields %s, which is what it is", other.Name, yields)
	}
	if err := other.mayAsk(o.target(), transport); err != nil {
		return fmt.Sprintf("%v: add it to the list of identity %q", err, other.Name)
	}
	return ""
}

func (o *identitySource) tokenType() string {
	if o.Type != "" || o.other == nil || o.other.Exchange.Options == nil {
		return tokenTypes[cmp.Or(o.Type, "access_token")]
	}
	if o.Audience != "" {
		return refresher.TypeIDToken
	}
	switch x := o.other.Exchange.Options.(type) {
	case *entraExchange:
		return refresher.TypeJWT // of a resource of one's own; those of Microsoft's are opaque
	case *oauthExchange:
		return cmp.Or(x.RequestedTokenType, refresher.TypeAccessToken)
	case *subjectExchange:
		if from := o.other.Source.Options; from != nil {
			return from.tokenType()
		}
	}
	return refresher.TypeAccessToken
}

func (o *identitySource) source(s surroundings, _ exchangeOptions) (refresher.Source, error) {
	other := s.identities[o.Name]
	chain, err := source.NewIdentity(source.IdentityOptions{Name: o.Name, Of: other, Target: o.target(), Type: o.tokenType()})
	if err != nil {
		return nil, err
	}
	return source.Follow(chain, other), nil
}

// awsCallerSource is a signed request that proves to Google who the caller is in AWS.
type awsCallerSource struct {
	Identity        string `yaml:"identity" doc:"the AWS identity to prove (default: what the environment or the machine gives, see credentials)"`
	Credentials     string `yaml:"credentials" doc:"without identity, where AWS credentials are: environment, container or instance (default: the first of them that the environment describes, else instance)"`
	Region          string `yaml:"region" doc:"region of the STS that Google is to ask (default: that of the identity, AWS_REGION, AWS_DEFAULT_REGION, or the instance's)"`
	VerificationURL string `yaml:"verificationUrl" doc:"URL of the request, with {region} in it (default https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15)"`
	RegionURL       string `yaml:"regionUrl" doc:"where the instance's availability zone is (default: the instance metadata service)"`
	CredentialsURL  string `yaml:"credentialsUrl" doc:"where the instance's role is (default: the instance metadata service)"`
	SessionTokenURL string `yaml:"sessionTokenUrl" doc:"where the metadata service gives out its tokens (default: the instance metadata service)"`

	other *IdentityConfig
}

func (o *awsCallerSource) builtOn() string { return o.Identity }

func (o *awsCallerSource) join(other *IdentityConfig, _ *upstream.Transport) string {
	o.other = other
	if yields := other.Exchange.Options.yields(); yields != accessKey {
		return fmt.Sprintf("%q yields %s, not %s", other.Name, yields, accessKey)
	}
	return ""
}

func (*awsCallerSource) tokenType() string { return refresher.TypeAWSRequest }

// region is the one configured here, or for the other identity.
func (o *awsCallerSource) region() string {
	if o.Region == "" && o.other != nil {
		if aws, ok := o.other.Exchange.Options.(*awsExchange); ok {
			return aws.Region
		}
	}
	return o.Region
}

// signing are the options of the request itself.
func (o *awsCallerSource) signing(x exchangeOptions) source.AWSCallerIdentityOptions {
	options := source.AWSCallerIdentityOptions{Region: o.region(), VerificationURL: o.VerificationURL}
	if google, ok := x.(*googleExchange); ok {
		options.TargetResource = google.Audience
	}
	return options
}

func (o *awsCallerSource) ambient(transport *upstream.Transport, getenv func(string) string) source.AWSAmbientOptions {
	return source.AWSAmbientOptions{
		Use: o.Credentials, RegionURL: o.RegionURL, CredentialsURL: o.CredentialsURL, SessionTokenURL: o.SessionTokenURL,
		Getenv: getenv, Transport: transport,
	}
}

func (o *awsCallerSource) check(x exchangeOptions, transport *upstream.Transport) []refresher.FieldError {
	var list []refresher.FieldError
	report := func(field, problem string) {
		list = append(list, refresher.FieldError{Field: field, Problem: problem})
	}
	if _, google := x.(*googleExchange); google {
		for _, problem := range o.signing(x).Check() {
			if problem.Field != "targetResource" { // the audience of the exchange, reported there
				list = append(list, problem)
			}
		}
	}
	places := []string{"", source.AWSEnvironment, source.AWSContainer, source.AWSInstance}
	if !slices.Contains(places, o.Credentials) {
		report("credentials", "must be one of "+strings.Join(places[1:], ", "))
	}
	for _, option := range []struct{ name, value string }{
		{"credentials", o.Credentials}, {"regionUrl", o.RegionURL}, {"credentialsUrl", o.CredentialsURL}, {"sessionTokenUrl", o.SessionTokenURL},
	} {
		if o.Identity != "" && option.value != "" {
			report(option.name, "has no meaning with identity, whose credentials are used")
		}
		if option.value != "" && option.name != "credentials" {
			if _, err := transport.Local().CheckURL(option.value); err != nil {
				report(option.name, err.Error())
			}
		}
	}
	return list
}

func (o *awsCallerSource) source(s surroundings, x exchangeOptions) (refresher.Source, error) {
	options := o.signing(x)
	other, chained := s.identities[o.Identity]
	if !chained {
		keys, err := source.NewAWSAmbient(o.ambient(s.transport, s.getenv))
		if err != nil {
			return nil, err
		}
		if o.Credentials == "" { // the choice is the AWS SDKs', but not a silent one
			s.log.Info("AWS credentials are not configured: what the environment describes is used", "credentials", keys.Place())
		}
		options.Keys = keys
		return madeSource(source.NewAWSCallerIdentity(options))
	}
	options.Keys = source.AWSKeysOf(o.Identity, other, o.region())
	signed, err := source.NewAWSCallerIdentity(options)
	if err != nil {
		return nil, err
	}
	return source.Follow(signed, other), nil
}
