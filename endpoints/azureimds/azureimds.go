// Package azureimds emulates the identity part of Azure's Instance Metadata Service: tokens at
// /metadata/identity/oauth2/token, for clients that ask 169.254.169.254 or can be told another
// authority. There is no secret; "Metadata: true" is all that the protocol demands. Every other path
// below /metadata is a 404, and nothing is passed on to a real IMDS: that would hand out the
// identity of the node.
//
// Spec: https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
package azureimds

import (
	"net/http"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken"
)

// TokenPath is where tokens are.
const TokenPath = "/metadata/identity/oauth2/token"

const (
	territory = "/metadata"

	// oldestVersion is the first one with this endpoint. Azure adds a version every few months, so
	// that any later date is taken for one.
	oldestVersion = "2018-02-01"

	codeVersion = "bad_version"
)

// newestVersions is what the real service suggests to those who name no version.
var newestVersions = []string{"2021-02-01", "2019-08-01", "2018-02-01"}

// Options configure the outlet.
type Options struct {
	// Identities can be selected by id; the first is the default. There has to be one.
	Identities []azuretoken.Identity
	// Now is the clock that "expires_in" counts from. Nil means time.Now.
	Now func() time.Time
}

// New returns the outlet "azureIMDS".
//
// Paths that MSAL for .NET probes, getplatformmetadata and issuecredential, have to be 404 with and
// without "Metadata: true": a 400 would mean that this IMDS issues certificates.
func New(o Options) *endpoints.Protocol {
	issuer := azuretoken.Issuer{Identities: o.Identities, Now: o.Now}
	token := endpoints.Route{
		Methods: []string{http.MethodGet},
		Handler: func(w http.ResponseWriter, r *http.Request) *endpoints.Refusal {
			query, refusal := azuretoken.Parse(r.URL.RawQuery)
			if refusal != nil {
				return refusal
			}
			if !knownVersion(query.APIVersion) {
				return &endpoints.Refusal{
					Reason:  endpoints.BadRequest,
					Code:    codeVersion,
					Message: "Bad request. api-version is invalid or was not specified in the request. For more information refer to aka.ms/azureimds",
				}
			}
			return issuer.Answer(w, r, query)
		},
	}
	return &endpoints.Protocol{
		Name:  "azureIMDS",
		Hosts: []string{"169.254.169.254"},
		// @azure/identity and msal-node put a slash behind the path.
		Routes:    endpoints.Routes{TokenPath: token, TokenPath + "/": token},
		Territory: territory,
		FoldCase:  territory,
		Single:    []string{azuretoken.MetadataField},
		Guard:     azuretoken.RequireMetadata,
		Refuse:    refuse,
	}
}

func knownVersion(version string) bool {
	_, err := time.Parse(time.DateOnly, version)
	return err == nil && version >= oldestVersion
}

type failure struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// versionFailure is the one failure in another form: the real service's.
type versionFailure struct {
	Error    string   `json:"error"`
	Versions []string `json:"newest-versions"`
}

func refuse(w http.ResponseWriter, _ *http.Request, refusal *endpoints.Refusal) {
	f := azuretoken.Explain(refusal)
	if refusal.Code == codeVersion {
		endpoints.ReplyJSON(w, f.Status, versionFailure{Error: f.Description, Versions: newestVersions})
		return
	}
	endpoints.ReplyJSON(w, f.Status, failure{Error: f.Code, Description: f.Description})
}
