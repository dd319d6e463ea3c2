package gcemetadata

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/wisp-sidecar/wisp/endpoints"
)

// A node is a directory or a leaf of the tree. A leaf has a fixed value or is computed for each
// request, as tokens are.
type node struct {
	name   string
	hidden bool // not listed

	directory bool
	dataNames bool // the entries' names are data, so JSON shows them as they are
	entries   []*node

	value  any                                                         // a fixed one: string, json.Number or []string
	handle func(http.ResponseWriter, *http.Request) *endpoints.Refusal // answers each request
}

// addTo adds what is reachable at path/name and below. A directory's proper path ends in a slash and
// the other one redirects there; a leaf with a slash does not exist.
func (n *node) addTo(routes endpoints.Routes, path string, p parking) {
	path += "/" + n.name
	switch {
	case n.handle != nil:
		routes[path] = endpoints.Route{Methods: endpoints.Read, Handler: n.handle}
	case !n.directory:
		routes[path] = endpoints.Route{Methods: endpoints.Read, Handler: n.answer(p)}
	default:
		routes[path] = endpoints.Route{Methods: endpoints.Read, Handler: redirect(path + "/")}
		routes[path+"/"] = endpoints.Route{Methods: endpoints.Read, Handler: n.answer(p)}
	}
	for _, e := range n.entries {
		e.addTo(routes, path, p)
	}
}

// redirect sends a client to the same server whatever it calls it, so the address has no host. gcloud
// asks for service-accounts?recursive=true, so the query goes along.
func redirect(path string) func(http.ResponseWriter, *http.Request) *endpoints.Refusal {
	return func(w http.ResponseWriter, r *http.Request) *endpoints.Refusal {
		to := url.URL{Path: path, RawQuery: r.URL.RawQuery}
		w.Header().Set("Location", to.String())
		reply(w, http.StatusMovedPermanently, endpoints.Text, nil)
		return nil
	}
}

// answer serves a directory or a fixed value.
func (n *node) answer(p parking) func(http.ResponseWriter, *http.Request) *endpoints.Refusal {
	return func(w http.ResponseWriter, r *http.Request) *endpoints.Refusal {
		mediaType, body := n.render(r.URL.RawQuery)
		etag := etag(body)
		if refusal := p.wait(w, r, etag); refusal != nil {
			return refusal
		}
		w.Header().Set("ETag", etag)
		reply(w, http.StatusOK, mediaType, body)
		return nil
	}
}

// etag changes if and only if the content does. Like the real server's it has no quotes.
func etag(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:8])
}

// render writes what a query asks for, as JSON or as text. Text is the default, except of a whole
// subtree.
func (n *node) render(query string) (mediaType string, body []byte) {
	recursive := n.directory && isTrue(query, "recursive")
	alt, _ := parameter(query, "alt")
	switch {
	case recursive && alt == "text":
		return bare, n.appendLines(nil, "")
	case recursive:
		return endpoints.JSON, encode(n.tree())
	case alt == "json" && n.directory:
		return endpoints.JSON, encode(n.listing())
	case alt == "json":
		return endpoints.JSON, encode(n.value)
	default:
		return bare, n.appendText(nil)
	}
}

// appendText appends the bare value. Listings end each line; a value does not end with a line break,
// because gcloud and Go do not trim.
func (n *node) appendText(to []byte) []byte {
	for _, line := range n.listing() {
		to = append(to, line...)
		to = append(to, '\n')
	}
	switch v := n.value.(type) {
	case string:
		to = append(to, v...)
	case json.Number:
		to = append(to, v...)
	}
	return to
}

// listing is the names in a directory, or the elements of a leaf that has several.
func (n *node) listing() []string {
	if lines, ok := n.value.([]string); ok {
		return lines
	}
	names := []string{}
	for _, e := range n.entries {
		switch {
		case e.hidden:
		case e.directory:
			names = append(names, e.name+"/")
		default:
			names = append(names, e.name)
		}
	}
	return names
}

// tree is a subtree as JSON shows it. It never holds a token.
func (n *node) tree() any {
	if !n.directory {
		return n.value
	}
	object := map[string]any{}
	for _, e := range n.entries {
		if e.hidden || e.handle != nil {
			continue
		}
		name := e.name
		if !n.dataNames {
			name = camelCase(name)
		}
		object[name] = e.tree()
	}
	return object
}

// appendLines appends a line "path value" for each value of a subtree.
func (n *node) appendLines(to []byte, path string) []byte {
	for _, e := range n.entries {
		switch {
		case e.hidden || e.handle != nil:
		case e.directory:
			to = e.appendLines(to, path+e.name+"/")
		default:
			values, ok := e.value.([]string)
			if !ok {
				values = []string{string(e.appendText(nil))}
			}
			for _, v := range values {
				to = append(to, path+e.name+" "+v+"\n"...)
			}
		}
	}
	return to
}

// camelCase turns "numeric-project-id" into "numericProjectId".
func camelCase(name string) string {
	words := strings.Split(name, "-")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}

// encode is for values that always marshal.
func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return body
}
