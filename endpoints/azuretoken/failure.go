package azuretoken

import (
	"net/http"
	"slices"
	"strings"

	"github.com/wisp-sidecar/wisp/endpoints"
)

// A Failure is a refusal in Azure's words.
type Failure struct {
	Status      int
	Code        string // short, from the documented codes of the IMDS and RFC 6749
	Description string // a fixed sentence
}

// entraCode is what Entra's own error codes begin with; a number follows.
const entraCode = "AADSTS"

// resourceCodes: Entra knows no such resource or scope, so the request is at fault.
var resourceCodes = []string{"AADSTS50001", "AADSTS500011", "AADSTS70011", "AADSTS1002012", "AADSTS28002"}

// Explain puts a refusal into Azure's words. Where the fault is not the request's own, the status is
// a 5xx: clients take 400 for "this identity is not assigned" and look for credentials elsewhere.
func Explain(refusal *endpoints.Refusal) Failure {
	f := Failure{Status: refusal.Reason.Status(), Code: "invalid_request", Description: refusal.Message}
	switch refusal.Reason {
	case endpoints.BadRequest:
		if refusal.Code != "" {
			f.Code = refusal.Code
		}
	case endpoints.Forwarded:
		f.Status = http.StatusBadRequest // as the IMDS does
	case endpoints.NotFound:
		f.Code = "not_found"
	case endpoints.Unauthorized:
		f.Code = "unauthorized_client"
	case endpoints.NotAllowed:
		f.Code = "access_denied"
	case endpoints.NotReady:
		f.Code = "temporarily_unavailable"
	case endpoints.Internal:
		f.Code = "unknown"
	case endpoints.Denied:
		f.Code = "access_denied"
		if slices.Contains(resourceCodes, refusal.Code) {
			f.Status, f.Code = http.StatusBadRequest, "invalid_resource"
		}
		if fromEntra(refusal.Code) {
			f.Description = "Microsoft Entra refuses this request with " + refusal.Code + "; the log of wisp says more"
		}
	}
	return f
}

// fromEntra reports whether code is an AADSTS number and nothing else, and so fit to be shown.
func fromEntra(code string) bool {
	digits, ok := strings.CutPrefix(code, entraCode)
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}
