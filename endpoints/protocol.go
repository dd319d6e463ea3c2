package endpoints

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// A Protocol is one emulated service: what it demands of a request, its paths, and how it says no.
// It is data: several protocols may share a listener, and the [Server] routes between them.
type Protocol struct {
	// Name is the outlet's kind as configuration, metrics and logs call it: "gceMetadata".
	Name string
	// Hosts are the fixed names and addresses that clients of this protocol put into Host besides
	// the address they connect to: "metadata.google.internal". Without port.
	Hosts []string
	// Routes are the paths that exist.
	Routes Routes
	// Territory, if not empty, is a path prefix below which unknown paths are refused in this
	// protocol's form.
	Territory string
	// GuardTerritory applies the Guard to unknown paths, too, before a caller learns what exists.
	GuardTerritory bool
	// FoldCase, if not empty, is a path prefix below which paths are matched in any case.
	FoldCase string
	// Single lists header fields that decide about access and so must not be repeated.
	Single []string
	// Guard checks the protocol's own header or secret. Nil means that there is none.
	Guard func(r *http.Request) *Refusal
	// Refuse writes a refusal in the protocol's form. It has to send the status, and nothing else
	// will have been written. Required.
	Refuse func(w http.ResponseWriter, r *http.Request, refusal *Refusal)
}

// Routes are the paths of a protocol, decoded and exact: what is not listed does not exist. There are
// no patterns and no redirects, because clients build on the answers to odd paths, too.
type Routes map[string]Route

// A Route is what one path does.
type Route struct {
	// Methods are those that Handler accepts. A route with GET but without HEAD refuses HEAD.
	Methods []string
	// Open routes skip the Guard: probes that are answered before a client proves anything.
	Open bool
	// Body lets Handler read the request's body, at most 4 KiB of it.
	Body bool
	// Handler answers. A *Refusal that it returns is written by the protocol's Refuse; then it must
	// not have written anything itself.
	Handler func(w http.ResponseWriter, r *http.Request) *Refusal
}

// Read are the methods of most routes.
var Read = []string{http.MethodGet, http.MethodHead}

// A table finds the protocol and route of a path.
type table struct {
	exact     map[string]entry
	folded    map[string]entry // keys in lower case
	protocols []*Protocol
	hosts     map[string]bool
}

type entry struct {
	protocol *Protocol
	route    Route
}

// newTable joins protocols; it is an error if two of them claim one path.
func newTable(protocols []*Protocol) (*table, error) {
	t := &table{exact: map[string]entry{}, folded: map[string]entry{}, protocols: protocols, hosts: map[string]bool{}}
	for _, p := range protocols {
		for _, host := range p.Hosts {
			t.hosts[strings.ToLower(host)] = true
		}
		for _, path := range slices.Sorted(maps.Keys(p.Routes)) {
			into, key := t.exact, path
			if folds(p, path) {
				into, key = t.folded, strings.ToLower(path)
			}
			if other, taken := into[key]; taken {
				return nil, conflict(other.protocol, p, path)
			}
			into[key] = entry{p, p.Routes[path]}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(t.exact)) {
		if other, taken := t.folded[strings.ToLower(path)]; taken {
			return nil, conflict(t.exact[path].protocol, other.protocol, path)
		}
	}
	return t, nil
}

func conflict(a, b *Protocol, path string) error {
	if a != b && a.Name == b.Name {
		return fmt.Errorf("two outlets of the kind %s both serve %s on this listener: give one of them another address", a.Name, path)
	}
	return fmt.Errorf("%s and %s both serve %s on this listener", a.Name, b.Name, path)
}

func folds(p *Protocol, path string) bool {
	return p.FoldCase != "" && len(path) >= len(p.FoldCase) && strings.EqualFold(path[:len(p.FoldCase)], p.FoldCase)
}

// find looks a request's path up. The protocol of an unknown path is the one whose territory it is
// in, or nil.
func (t *table) find(r *http.Request) (*Protocol, Route, bool) {
	path := canonicalPath(r.URL.Path)
	if !encodedSlash(r.URL.RawPath) {
		if e, ok := t.exact[path]; ok {
			return e.protocol, e.route, true
		}
		if e, ok := t.folded[strings.ToLower(path)]; ok {
			return e.protocol, e.route, true
		}
	}
	for _, p := range t.protocols {
		if p.Territory != "" && (strings.HasPrefix(path, p.Territory) || folds(p, path)) {
			return p, Route{}, false
		}
	}
	return nil, Route{}, false
}

// canonicalPath is the decoded path with a run of leading slashes read as one: the AWS SDK for
// JavaScript asks for //latest/…, and msal4j for //metadata/…. Nothing else is cleaned, so ".." and
// "//" further on match nothing.
func canonicalPath(path string) string {
	if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") {
		return path
	}
	return "/" + strings.TrimLeft(path, "/")
}

// encodedSlash: a path with one matches nothing, because what was encoded is no separator.
func encodedSlash(rawPath string) bool {
	return strings.Contains(rawPath, "%2f") || strings.Contains(rawPath, "%2F")
}

func allows(methods []string, method string) bool { return slices.Contains(methods, method) }
