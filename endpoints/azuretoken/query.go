package azuretoken

import (
	"net/url"
	"slices"
	"strings"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/refresher"
)

const (
	maxParameters = 16 // clients send up to four
	maxResource   = 2 << 10
	defaultScope  = "/.default"
)

// A Query is what a token request asks for.
type Query struct {
	// APIVersion is empty if the request has none. Which ones exist is the outlet's business.
	APIVersion string
	// Resource is decoded and otherwise as the client sent it. It may be anything, also empty.
	Resource string

	by selector
	id string
}

// Parse reads a URL's query, or a form, which has the same syntax. Like the real services it refuses
// a name that comes twice. An empty selector counts as absent: Go programs whose client id is unset
// send "client_id=". Two that are not empty are refused, even if they agree.
func Parse(encoded string) (Query, *endpoints.Refusal) {
	var q Query
	var space [maxParameters]string
	seen := space[:0]
	for parameter := range strings.SplitSeq(encoded, "&") {
		if parameter == "" {
			continue
		}
		name, value, err := unescape(parameter)
		switch {
		case err != nil:
			return Query{}, endpoints.Refuse(endpoints.BadRequest, "the query is not well-formed")
		case slices.Contains(seen, name):
			return Query{}, endpoints.Refuse(endpoints.BadRequest, "a query parameter is repeated")
		case len(seen) == maxParameters:
			return Query{}, endpoints.Refuse(endpoints.BadRequest, "too many query parameters")
		}
		seen = append(seen, name)
		switch by := selectors[name]; {
		case name == "api-version":
			q.APIVersion = value
		case name == "resource":
			q.Resource = value
		case by == unselected || value == "":
		case q.by != unselected:
			return Query{}, endpoints.Refuse(endpoints.BadRequest, "more than one id is given; select the identity by one")
		default:
			q.by, q.id = by, value
		}
	}
	return q, nil
}

// unescape decodes "name=value". A semicolon was once a separator, too; readers disagree about it, so
// it has to be escaped.
func unescape(parameter string) (name, value string, err error) {
	if strings.Contains(parameter, ";") {
		return "", "", url.EscapeError(";")
	}
	name, value, _ = strings.Cut(parameter, "=")
	if name, err = url.QueryUnescape(name); err != nil {
		return "", "", err
	}
	value, err = url.QueryUnescape(value)
	return name, value, err
}

// target turns the resource into the scope of the v2.0 token endpoint. Nothing is cleaned up: Entra
// takes what precedes the last "/.default" for the audience, so that "https://x/" has to become
// "https://x//.default" to keep its slash, which some APIs insist on in the token.
func (q Query) target() (refresher.Target, *endpoints.Refusal) {
	switch {
	case q.Resource == "":
		return refresher.Target{}, endpoints.Refuse(endpoints.BadRequest, "the parameter resource is missing or empty")
	case len(q.Resource) > maxResource:
		return refresher.Target{}, endpoints.Refuse(endpoints.BadRequest, "the resource is too long")
	case strings.ContainsFunc(q.Resource, noScopeCharacter):
		return refresher.Target{}, endpoints.Refuse(endpoints.BadRequest, "the resource has a character that no scope may have")
	case strings.HasSuffix(q.Resource, defaultScope):
		return refresher.Target{Scope: q.Resource}, nil
	}
	return refresher.Target{Scope: q.Resource + defaultScope}, nil
}

// noScopeCharacter is the negation of RFC 6749 section 3.3: a scope is made of printable ASCII
// without space, quote and backslash. A space would make two scopes of one.
func noScopeCharacter(r rune) bool {
	return r <= ' ' || r == '"' || r == '\\' || r > '~'
}
