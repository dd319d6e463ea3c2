package inject

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A document is JSON that others have written. Reading it never fails at once: what is not as it should be is
// noted, and read as if it were absent.
type document struct {
	problems []error // in the order of reading
}

// A node is an object in a document. The zero value is an object that is absent; null is absent, too.
type node struct {
	document *document
	path     string // "spec.containers[0]"; empty for the document itself
	members  map[string]any
}

// read parses a document, of which the whole is one object.
func read(text []byte) (node, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var members map[string]any
	if err := decoder.Decode(&members); err != nil {
		return node{}, fmt.Errorf("it is no JSON object: %w", err)
	}
	if err := decoder.Decode(new(any)); err != io.EOF {
		return node{}, errors.New("there is something after the JSON object")
	}
	return node{document: &document{}, members: members}, nil
}

// err is all that was not as it should be, one problem per line.
func (d *document) err() error { return errors.Join(d.problems...) }

// maxProblems bounds what is noted of one document: nobody mends more at a time, and its author may mean harm.
const maxProblems = 50

func (n node) report(path, format string, args ...any) {
	if len(n.document.problems) >= maxProblems {
		return
	}
	n.document.problems = append(n.document.problems, fmt.Errorf("%s "+format, append([]any{path}, args...)...))
}

func (n node) join(key string) string {
	if n.path == "" {
		return key
	}
	return n.path + "." + key
}

// has reports whether the member is there.
func (n node) has(key string) bool { return n.members[key] != nil }

// member returns a member that has the type T, or T's zero value.
func member[T any](n node, key, want string) T {
	value, ok := n.members[key].(T)
	if !ok && n.has(key) {
		n.report(n.join(key), "is not %s", want)
	}
	return value
}

func (n node) text(key string) string { return member[string](n, key, "a string") }
func (n node) flag(key string) bool   { return member[bool](n, key, "true or false") }

func (n node) object(key string) node {
	return node{document: n.document, path: n.join(key), members: member[map[string]any](n, key, "an object")}
}

// each is the list of objects that a member is.
func (n node) each(key string) []node {
	list := member[[]any](n, key, "a list")
	nodes := make([]node, len(list))
	for i, item := range list {
		members, ok := item.(map[string]any)
		nodes[i] = node{document: n.document, path: fmt.Sprintf("%s[%d]", n.join(key), i), members: members}
		if !ok {
			n.report(nodes[i].path, "is not an object")
		}
	}
	return nodes
}

// texts is an object in which all members are strings.
func (n node) texts(key string) map[string]string {
	object := n.object(key)
	all := make(map[string]string, len(object.members))
	for _, name := range slices.Sorted(maps.Keys(object.members)) {
		if object.has(name) {
			all[name] = object.text(name)
		}
	}
	return all
}

// known reports the members that are none of keys.
func (n node) known(keys ...string) {
	for _, key := range slices.Sorted(maps.Keys(n.members)) {
		if !slices.Contains(keys, key) {
			n.report(n.join(key), "is not known; known are %s", strings.Join(keys, ", "))
		}
	}
}

// names are the strings under one key of a list's objects.
func (n node) names(list, key string) []string {
	var all []string
	for _, item := range n.each(list) {
		all = append(all, item.text(key))
	}
	return all
}
