package bearer

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/refresher"
)

// A Query is what a request asks for. Values are as the client sent them; each is empty if it did not.
type Query struct {
	Scope    string // scopes, separated by spaces (RFC 6749 section 3.3)
	Resource string // one resource, which cannot be several scopes in disguise
	Audience string // text on one line
}

// target is what the provider is to be asked for; the default if the query names nothing.
func (s service) target(encoded string) (refresher.Target, *endpoints.Refusal) {
	if encoded == "" {
		return refresher.Target{}, nil // most requests
	}
	q, refusal := parse(encoded)
	if refusal != nil || q == (Query{}) {
		return refresher.Target{}, refusal
	}
	target, ok := s.Target(q)
	if !ok {
		return refresher.Target{}, endpoints.Refuse(endpoints.BadRequest, "tokens of this identity cannot be asked for by these parameters")
	}
	return target, nil
}

// parse reads a URL's query. A name that comes twice is refused, because readers differ in which one
// counts; names that are not known are nobody's concern, and an empty value is as good as none.
func parse(encoded string) (Query, *endpoints.Refusal) {
	values, err := url.ParseQuery(encoded)
	if err != nil {
		return Query{}, endpoints.Refuse(endpoints.BadRequest, "the query is not well-formed")
	}
	var q Query
	for _, p := range []struct {
		name   string
		value  *string
		refuse func(rune) bool
	}{{"scope", &q.Scope, noScope}, {"resource", &q.Resource, noResource}, {"audience", &q.Audience, unicode.IsControl}} {
		switch sent := values[p.name]; {
		case len(sent) > 1:
			return Query{}, endpoints.Refuse(endpoints.BadRequest, "the parameter "+p.name+" is repeated")
		case len(sent) == 0:
		case !utf8.ValidString(sent[0]) || strings.ContainsFunc(sent[0], p.refuse):
			return Query{}, endpoints.Refuse(endpoints.BadRequest, "the parameter "+p.name+" has a character that none may have")
		default:
			*p.value = sent[0]
		}
	}
	return q, nil
}

// noScope is the negation of what scopes and the spaces between them are made of, by RFC 6749 section 3.3.
func noScope(r rune) bool { return r < ' ' || r == '"' || r == '\\' || r > '~' }

func noResource(r rune) bool { return r == ' ' || noScope(r) }
