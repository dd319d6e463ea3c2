package azuretoken

import (
	"net/http"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/refresher"
)

// hold is how long a request waits for a token: Azure's clients give an endpoint that has answered
// their probe several seconds, and come back after a 503.
const hold = 2 * time.Second

// An Issuer answers token requests. It is safe for concurrent use.
type Issuer struct {
	// Identities can be selected by id; the first is the default. There has to be one.
	Identities []Identity
	// Now is the clock that "expires_in" counts from. Nil means time.Now.
	Now func() time.Time
}

// answer is the body of a success. The order of its fields is that of the real IMDS; expires_in has
// to precede expires_on, because MSAL.NET keeps both in one field and the later one wins.
//
// Numbers are strings, and expires_on counts seconds since 1970, also where the real App Service
// writes a date: MSAL for Python, azidentity and msal-node fail on the date.
type answer struct {
	AccessToken  string `json:"access_token"`
	ClientID     string `json:"client_id,omitempty"`
	ExpiresIn    int64  `json:"expires_in,string"`
	ExpiresOn    int64  `json:"expires_on,string"`
	ExtExpiresIn int64  `json:"ext_expires_in,string"`
	NotBefore    int64  `json:"not_before,string"`
	// Resource is the request's own value: azure-identity for Python looks its cache up by it.
	Resource  string `json:"resource"`
	TokenType string `json:"token_type"`
}

// Answer writes the token that q asks for, or returns why there is none.
func (i Issuer) Answer(w http.ResponseWriter, r *http.Request, q Query) *endpoints.Refusal {
	target, refusal := q.target()
	if refusal != nil {
		return refusal
	}
	identity, refusal := choose(i.Identities, q)
	if refusal != nil {
		return refusal
	}
	credential, err := endpoints.Fetch(r, identity.Provider, target, hold)
	if err != nil {
		return endpoints.Explain(err)
	}
	bearer, ok := credential.Value.(refresher.Bearer)
	if !ok {
		return endpoints.Refuse(endpoints.Internal, "the identity does not yield Microsoft Entra tokens")
	}
	left := endpoints.SecondsLeft(credential, i.now())
	if left == 0 {
		// Clients take "0" for a token that never expires, or ask again at once.
		return endpoints.Refuse(endpoints.NotReady, "the token has just expired; try again")
	}
	endpoints.ReplyJSON(w, http.StatusOK, answer{
		AccessToken:  bearer.Token.Reveal(),
		ClientID:     identity.ClientID,
		ExpiresIn:    left,
		ExpiresOn:    credential.Expires.Unix(),
		ExtExpiresIn: left,
		NotBefore:    credential.Issued.Unix(),
		Resource:     q.Resource,
		TokenType:    "Bearer",
	})
	return nil
}

func (i Issuer) now() time.Time {
	if i.Now == nil {
		return time.Now()
	}
	return i.Now()
}
