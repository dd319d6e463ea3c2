// Package bearer shows tokens in a form that belongs to no cloud, for programs without a library that
// knows one of the others: a JSON object like that of an OAuth 2.0 token endpoint (RFC 6749 section 5.1),
// in answer to a GET with a secret.
package bearer

import (
	"net/http"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/refresher"
)

// Name is the outlet's kind.
const Name = "bearer"

// Prefix is what the identities' paths begin with; their names follow.
const Prefix = "/token/"

const hold = 2 * time.Second

// Options describe the outlet.
type Options struct {
	// Entries are the identities, each at Prefix and its name.
	Entries []Entry
	// Secret is what callers have to send as "Authorization: Bearer SECRET". An empty one refuses
	// every request.
	Secret refresher.Secret
	// Now is the clock that "expires_in" is computed with; nil means time.Now.
	Now func() time.Time
}

// An Entry is one identity.
type Entry struct {
	Name     string             // without slashes; no other entry may have it
	Provider endpoints.Provider // has to yield a refresher.Bearer
	// Target is what Provider is asked for on account of a query that is not empty, or false if tokens
	// of this identity cannot be asked for like that.
	Target func(Query) (refresher.Target, bool)
}

// New returns the protocol. Each path answers GET and HEAD.
func New(o Options) *endpoints.Protocol {
	if o.Now == nil {
		o.Now = time.Now
	}
	routes := endpoints.Routes{}
	for _, e := range o.Entries {
		s := service{Entry: e, now: o.Now}
		routes[Prefix+e.Name] = endpoints.Route{Methods: endpoints.Read, Handler: s.answer}
	}
	return &endpoints.Protocol{
		Name:      Name,
		Routes:    routes,
		Territory: Prefix,
		// Who has not got the secret does not learn the identities' names.
		GuardTerritory: true,
		Single:         []string{endpoints.BearerField},
		Guard:          endpoints.BearerGuard(o.Secret),
		Refuse:         endpoints.RefuseOAuth,
	}
}

type service struct {
	Entry
	now func() time.Time
}

// answer is the body of a success.
type answer struct {
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"` // whole seconds from now, never 0
	TokenType   string `json:"token_type"`
	ExpiresAt   string `json:"expires_at"` // RFC 3339, in UTC and whole seconds
}

func (s service) answer(w http.ResponseWriter, r *http.Request) *endpoints.Refusal {
	target, refusal := s.target(r.URL.RawQuery)
	if refusal != nil {
		return refusal
	}
	c, err := endpoints.Fetch(r, s.Provider, target, hold)
	if err != nil {
		return endpoints.Explain(err)
	}
	token, ok := c.Value.(refresher.Bearer)
	if !ok {
		return endpoints.Refuse(endpoints.Internal, "the identity of this path does not yield a token")
	}
	left := endpoints.SecondsLeft(c, s.now())
	if left == 0 {
		return endpoints.Refuse(endpoints.NotReady, "the token has just expired; try again")
	}
	endpoints.ReplyJSON(w, http.StatusOK, &answer{
		AccessToken: token.Token.Reveal(),
		ExpiresIn:   left,
		TokenType:   "Bearer",
		ExpiresAt:   c.Expires.UTC().Format(time.RFC3339),
	})
	return nil
}
