package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wisp-sidecar/wisp/agent/inject"
)

// lookup is the value of a key, nil if n is no mapping or does not have it.
func lookup(n *yaml.Node, key string) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// scalar is the text of a key's value, empty if it is none.
func scalar(n *yaml.Node, key string) string { return scalars(n)[key] }

// scalars are the values of a mapping that are strings.
func scalars(n *yaml.Node) map[string]string {
	all := map[string]string{}
	if n == nil || n.Decode(&all) != nil {
		// Something else is among them.
		all = map[string]string{}
		for i := 0; n != nil && n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if value := n.Content[i+1]; value.Kind == yaml.ScalarNode {
				all[n.Content[i].Value] = value.Value
			}
		}
	}
	return all
}

// maxNodes bounds what anchors can grow to: a bomb is a few lines that refer to each other.
const maxNodes = 100_000

// dereference writes out aliases and merge keys: what is added to one place is not to appear in another. budget is how many
// nodes there may be.
func dereference(n *yaml.Node, budget *int) (*yaml.Node, error) {
	if *budget--; *budget < 0 {
		return nil, fmt.Errorf("line %d: anchors and aliases make this too large", n.Line)
	}
	if n.Kind == yaml.AliasNode {
		return dereference(n.Alias, budget)
	}
	fresh := *n
	fresh.Anchor, fresh.Content = "", nil
	for i, part := range n.Content {
		if n.Kind == yaml.MappingNode && n.Content[i&^1].Tag == "!!merge" { // of its key: a value can be << as well
			continue
		}
		copied, err := dereference(part, budget)
		if err != nil {
			return nil, err
		}
		fresh.Content = append(fresh.Content, copied)
	}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		merged, err := dereference(n.Content[i+1], budget)
		if err != nil {
			return nil, err
		}
		from := []*yaml.Node{merged}
		if merged.Kind == yaml.SequenceNode {
			from = merged.Content
		}
		for _, mapping := range from {
			for k := 0; mapping.Kind == yaml.MappingNode && k+1 < len(mapping.Content); k += 2 {
				if lookup(&fresh, mapping.Content[k].Value) == nil {
					fresh.Content = append(fresh.Content, mapping.Content[k], mapping.Content[k+1])
				}
			}
		}
	}
	return &fresh, nil
}

// refers reports whether something in n refers to something else.
func refers(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode || n.Anchor != "" || n.Tag == "!!merge" {
		return true
	}
	for _, child := range n.Content {
		if refers(child) {
			return true
		}
	}
	return false
}

// encodeJSON writes n, in which nothing refers to anything else, as JSON, in the order of n.
func encodeJSON(b *bytes.Buffer, n *yaml.Node) error {
	var value any = n.Value
	switch tag := n.ShortTag(); {
	case n.Kind == yaml.MappingNode:
		return encodeMapping(b, n)
	case n.Kind == yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := encodeJSON(b, item); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	case n.Kind != yaml.ScalarNode:
		return fmt.Errorf("line %d: anchors and aliases are not supported here", n.Line)
	case (tag == "!!int" || tag == "!!float") && json.Valid([]byte(n.Value)):
		value = json.Number(n.Value)
	case tag == "!!int" || tag == "!!float" || tag == "!!bool" || tag == "!!null":
		if err := n.Decode(&value); err != nil {
			return err
		}
	}
	text, err := json.Marshal(value)
	b.Write(text)
	return err
}

func encodeMapping(b *bytes.Buffer, n *yaml.Node) error {
	seen := map[string]bool{}
	b.WriteByte('{')
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || seen[key.Value] {
			return fmt.Errorf("line %d: the key %s is no string, or repeated", key.Line, key.Value)
		}
		seen[key.Value] = true
		if i > 0 {
			b.WriteByte(',')
		}
		text, err := json.Marshal(key.Value)
		if err != nil {
			return err
		}
		b.Write(append(text, ':'))
		if err := encodeJSON(b, n.Content[i+1]); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

// apply applies one operation of a patch that adds, or replaces a string.
func apply(n *yaml.Node, o inject.Operation) error {
	text, err := json.Marshal(o.Value)
	if err != nil {
		return err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil { // JSON is YAML
		return err
	}
	value := document.Content[0]
	plain(value)
	keys := strings.Split(o.Path, "/")[1:]
	for _, key := range keys[:len(keys)-1] {
		if n = child(n, key); n == nil {
			return errors.New("there is no " + key)
		}
		n.Style &^= yaml.FlowStyle
	}
	last := keys[len(keys)-1]
	there := child(n, last)
	switch {
	case o.Op == "replace" && there != nil:
		there.Value = value.Value
	case n.Kind == yaml.SequenceNode:
		at := len(n.Content)
		if last != "-" {
			at, err = strconv.Atoi(last)
		}
		n.Content = append(n.Content[:at:at], append([]*yaml.Node{value}, n.Content[at:]...)...)
	case there != nil: // null
		*there = *value
	default:
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: last}, value)
	}
	return err
}

// unfold writes what is around a node, and the node, without brackets: nobody wants to read what grows between them. It
// reports whether the node is in n.
func unfold(n, node *yaml.Node) bool {
	found := n == node
	for _, child := range n.Content {
		found = found || unfold(child, node)
	}
	if found {
		n.Style &^= yaml.FlowStyle
	}
	return found
}

// child is what a key, or a number, names in a mapping or a sequence; nil if it is not there.
func child(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.SequenceNode {
		return lookup(n, key)
	}
	if at, err := strconv.Atoi(key); err == nil && 0 <= at && at < len(n.Content) {
		return n.Content[at]
	}
	return nil
}

// plain takes the braces and quotes of JSON away; the encoder quotes what needs it.
func plain(n *yaml.Node) {
	n.Style, n.Line, n.Column = 0, 0, 0
	for _, child := range n.Content {
		plain(child)
	}
}
