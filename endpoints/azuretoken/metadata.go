package azuretoken

import (
	"net/http"
	"strings"

	"github.com/wisp-sidecar/wisp/endpoints"
)

// MetadataField is the header field by which a client without a secret shows that it asks on
// purpose: a redirect or a form of a web page cannot set it.
const MetadataField = "Metadata"

// HasMetadata reports whether r carries "Metadata: true". Google's credential configuration for
// Azure writes True.
func HasMetadata(r *http.Request) bool {
	return strings.EqualFold(strings.TrimSpace(r.Header.Get(MetadataField)), "true")
}

// RequireMetadata refuses requests without "Metadata: true".
func RequireMetadata(r *http.Request) *endpoints.Refusal {
	if HasMetadata(r) {
		return nil
	}
	return &endpoints.Refusal{
		Reason:  endpoints.BadRequest,
		Code:    "bad_request_102",
		Message: "Required metadata header not specified",
	}
}
