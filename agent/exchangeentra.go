package agent

import (
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/entra"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// entraExchange is Microsoft Entra's token endpoint with a client assertion.
type entraExchange struct {
	TenantID      string `yaml:"tenantId" doc:"tenant of the identity: GUID or domain name (required)"`
	Expected      string `yaml:"expectedTenantId" doc:"GUID of the tenant that tokens must be of; others are refused"`
	ClientID      string `yaml:"clientId" doc:"GUID of the application or user-assigned managed identity (required)"`
	AuthorityHost string `yaml:"authorityHost" doc:"where the cloud signs in (default https://login.microsoftonline.com)"`
	Resource      string `yaml:"resource" doc:"resource of the default token (default: Azure Resource Manager of the authority's cloud)"`
	Audience      string `yaml:"audience" doc:"audience that the token should have, for the warning if it has not (default api://AzureADTokenExchange)"`
	ObjectID      string `yaml:"objectId" doc:"object (principal) id by which applications may ask for this identity"`
	ResourceID    string `yaml:"resourceId" doc:"Azure resource id by which applications may ask for this identity"`
}

func (o *entraExchange) options(transport *upstream.Transport) entra.Options {
	return entra.Options{
		TenantID: o.TenantID, ClientID: o.ClientID, Authority: o.AuthorityHost, Resource: o.Resource,
		ExpectedTenantID: o.Expected, Transport: transport,
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

// audiences: each of Microsoft's clouds has one of its own.
func (o *entraExchange) audiences() []string {
	if o.Audience != "" {
		return []string{o.Audience}
	}
	return []string{entra.Audience(o.AuthorityHost)}
}
