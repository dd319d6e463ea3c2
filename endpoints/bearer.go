package endpoints

import (
	"net/http"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
)

// BearerField is the header field that [BearerGuard] looks at. A protocol with that guard lists it in
// [Protocol.Single].
const BearerField = "Authorization"

// BearerGuard is a [Protocol.Guard] that demands "Authorization: Bearer SECRET" (RFC 6750 section 2.1).
// As everywhere in HTTP the name of the scheme is good in any case. An empty secret refuses every request.
func BearerGuard(secret refresher.Secret) func(*http.Request) *Refusal {
	return func(r *http.Request) *Refusal {
		scheme, sent, _ := strings.Cut(r.Header.Get(BearerField), " ")
		switch {
		case scheme == "":
			return Refuse(Unauthorized, "the header Authorization: Bearer SECRET is missing")
		case !strings.EqualFold(scheme, "Bearer") || !Matches(sent, secret):
			return Refuse(Forbidden, "the Authorization header is wrong; send the secret as Bearer SECRET")
		}
		return nil
	}
}

// RefuseOAuth is a [Protocol.Refuse] for protocols that have no form of their own: the JSON object of
// OAuth 2.0, {"error","error_description"} (RFC 6749 section 5.2).
func RefuseOAuth(w http.ResponseWriter, _ *http.Request, refusal *Refusal) {
	if refusal.Reason == Unauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 9110 section 15.5.2 demands it
	}
	ReplyJSON(w, refusal.Reason.Status(), struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{oauthCode(refusal.Reason), refusal.Message})
}

// oauthCode names a reason, as far as possible in the words of RFC 6749, 6750 and 8707.
func oauthCode(reason Reason) string {
	switch reason {
	case Unauthorized, Forbidden:
		return "invalid_token"
	case BadHost, Forwarded, Browser:
		return "forbidden"
	case NotFound:
		return "not_found"
	case BadMethod:
		return "method_not_allowed"
	case NotAllowed:
		return "invalid_target"
	case NotReady:
		return "temporarily_unavailable"
	case Denied:
		return "access_denied"
	case Internal:
		return "server_error"
	default:
		return "invalid_request"
	}
}
