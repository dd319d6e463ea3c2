// Package subjecttoken serves subject tokens to client libraries that do the exchange themselves: those
// with a URL-sourced external_account file, Google's and others like them. Such a file names the
// header fields to send, so this outlet demands its secret in one.
//
// Source: https://google.aip.dev/auth/4117 (URL-sourced credentials)
package subjecttoken

import (
	"net/http"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/refresher"
)

// Name is the outlet's kind.
const Name = "subjectToken"

// hold: most libraries try once only, so a request that can wait for the token should. None gives up
// within 20 s.
const hold = 2 * time.Second

// Options describe the outlet.
type Options struct {
	// Entries are the identities, each at a path of its own. Of two with one path the later counts.
	Entries []Entry
	// Secret is what callers have to send as "Authorization: Bearer SECRET". An empty one refuses
	// every request.
	Secret refresher.Secret
	// Field is the member of a JSON object whose string is the token. Empty means that the body is the
	// token and nothing else: some libraries would send a line break along.
	Field string
}

// An Entry is one identity.
type Entry struct {
	Path     string             // "/subject/reports", decoded
	Provider endpoints.Provider // has to yield a refresher.Bearer, a token of any type, for the zero Target
}

// New returns the protocol. Each path answers GET and HEAD, whatever the query: libraries that are set up
// for Azure's metadata service send api-version and resource, and the header Metadata.
func New(o Options) *endpoints.Protocol {
	routes := endpoints.Routes{}
	for _, e := range o.Entries {
		s := service{provider: e.Provider, field: o.Field}
		routes[e.Path] = endpoints.Route{Methods: endpoints.Read, Handler: s.answer}
	}
	return &endpoints.Protocol{
		Name:   Name,
		Routes: routes,
		Single: []string{endpoints.BearerField},
		Guard:  endpoints.BearerGuard(o.Secret),
		Refuse: endpoints.RefuseOAuth,
	}
}

type service struct {
	provider endpoints.Provider
	field    string
}

func (s service) answer(w http.ResponseWriter, r *http.Request) *endpoints.Refusal {
	c, err := endpoints.Fetch(r, s.provider, refresher.Target{}, hold)
	if err != nil {
		return endpoints.Explain(err)
	}
	token, ok := c.Value.(refresher.Bearer)
	switch {
	case !ok:
		return endpoints.Refuse(endpoints.Internal, "the identity of this path does not yield a token")
	case s.field == "":
		endpoints.Reply(w, http.StatusOK, endpoints.Text, []byte(token.Token.Reveal()))
	default:
		endpoints.ReplyJSON(w, http.StatusOK, map[string]string{s.field: token.Token.Reveal()})
	}
	return nil
}
