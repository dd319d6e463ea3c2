package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A yamlPrinter writes nodes as people write manifests. The encoder of the YAML library could do that, too, but would make
// wisp larger by 1 %, which every node pays for.
//
// Nothing in the nodes may refer to anything else in them.
type yamlPrinter struct {
	bytes.Buffer
	compact bool // lists below a key have no further indent
}

func (p *yamlPrinter) pad(indent int) { p.WriteString(strings.Repeat(" ", indent)) }

// comment writes lines of comments, which have their # with them.
func (p *yamlPrinter) comment(text string, indent int) {
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" {
			p.pad(indent)
		}
		p.WriteString(line + "\n")
	}
}

// inline reports whether n goes on in the line of its key.
func inline(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode || len(n.Content) == 0 || n.Style&yaml.FlowStyle != 0
}

// rest ends a line with a value that is inline, and with the comments in it.
func (p *yamlPrinter) rest(n *yaml.Node, indent int, comments ...string) {
	lines := n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 && literalFits(n.Value)
	if inline(n) {
		switch {
		case n.Kind == yaml.ScalarNode && n.Value == "" && n.Style == 0: // "key:" alone is null
		case lines:
			p.WriteByte(' ')
			p.tag(n)
			p.WriteString("|" + chomping(n.Value))
		default:
			p.WriteByte(' ')
			p.value(n)
		}
		comments = append(comments, n.LineComment)
	}
	for _, comment := range comments {
		if comment != "" {
			p.WriteString(" " + comment)
		}
	}
	p.WriteByte('\n')
	if lines {
		p.literal(n.Value, indent+2)
	}
}

// chomping says what becomes of the ends of the last lines.
func chomping(text string) string {
	switch {
	case !strings.HasSuffix(text, "\n"):
		return "-"
	case strings.HasSuffix(text, "\n\n"):
		return "+"
	}
	return ""
}

func (p *yamlPrinter) tag(n *yaml.Node) {
	if n.Style&yaml.TaggedStyle != 0 {
		p.WriteString(n.Tag + " ")
	}
}

// block writes a node that begins a line, with its comments.
func (p *yamlPrinter) block(n *yaml.Node, indent int) {
	switch {
	case inline(n):
		p.pad(indent)
		p.value(n)
		p.WriteByte('\n')
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			p.entry(n.Content[i], n.Content[i+1], indent)
		}
	default:
		for _, item := range n.Content {
			p.item(item, indent)
		}
	}
}

func (p *yamlPrinter) entry(key, value *yaml.Node, indent int) {
	p.comment(key.HeadComment, indent)
	p.pad(indent)
	p.value(key)
	p.WriteByte(':')
	p.rest(value, indent, key.LineComment)
	if !inline(value) {
		below := indent + 2
		if value.Kind == yaml.SequenceNode && p.compact {
			below = indent
		}
		p.comment(value.HeadComment, below)
		p.block(value, below)
		p.comment(value.FootComment, below)
	}
	p.comment(key.FootComment, indent)
}

func (p *yamlPrinter) item(item *yaml.Node, indent int) {
	p.comment(item.HeadComment, indent)
	if item.Kind == yaml.MappingNode && !inline(item) {
		p.comment(item.Content[0].HeadComment, indent)
		first := *item.Content[0]
		first.HeadComment = ""
		start := p.Len()
		p.entry(&first, item.Content[1], indent+2)
		p.Bytes()[start+indent] = '-'
		for i := 2; i+1 < len(item.Content); i += 2 {
			p.entry(item.Content[i], item.Content[i+1], indent+2)
		}
	} else {
		p.pad(indent)
		p.WriteByte('-')
		p.rest(item, indent)
		if !inline(item) {
			p.block(item, indent+2)
		}
	}
	p.comment(item.FootComment, indent)
}

// value writes a node that is inline.
func (p *yamlPrinter) value(n *yaml.Node) {
	p.tag(n)
	switch n.Kind {
	case yaml.ScalarNode:
		p.scalar(n)
	case yaml.SequenceNode:
		p.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				p.WriteString(", ")
			}
			p.flow(item)
		}
		p.WriteByte(']')
	default:
		p.WriteByte('{')
		for i, part := range n.Content {
			switch {
			case i%2 == 1:
				p.WriteString(": ")
			case i > 0:
				p.WriteString(", ")
			}
			p.flow(part)
		}
		p.WriteByte('}')
	}
}

// flow writes a node between brackets, where there is no other style. A plain string can come from where an anchor was,
// outside of all brackets, and then have what ends it here.
func (p *yamlPrinter) flow(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && (n.Line == 0 || n.Style == 0 && strings.ContainsAny(n.Value, ",[]{}?")) {
		p.quote(n.Value)
		return
	}
	p.value(n)
}

// safe reports whether text is a string in YAML without quotes, whatever is around it, and whichever version reads it.
func safe(text string) bool {
	const marks = "_./:@=+-"
	switch strings.TrimLeft(text, "0123456789") {
	case "m", "s", "Mi", "Gi":
		return true // 10m
	}
	for i, r := range text {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', r == '/', r == '_' && i > 0:
		case i == 0, !strings.ContainsRune(marks, r) && (r < '0' || '9' < r), r == ':' && i == len(text)-1:
			return false
		}
	}
	return len(text) > 1 && !strings.Contains("|true|false|null|yes|no|on|off|", "|"+strings.ToLower(text)+"|")
}

func (p *yamlPrinter) scalar(n *yaml.Node) {
	oneLine := !strings.ContainsAny(n.Value, "\n\r\t\u0085\u2028\u2029") && strings.ToValidUTF8(n.Value, "") == n.Value
	switch {
	case n.ShortTag() == "!!null":
		p.WriteString(cmp.Or(n.Value, "null"))
	case n.Style&yaml.SingleQuotedStyle != 0 && oneLine:
		p.WriteString("'" + strings.ReplaceAll(n.Value, "'", "''") + "'")
	case n.ShortTag() != "!!str" && n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0,
		n.Style == 0 && n.Line > 0 && oneLine, // as it stood there
		n.Style == 0 && safe(n.Value):
		p.WriteString(n.Value)
	default:
		p.quote(n.Value)
	}
}

// quote writes a string as JSON has it, which is YAML, too, if what YAML takes for no character, or for the end of a line,
// is escaped.
func (p *yamlPrinter) quote(text string) {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(text) // a string, into memory
	for _, r := range strings.TrimSuffix(b.String(), "\n") {
		if 0x7f <= r && r < 0xa0 || r == 0xfeff {
			fmt.Fprintf(p, `\u%04x`, r)
		} else {
			p.WriteRune(r)
		}
	}
}

// literalFits reports whether a text can be written as lines. What begins with a blank needs an indicator, for
// which there is too little use.
func literalFits(text string) bool {
	return strings.Trim(text, "\n") != "" && !strings.HasPrefix(text, " ") && !strings.HasPrefix(text, "\n") && !strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || r == 0x7f || 0x80 <= r && r < 0xa0 || r == 0xfeff || r == 0xfffd || r == 0x2028 || r == 0x2029
	}) && !strings.HasPrefix(text, "\t")
}

func (p *yamlPrinter) literal(text string, indent int) {
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if line != "" {
			p.pad(indent)
		}
		p.WriteString(line + "\n")
	}
}
