package agent

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Problem is one thing that is wrong with a configuration.
type Problem struct {
	Line    int    // in the document, from 1; 0 if the problem has no place
	Path    string // "identities[0].exchange.aws.roleArn"; empty for the document as a whole
	Message string // a sentence without a full stop
}

// String reads "line 12: identities[0].name: is missing".
func (p Problem) String() string {
	var s strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&s, "line %d: ", p.Line)
	}
	if p.Path != "" {
		s.WriteString(p.Path + ": ")
	}
	s.WriteString(p.Message)
	return s.String()
}

// A ConfigError is a configuration that cannot be used: all that is wrong with it, in the order of
// the document.
type ConfigError struct {
	Name     string // the file's name, or what stands for it
	Problems []Problem
}

// Error has one line per problem, each starting with the file's name.
func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = e.Name + ": " + p.String()
	}
	return strings.Join(lines, "\n")
}

// problems collects what is wrong, and knows where things stand in the document.
type problems struct {
	list   []Problem
	lines  map[string]int  // path → line
	unread map[string]bool // paths of values that could not be read
}

func (p *problems) add(line int, path, format string, args ...any) {
	p.list = append(p.list, Problem{Line: line, Path: path, Message: fmt.Sprintf(format, args...)})
}

// at adds a problem with the thing at path. If the document does not have it, the line is that of
// the nearest thing around it that it has.
//
// A value that could not be read is not missing, whatever its field looks like: there is no second
// problem with it.
func (p *problems) at(path, format string, args ...any) {
	if !p.unread[path] {
		p.add(p.line(path), path, format, args...)
	}
}

// reject adds the problem with a value that cannot be read.
func (p *problems) reject(path, format string, args ...any) {
	p.at(path, format, args...)
	p.unread[path] = true
}

func (p *problems) line(path string) int {
	for {
		if line, ok := p.lines[path]; ok {
			return line
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return p.lines[""]
		}
		path = path[:i]
	}
}

// err returns the problems as an error, or nil if there are none.
func (p *problems) err(name string) error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.Path, b.Path))
	})
	return &ConfigError{Name: name, Problems: slices.Compact(p.list)}
}
