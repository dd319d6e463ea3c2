package cloudtest

import (
	"crypto/subtle"
	"net/http"
)

// A GoogleClient is an OAuth client, which authenticates itself to the token service by HTTP Basic.
type GoogleClient struct{ ID, Secret string }

// client authenticates the OAuth client of a token request. There need not be one: then it is "".
func (g *Google) client(r *http.Request) (string, *oauthError) {
	if r.Header.Get("Authorization") == "" {
		return "", nil
	}
	id, secret, ok := r.BasicAuth()
	if !ok {
		return "", &oauthError{"invalid_request", "Authorization must be absent, or Basic for client authentication."}
	}
	if g.clients == nil {
		return id, nil
	}
	for _, c := range g.clients {
		if c.ID == id && subtle.ConstantTimeCompare([]byte(c.Secret), []byte(secret)) == 1 {
			return id, nil
		}
	}
	return "", &oauthError{"invalid_client", "The OAuth client was not found."}
}

// writeOAuthError answers with the status that RFC 6749 section 5.2 wants.
func writeOAuthError(w http.ResponseWriter, failure *oauthError) {
	status := http.StatusBadRequest
	if failure.Code == "invalid_client" {
		status = http.StatusUnauthorized
		w.Header().Set("WWW-Authenticate", `Basic realm="https://sts.googleapis.com/"`)
	}
	writeJSON(w, googleJSON, status, failure)
}
