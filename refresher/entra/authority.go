package entra

import (
	"cmp"
	"errors"
	"net/url"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

const publicAuthority = "login.microsoftonline.com"

// A cloud is what differs between Microsoft's clouds.
type cloud struct {
	resource string // Azure Resource Manager
	audience string // of the assertions
}

// clouds are those whose resource manager is known, by the hosts of their authorities.
var clouds = map[string]cloud{
	publicAuthority:                    {"https://management.azure.com/", publicAudience},
	"login.microsoftonline.us":         {"https://management.usgovcloudapi.net/", publicAudience + "USGov"},
	"login.partner.microsoftonline.cn": {"https://management.chinacloudapi.cn/", publicAudience + "China"},
	"login.chinacloudapi.cn":           {"https://management.chinacloudapi.cn/", publicAudience + "China"},
}

const publicAudience = "api://AzureADTokenExchange"

// Audience is the audience that federated credentials have by default, and that a subject token
// should have, in the cloud of an authority, which is written like [Options.Authority]. For an
// authority that is not known it is that of the public cloud.
//
// https://learn.microsoft.com/en-us/entra/workload-id/workload-identity-federation-considerations
func Audience(authority string) string {
	u, err := parseAuthority(authority, new(upstream.Transport))
	if err != nil {
		return publicAudience
	}
	return cmp.Or(cloudOf(u).audience, publicAudience)
}

// cloudOf is the zero cloud if the authority's is not known. An authority on loopback emulates the
// public cloud.
func cloudOf(authority *url.URL) cloud {
	if authority.Scheme == "http" {
		return clouds[publicAuthority]
	}
	return clouds[strings.ToLower(authority.Hostname())]
}

// authority returns the authority's URL, with nothing after the host.
func (o Options) authority() (*url.URL, error) {
	return parseAuthority(o.Authority, cmp.Or(o.Transport, new(upstream.Transport)))
}

// parseAuthority takes all spellings of AZURE_AUTHORITY_HOST that are about: AKS sets it with a slash
// at the end, and Python's libraries allow a bare host.
func parseAuthority(authority string, transport *upstream.Transport) (*url.URL, error) {
	raw := cmp.Or(strings.TrimRight(strings.TrimSpace(authority), "/"), publicAuthority)
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	u, err := transport.CheckURL(raw)
	if err != nil {
		return nil, err
	}
	if u.Path != "" || u.RawQuery != "" || u.ForceQuery {
		return nil, errors.New("an authority is a host without a path: the tenant goes into tenantId")
	}
	return u, nil
}
