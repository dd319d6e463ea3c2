package agent

import (
	"encoding"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decode reads a YAML node into the value that into points to, as strictly as can be: unknown keys,
// repeated keys, wrong types, anchors and aliases are all problems, and reading goes on after each.
//
// Struct fields are named by their yaml tag. Where the struct is a [kindChooser], or has one in a field
// tagged ",kind", keys that name no field choose the kind.
func (p *problems) decode(n *yaml.Node, path string, into any) {
	p.value(n, path, reflect.ValueOf(into).Elem())
}

func (p *problems) value(n *yaml.Node, path string, into reflect.Value) {
	p.lines[path] = n.Line
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		p.reject(path, "anchors and aliases are not supported; write the value out")
		return
	}
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		into = into.Elem()
	}
	switch target := into.Addr().Interface().(type) {
	case *time.Duration:
		p.duration(n, path, target)
		return
	case *fs.FileMode:
		p.mode(n, path, target)
		return
	case encoding.TextUnmarshaler:
		if text, ok := p.scalar(n, path, "a string", "!!str"); ok {
			if err := target.UnmarshalText([]byte(text)); err != nil {
				p.reject(path, "%v", err)
			}
		}
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		p.object(n, path, into)
	case reflect.Slice:
		p.sequence(n, path, into)
	case reflect.Map:
		p.mapping(n, path, into)
	case reflect.String:
		if text, ok := p.scalar(n, path, "a string", "!!str"); ok {
			into.SetString(text)
		}
	case reflect.Bool:
		if text, ok := p.scalar(n, path, "true or false", "!!bool"); ok {
			into.SetBool(strings.EqualFold(text, "true"))
		}
	case reflect.Int:
		if text, ok := p.scalar(n, path, "a whole number", "!!int"); ok {
			number, err := strconv.ParseInt(text, 0, 32)
			if err != nil {
				p.reject(path, "must be a whole number")
			}
			into.SetInt(number)
		}
	default:
		panic(fmt.Sprintf("configuration field %s has a type that decode does not know: %s", path, into.Type()))
	}
}

// scalar returns the text of a plain value with the given tag.
func (p *problems) scalar(n *yaml.Node, path, want, tag string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != tag {
		p.reject(path, "must be %s, not %s", want, describe(n))
		return "", false
	}
	return n.Value, true
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "an object"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!str":
		return "a string"
	}
	return "a " + strings.TrimPrefix(n.ShortTag(), "!!")
}

func (p *problems) duration(n *yaml.Node, path string, into *time.Duration) {
	text, ok := p.scalar(n, path, `a duration such as "90s" or "1h"`, "!!str")
	if !ok {
		return
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		p.reject(path, `must be a duration such as "90s" or "1h", not %q`, text)
		return
	}
	*into = d
}

// mode reads file permissions as people write them: 0640, "0640" or 0o640.
func (p *problems) mode(n *yaml.Node, path string, into *fs.FileMode) {
	bits, err := strconv.ParseUint(strings.TrimPrefix(n.Value, "0o"), 8, 32)
	if n.Kind != yaml.ScalarNode || err != nil || bits > 0o777 {
		p.reject(path, "must be file permissions such as 0640")
		return
	}
	*into = fs.FileMode(bits)
}

// entries yields the keys and values of an object, each key once.
func (p *problems) entries(n *yaml.Node, path string) [][2]*yaml.Node {
	if n.Kind != yaml.MappingNode {
		p.reject(path, "must be an object, not %s", describe(n))
		return nil
	}
	seen := map[string]int{}
	var list [][2]*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			p.add(key.Line, path, "every key must be a plain string")
			continue
		}
		if first, repeated := seen[key.Value]; repeated {
			p.add(key.Line, join(path, key.Value), "is repeated; it was first set in line %d", first)
			continue
		}
		seen[key.Value] = key.Line
		list = append(list, [2]*yaml.Node{key, value})
	}
	return list
}

func (p *problems) object(n *yaml.Node, path string, into reflect.Value) {
	fields := map[string]reflect.Value{}
	kind, _ := into.Addr().Interface().(kindChooser)
	for i := range into.NumField() {
		switch tag := into.Type().Field(i).Tag.Get("yaml"); tag {
		case "":
		case ",kind":
			kind = into.Field(i).Addr().Interface().(kindChooser)
		default:
			fields[tag] = into.Field(i)
		}
	}
	var chosen []string
	for _, entry := range p.entries(n, path) {
		key, value := entry[0].Value, entry[1]
		if field, ok := fields[key]; ok {
			p.value(value, join(path, key), field)
			continue
		}
		if kind != nil {
			if options := kind.choose(key); options != nil {
				chosen = append(chosen, key)
				if value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null" {
					p.lines[join(path, key)] = value.Line // "subject:" alone: a kind without options
					continue
				}
				p.value(value, join(path, key), reflect.ValueOf(options).Elem())
				continue
			}
		}
		known := slices.Sorted(maps.Keys(fields))
		if kind != nil {
			known = append(known, kind.kinds()...)
		}
		p.add(entry[0].Line, join(path, key), "is not known here%s", didYouMean(key, known))
	}
	if kind != nil && len(chosen) == 0 && n.Kind == yaml.MappingNode {
		p.at(path, "says nothing of its kind: set one of %s", strings.Join(kind.kinds(), ", "))
	}
	if len(chosen) > 1 {
		p.at(path, "has more than one kind: %s", strings.Join(chosen, ", "))
	}
}

func (p *problems) sequence(n *yaml.Node, path string, into reflect.Value) {
	if n.Kind != yaml.SequenceNode {
		p.reject(path, "must be a list, not %s", describe(n))
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		p.value(item, fmt.Sprintf("%s[%d]", path, i), into.Index(i))
	}
}

func (p *problems) mapping(n *yaml.Node, path string, into reflect.Value) {
	into.Set(reflect.MakeMap(into.Type()))
	for _, entry := range p.entries(n, path) {
		value := reflect.New(into.Type().Elem()).Elem()
		p.value(entry[1], join(path, entry[0].Value), value)
		into.SetMapIndex(reflect.ValueOf(entry[0].Value), value)
	}
}

// join appends a key to a path. One that would not read well there is quoted: each problem is one
// line, whatever the document's keys are.
func join(path, key string) string {
	if quoted := strconv.Quote(key); key == "" || len(quoted) != len(key)+2 {
		key = quoted
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// didYouMean finds a known key that a mistyped one resembles, or lists them all.
func didYouMean(key string, known []string) string {
	for _, k := range known {
		if strings.EqualFold(strings.NewReplacer("_", "", "-", "").Replace(key), k) || distance(key, k) <= min(2, len(key)/2) {
			return fmt.Sprintf("; did you mean %s", k)
		}
	}
	return "; known are " + strings.Join(known, ", ")
}

// distance is the number of single-letter edits between a and b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			edit := diagonal
			if a[i] != b[j] {
				edit++
			}
			diagonal = row[j+1]
			row[j+1] = min(edit, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// A kindChooser is a field that is filled by whichever key of the object names a kind.
type kindChooser interface {
	choose(name string) any // the options to decode into, or nil
	kinds() []string
}

// A kindOf is a row of the registry: a kind's name and its options, a pointer to a struct that
// decode can fill and that knows how to make the thing.
type kindOf[T any] struct {
	name string
	new  func() T
}

// A oneOf holds the options of the kind that an object names.
type oneOf[T any] struct {
	Kind    string // the key; empty if there is none
	Options T      // nil if there is none
}

// chooseFrom is what the choose methods share. Of several kinds the first counts.
func (o *oneOf[T]) chooseFrom(table []kindOf[T], name string) any {
	for _, k := range table {
		if k.name != name {
			continue
		}
		options := k.new()
		if o.Kind == "" {
			o.Kind, o.Options = name, options
		}
		return options
	}
	return nil
}

func kindNames[T any](table []kindOf[T]) []string {
	var names []string
	for _, k := range table {
		names = append(names, k.name)
	}
	return names
}
