package gcemetadata

import (
	"net/http"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/refresher"
)

// hold is below the 3 s after which google-auth and gcp-metadata give up on a request. Go and Node
// give up on quick refusals after as long in all, so a request has to wait here rather than there.
const hold = 2 * time.Second

// A minter answers what is computed for each request: the tokens of one account.
type minter struct {
	account Account
	now     func() time.Time
}

// accessToken is the answer. expires_in has to be an integer, and not 0: Go reads that as "no token".
type accessToken struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`
	TokenType   string `json:"token_type"`
}

// access answers …/token. Scopes are separated by commas, encoded or not; transport and
// binding-enforcement, which some libraries send, mean nothing here.
func (m minter) access(w http.ResponseWriter, r *http.Request) *endpoints.Refusal {
	var target refresher.Target
	if scopes, _ := parameter(r.URL.RawQuery, "scopes"); scopes != "" {
		if !printable(scopes) {
			return endpoints.Refuse(endpoints.BadRequest, "scopes is not plain text")
		}
		target.Scope = refresher.Scopes(strings.Split(scopes, ",")...)
	}
	c, err := endpoints.Fetch(r, m.account.Provider, target, hold)
	if err != nil {
		return endpoints.Explain(err)
	}
	token, ok := c.Value.(refresher.Bearer)
	if !ok {
		return endpoints.Refuse(endpoints.Internal, "the identity does not yield Google credentials")
	}
	left := endpoints.SecondsLeft(c, m.now())
	if left == 0 {
		return endpoints.Refuse(endpoints.NotReady, "the token has just expired; try again")
	}
	identify(w)
	endpoints.ReplyJSON(w, http.StatusOK, &accessToken{
		AccessToken: token.Token.Reveal(),
		ExpiresIn:   left,
		TokenType:   "Bearer",
	})
	return nil
}

// identity answers …/identity with a bare JWT. format and licenses mean nothing here: what they add
// describes a virtual machine.
//
// gcloud asks for an ID token with each access token, and breaks off for any status but 200 and 404.
// So whatever keeps an identity from minting one is "not found", unless nothing works yet.
func (m minter) identity(w http.ResponseWriter, r *http.Request) *endpoints.Refusal {
	audience, _ := parameter(r.URL.RawQuery, "audience")
	if strings.TrimSpace(audience) == "" {
		return endpoints.Refuse(endpoints.BadRequest, "non-empty audience parameter required")
	}
	if !printable(audience) {
		return endpoints.Refuse(endpoints.BadRequest, "audience is not plain text")
	}
	if !m.account.IDTokens {
		return endpoints.Refuse(endpoints.NotFound, "this identity cannot mint ID tokens")
	}
	c, err := endpoints.Fetch(r, m.account.Provider, refresher.Target{Audience: audience}, hold)
	if err != nil {
		return m.noIDToken(r, endpoints.Explain(err))
	}
	token, ok := c.Value.(refresher.Bearer)
	if !ok {
		return endpoints.Refuse(endpoints.Internal, "the identity does not yield Google credentials")
	}
	reply(w, http.StatusOK, bare, []byte(token.Token.Reveal()))
	return nil
}

// noIDToken says why there is none: "not ready" only as long as there is no access token either.
func (m minter) noIDToken(r *http.Request, why *endpoints.Refusal) *endpoints.Refusal {
	if why.Reason != endpoints.NotAllowed {
		if _, err := endpoints.Fetch(r, m.account.Provider, refresher.Target{}, 0); err != nil {
			return why
		}
	}
	return &endpoints.Refusal{Reason: endpoints.NotFound, Code: why.Code, Message: "there is no ID token for this audience"}
}
