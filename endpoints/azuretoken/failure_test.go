package azuretoken_test

import (
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken"
	"github.com/wisp-sidecar/wisp/refresher"
)

func TestExplain(t *testing.T) {
	denied := func(code string) *endpoints.Refusal {
		return endpoints.Explain(&refresher.Error{Class: refresher.Denied, Code: code})
	}
	entra := func(code string) string {
		return "Microsoft Entra refuses this request with " + code + "; the log of wisp says more"
	}
	const (
		anonymous = "the cloud refuses this identity; the log of wisp says why"
		later     = "there is no credential at the moment; try again"
	)
	tests := []struct {
		name    string
		refusal *endpoints.Refusal
		want    azuretoken.Failure
	}{
		{"nothing yet", endpoints.Explain(&refresher.Error{Code: refresher.CodeNotReady}), azuretoken.Failure{Status: 503, Code: "temporarily_unavailable", Description: later}},
		{"Entra asks for fewer calls", endpoints.Explain(&refresher.Error{Class: refresher.Throttled, Code: "AADSTS50196"}), azuretoken.Failure{Status: 503, Code: "temporarily_unavailable", Description: later}},
		{"the federated credential is not visible yet", endpoints.Explain(&refresher.Error{Class: refresher.Settling, Code: "AADSTS70021"}), azuretoken.Failure{Status: 503, Code: "temporarily_unavailable", Description: later}},
		{"the subject does not match", denied("AADSTS700213"), azuretoken.Failure{Status: 503, Code: "access_denied", Description: entra("AADSTS700213")}},
		{"resource disabled", denied("AADSTS50001"), azuretoken.Failure{Status: 400, Code: "invalid_resource", Description: entra("AADSTS50001")}},
		{"resource unknown in the tenant", denied("AADSTS500011"), azuretoken.Failure{Status: 400, Code: "invalid_resource", Description: entra("AADSTS500011")}},
		{"scope invalid", denied("AADSTS70011"), azuretoken.Failure{Status: 400, Code: "invalid_resource", Description: entra("AADSTS70011")}},
		{"scope without .default", denied("AADSTS1002012"), azuretoken.Failure{Status: 400, Code: "invalid_resource", Description: entra("AADSTS1002012")}},
		{"scope empty", denied("AADSTS28002"), azuretoken.Failure{Status: 400, Code: "invalid_resource", Description: entra("AADSTS28002")}},
		{"a number that only begins like one of those", denied("AADSTS500012"), azuretoken.Failure{Status: 503, Code: "access_denied", Description: entra("AADSTS500012")}},
		{"a code without number", denied("invalid_client"), azuretoken.Failure{Status: 503, Code: "access_denied", Description: anonymous}},
		{"a code that quotes what was sent", denied("AADSTS1 secret"), azuretoken.Failure{Status: 503, Code: "access_denied", Description: anonymous}},
		{"resource not in the configuration", endpoints.Explain(&refresher.Error{Class: refresher.Denied, Code: refresher.CodeTargetNotAllowed}),
			azuretoken.Failure{Status: 400, Code: "access_denied", Description: "this scope, resource or audience is not allowed by the configuration"}},
		{"through a proxy", endpoints.Refuse(endpoints.Forwarded, "m"), azuretoken.Failure{Status: 400, Code: "invalid_request", Description: "m"}},
		{"from a web page", endpoints.Refuse(endpoints.Browser, "m"), azuretoken.Failure{Status: 403, Code: "invalid_request", Description: "m"}},
		{"another host", endpoints.Refuse(endpoints.BadHost, "m"), azuretoken.Failure{Status: 403, Code: "invalid_request", Description: "m"}},
		{"no path", endpoints.Refuse(endpoints.NotFound, "m"), azuretoken.Failure{Status: 404, Code: "not_found", Description: "m"}},
		{"wrong method", endpoints.Refuse(endpoints.BadMethod, "m"), azuretoken.Failure{Status: 405, Code: "invalid_request", Description: "m"}},
		{"no secret", endpoints.Refuse(endpoints.Unauthorized, "m"), azuretoken.Failure{Status: 401, Code: "unauthorized_client", Description: "m"}},
		{"body too large", endpoints.Refuse(endpoints.TooLarge, "m"), azuretoken.Failure{Status: 413, Code: "invalid_request", Description: "m"}},
		{"too many fields", endpoints.Refuse(endpoints.TooManyFields, "m"), azuretoken.Failure{Status: 431, Code: "invalid_request", Description: "m"}},
		{"an identity that yields something else", endpoints.Refuse(endpoints.Internal, "m"), azuretoken.Failure{Status: 500, Code: "unknown", Description: "m"}},
		{"bad request", endpoints.Refuse(endpoints.BadRequest, "m"), azuretoken.Failure{Status: 400, Code: "invalid_request", Description: "m"}},
		{"bad request with a code of its own", &endpoints.Refusal{Reason: endpoints.BadRequest, Code: "c", Message: "m"}, azuretoken.Failure{Status: 400, Code: "c", Description: "m"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := azuretoken.Explain(tt.refusal); got != tt.want {
				t.Errorf("Explain(%+v) = %+v, want %+v", *tt.refusal, got, tt.want)
			}
		})
	}
}
