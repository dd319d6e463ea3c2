package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wisp-sidecar/wisp/agent/inject"
)

// A manifest is one document of a file.
type manifest struct {
	file  string
	first bool // of its file
	// separator is the line --- before it, empty if there is none. text is all after it.
	separator, text []byte
	root            *yaml.Node // nil if there are only comments
	before, after   string     // comments around root
	changed         bool       // root is not what text says
}

// split cuts a file at the lines that begin a document. YAML allows --- at the beginning of a line for nothing else.
func split(text []byte) [][]byte {
	var segments [][]byte
	start, at := 0, 0
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("---")); ok && at > start && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0]))) {
			segments = append(segments, text[start:at])
			start = at
		}
		at += len(line)
	}
	return append(segments, text[start:])
}

func parseManifest(segment []byte) (*manifest, error) {
	m := &manifest{text: segment}
	// What follows --- in its line can be the document's.
	if line := regexp.MustCompile(`^---[ \t]*(#.*)?\r?(\n|$)`).Find(segment); line != nil {
		m.separator, m.text = line, segment[len(line):]
	}
	decoder := yaml.NewDecoder(bytes.NewReader(m.text))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case err == io.EOF:
		return m, nil
	case err != nil:
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); err != io.EOF {
		return nil, errors.New("another document follows without ---")
	}
	m.root = document.Content[0]
	m.before = join(document.HeadComment, m.root.HeadComment)
	m.after = join(m.root.FootComment, document.FootComment)
	return m, nil
}

func join(a, b string) string {
	if a != "" && b != "" {
		return a + "\n\n" + b
	}
	return a + b
}

// objects are those of the document: itself, or the items of a List.
func (m *manifest) objects() []*yaml.Node {
	if m.root == nil {
		return nil
	}
	if scalar(m.root, "kind") != "List" {
		return []*yaml.Node{m.root}
	}
	if items := lookup(m.root, "items"); items != nil && items.Kind == yaml.SequenceNode {
		return items.Content
	}
	return nil
}

// podIn is the Pod or the Pod template of an object, nil if it has none.
func podIn(object *yaml.Node) *yaml.Node {
	switch scalar(object, "kind") {
	case "Pod":
		return object
	case "PodTemplate":
		return lookup(object, "template")
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job":
		return lookup(lookup(object, "spec"), "template")
	case "CronJob":
		return lookup(lookup(lookup(lookup(object, "spec"), "jobTemplate"), "spec"), "template")
	}
	return nil
}

// inject puts wisp into a Pod of the document.
func (m *manifest) inject(policy *inject.Policy, pod *yaml.Node, r inject.Request) (*inject.Result, error) {
	var b bytes.Buffer
	if err := encodeJSON(&b, pod); err != nil {
		return nil, err
	}
	r.Pod = b.Bytes()
	result, err := policy.Inject(r)
	if err != nil {
		return nil, err
	}
	for _, operation := range result.Patch {
		m.changed = unfold(m.root, pod)
		if err := apply(pod, operation); err != nil {
			return nil, fmt.Errorf("%s %s: %w", operation.Op, operation.Path, err)
		}
	}
	return result, nil
}

// print returns the document, as it came if nothing has changed.
func (m *manifest) print() ([]byte, error) {
	if !m.changed {
		return append(m.separator[:len(m.separator):len(m.separator)], m.text...), nil
	}
	var b bytes.Buffer
	if bytes.HasPrefix(bytes.TrimSpace(m.text), []byte("{")) {
		if err := encodeJSON(&b, m.root); err != nil {
			return nil, err
		}
		out := bytes.NewBuffer(bytes.Clone(m.separator))
		err := json.Indent(out, b.Bytes(), "", "  ")
		out.WriteByte('\n')
		return out.Bytes(), err
	}
	p := &yamlPrinter{compact: compact(m.root)}
	p.Write(m.separator)
	if len(m.separator) == 0 && bytes.HasPrefix(m.text, []byte("---")) {
		p.WriteString("---\n") // there was something after it
	}
	p.comment(m.before, 0)
	p.block(m.root, 0)
	p.comment(m.after, 0)
	return p.Bytes(), nil
}

// compact reports whether lists are written below their key without a further indent, as kubectl does it.
func compact(n *yaml.Node) bool {
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && child.Kind == yaml.SequenceNode && child.Style&yaml.FlowStyle == 0 && child.Line > 0 {
			return child.Column == n.Content[i-1].Column
		}
		if compact(child) {
			return true
		}
	}
	return false
}
