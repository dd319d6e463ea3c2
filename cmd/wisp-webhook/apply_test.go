package main

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// An operation is one of a JSON Patch, as it is read.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// apply returns a document after a JSON Patch of add and replace (RFC 6902).
func apply(t testing.TB, document any, patch []operation) any {
	t.Helper()
	for _, o := range patch {
		if o.Op != "add" && o.Op != "replace" {
			t.Fatalf("%+v: want add or replace", o)
		}
		var steps []string
		for _, step := range strings.Split(o.Path, "/")[1:] {
			steps = append(steps, strings.NewReplacer("~1", "/", "~0", "~").Replace(step))
		}
		document = edit(t, document, steps, o)
	}
	return document
}

// edit returns node after o, whose path from there is steps.
func edit(t testing.TB, node any, steps []string, o operation) any {
	t.Helper()
	if len(steps) == 0 {
		text, err := json.Marshal(o.Value) // later operations must not change the patch
		if err != nil {
			t.Fatal(err)
		}
		var value any
		if err := json.Unmarshal(text, &value); err != nil {
			t.Fatal(err)
		}
		return value
	}
	step, rest := steps[0], steps[1:]
	switch node := node.(type) {
	case map[string]any:
		if _, there := node[step]; !there && (len(rest) > 0 || o.Op == "replace") {
			t.Fatalf("%s: there is no %s", o.Path, step)
		}
		node[step] = edit(t, node[step], rest, o)
		return node
	case []any:
		if step == "-" {
			step = strconv.Itoa(len(node))
		}
		n, err := strconv.Atoi(step)
		insert := len(rest) == 0 && o.Op == "add"
		if err != nil || n < 0 || n > len(node) || (n == len(node) && !insert) {
			t.Fatalf("%s: there is no place %s", o.Path, step)
		}
		if insert {
			return slices.Insert(node, n, edit(t, nil, rest, o))
		}
		node[n] = edit(t, node[n], rest, o)
		return node
	}
	t.Fatalf("%s: %s is in neither an object nor a list", o.Path, step)
	return nil
}
