package agent

import (
	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// The sources that a platform gives to whatever runs on it.

// githubSource is the ID token of a GitHub Actions job.
type githubSource struct {
	Audience string `yaml:"audience" doc:"audience to ask for (default: what the exchange expects; required with oauthSTS)"`
}

func (o *githubSource) check(x exchangeOptions, _ *upstream.Transport) []refresher.FieldError {
	// Where to ask is in the environment of the job, which the document does not know.
	return needsAudience(o.Audience, x)
}

func (*githubSource) tokenType() string { return refresher.TypeIDToken }

func (o *githubSource) source(s surroundings, x exchangeOptions) (refresher.Source, error) {
	return madeSource(source.NewGitHubActions(source.GitHubActionsOptions{
		RequestURL:   s.getenv("ACTIONS_ID_TOKEN_REQUEST_URL"),
		RequestToken: refresher.Secret(s.getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")),
		Audience:     audienceFor(o.Audience, x),
		Transport:    s.transport,
	}))
}

// needsAudience reports that nobody says whom a token is to be asked for.
func needsAudience(configured string, x exchangeOptions) []refresher.FieldError {
	if x == nil || audienceFor(configured, x) != "" {
		return nil
	}
	return []refresher.FieldError{{Field: "audience", Problem: "is missing: whom the token is for, which this exchange does not tell"}}
}

// azureIMDSSource is the token of a managed identity, from the metadata service of an Azure VM.
type azureIMDSSource struct {
	Resource   string `yaml:"resource" doc:"App ID URI of the application that is registered for the federation; the token's audience (required)"`
	ClientID   string `yaml:"clientId" doc:"GUID of a user-assigned managed identity (default: the machine's own)"`
	ObjectID   string `yaml:"objectId" doc:"its object (principal) id instead"`
	ResourceID string `yaml:"resourceId" doc:"its Azure resource id instead"`
	Endpoint   string `yaml:"endpoint" doc:"URL of the metadata service (default http://169.254.169.254)"`
}

func (o *azureIMDSSource) options(transport *upstream.Transport) source.AzureIMDSOptions {
	return source.AzureIMDSOptions{
		Resource: o.Resource, ClientID: o.ClientID, ObjectID: o.ObjectID, ResourceID: o.ResourceID,
		Endpoint: o.Endpoint, Transport: transport,
	}
}

func (o *azureIMDSSource) check(_ exchangeOptions, transport *upstream.Transport) []refresher.FieldError {
	return o.options(transport).Check()
}

func (*azureIMDSSource) tokenType() string { return refresher.TypeJWT }

func (o *azureIMDSSource) source(s surroundings, _ exchangeOptions) (refresher.Source, error) {
	return madeSource(source.NewAzureIMDS(o.options(s.transport)))
}

// gceMetadataSource is an ID token of a service account, from the metadata server of Google Cloud.
type gceMetadataSource struct {
	Audience       string `yaml:"audience" doc:"audience to ask for (default: what the exchange expects; required with oauthSTS)"`
	ServiceAccount string `yaml:"serviceAccount" doc:"e-mail of the account, if there are several (default: the default one)"`
	Endpoint       string `yaml:"endpoint" doc:"URL of the metadata server (default http://169.254.169.254)"`
}

func (o *gceMetadataSource) options(x exchangeOptions, transport *upstream.Transport) source.GCEMetadataOptions {
	return source.GCEMetadataOptions{
		Audience: audienceFor(o.Audience, x), ServiceAccount: o.ServiceAccount, Endpoint: o.Endpoint, Transport: transport,
	}
}

func (o *gceMetadataSource) check(x exchangeOptions, transport *upstream.Transport) []refresher.FieldError {
	if list := needsAudience(o.Audience, x); len(list) > 0 || x == nil {
		return list
	}
	return o.options(x, transport).Check()
}

func (*gceMetadataSource) tokenType() string { return refresher.TypeIDToken }

func (o *gceMetadataSource) source(s surroundings, x exchangeOptions) (refresher.Source, error) {
	return madeSource(source.NewGCEMetadata(o.options(x, s.transport)))
}
