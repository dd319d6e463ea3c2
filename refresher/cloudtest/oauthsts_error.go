package cloudtest

import (
	"fmt"
	"net/http"
)

// An oauthFailure is a refusal of RFC 6749 section 5.2.
type oauthFailure struct {
	code        string
	description string
	status      int
	challenge   bool // the client tried the Authorization header
}

func oauthRefusal(code, format string, args ...any) *oauthFailure {
	return &oauthFailure{code: code, description: fmt.Sprintf(format, args...), status: http.StatusBadRequest}
}

func invalidRequest(format string, args ...any) *oauthFailure {
	return oauthRefusal("invalid_request", format, args...)
}

// invalidClient is the one refusal with a status of its own.
func invalidClient(format string, args ...any) *oauthFailure {
	e := oauthRefusal("invalid_client", format, args...)
	e.status = http.StatusUnauthorized
	return e
}

func (e *oauthFailure) write(w http.ResponseWriter) {
	if e.challenge {
		w.Header().Set("WWW-Authenticate", `Basic realm="token"`)
	}
	noStore(w)
	writeJSON(w, oauthJSON, e.status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{e.code, e.description})
}

const oauthJSON = "application/json"

// noStore is what RFC 6749 section 5.1 requires of every answer that may hold a token.
func noStore(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
}

var oauthWording = wording{
	throttled: func(w http.ResponseWriter) {
		e := oauthRefusal("temporarily_unavailable", "too many requests")
		e.status = http.StatusTooManyRequests
		e.write(w)
	},
	contentType: oauthJSON,
	malformed:   `{"token_type":"Bearer","expires_in":300,"access_token":"eyJ`,
}
