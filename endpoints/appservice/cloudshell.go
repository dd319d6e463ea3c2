package appservice

import (
	"errors"
	"io"
	"net/http"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken"
)

// guardPost decides about the form of Azure Cloud Shell: "POST $MSI_ENDPOINT" with "Metadata: true",
// no secret, and the query in the body.
func (s *service) guardPost(r *http.Request) *endpoints.Refusal {
	if s.cloudShell {
		return azuretoken.RequireMetadata(r)
	}
	if azuretoken.HasMetadata(r) && sentSecret(r) == "" {
		// msrestazure, and with it azure-cli 2.45 and older, looks at MSI_SECRET only if this
		// variable is set. It keeps what it is told to itself, so the log has to say it.
		s.told.Do(func() {
			s.log.Warn("a client asks without the secret, in the form of Azure Cloud Shell; if it is azure-cli, set APPSETTING_WEBSITE_SITE_NAME for it",
				"outlet", "appService")
		})
		return endpoints.Refuse(endpoints.Unauthorized,
			"the secret is missing, and requests in the form of Azure Cloud Shell are off; set APPSETTING_WEBSITE_SITE_NAME to make azure-cli send MSI_SECRET")
	}
	return endpoints.Refuse(endpoints.BadMethod, "ask with GET")
}

// answerPost reads the query from the body. There is no api-version, and adal for Go sends the body
// in chunks.
func (s *service) answerPost(w http.ResponseWriter, r *http.Request) *endpoints.Refusal {
	form, err := io.ReadAll(r.Body)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return endpoints.Refuse(endpoints.TooLarge, "the body is too large")
	}
	if err != nil {
		return endpoints.Refuse(endpoints.BadRequest, "the body ended early")
	}
	query, refusal := azuretoken.Parse(string(form))
	if refusal != nil {
		return refusal
	}
	return s.issuer.Answer(w, r, query)
}

// shellByGet: msal4j, and so azure-identity for Java, takes any MSI_ENDPOINT for that of Azure Cloud Shell, but asks
// it with GET, the query in the URL, and neither a secret nor an api-version.
func (s *service) shellByGet(r *http.Request) bool {
	query, _ := azuretoken.Parse(r.URL.RawQuery)
	return s.cloudShell && r.Method == http.MethodGet && azuretoken.HasMetadata(r) && query.APIVersion == "" && sentSecret(r) == ""
}
