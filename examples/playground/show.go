package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// A screen is where the playground writes to: lines, and under them, on a terminal, one that changes. It
// is safe for concurrent use.
type screen struct {
	terminal bool

	mu     sync.Mutex // guards what follows, and writing
	out    io.Writer
	status bool // the last line is the one that changes
}

func newScreen(out io.Writer) *screen {
	s := &screen{out: out}
	if file, ok := out.(*os.File); ok {
		info, err := file.Stat()
		s.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return s
}

const eraseLine = "\r\x1b[K"

// printf writes a line.
func (s *screen) printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// event writes a line about something that has just happened.
func (s *screen) event(who, format string, args ...any) {
	s.printf("  %s  %-8s %s", time.Now().Format("15:04:05.0"), who, fmt.Sprintf(format, args...))
}

// now writes the line that changes. Only a terminal has one.
func (s *screen) now(line string) {
	if !s.terminal {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	fmt.Fprint(s.out, line)
	s.status = line != ""
}

func (s *screen) erase() {
	if s.status {
		fmt.Fprint(s.out, eraseLine)
	}
	s.status = false
}

// plain are the fields whose values are no secrets; all others are shortened.
var plain = []string{"Expiration", "AWS_CREDENTIAL_EXPIRATION", "expires_in", "expires_on", "expiresAt", "token_type", "resource"}

// answer shows what an outlet gave.
func (s *screen) answer(a answer) {
	s.printf("  %-14s %-12s %s", a.outlet.identity, a.outlet.kind, a.outlet.way)
	if a.err != nil {
		s.printf("          failed: %v", a.err)
		return
	}
	var shown []string
	for _, name := range a.outlet.shows {
		value := a.fields[name]
		if !slices.Contains(plain, name) {
			value = shorten(value)
		}
		shown = append(shown, name+" "+value)
	}
	s.printf("          %s", strings.Join(shown, "  "))
	s.printf("          the cloud sees %s", a.whom)
}

// quoteShell quotes any text for a POSIX shell: nothing is special between single quotes but their end.
func quoteShell(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// shorten makes a secret fit to be shown: enough to tell it from another, too little to use it.
func shorten(secret string) string {
	const end = 4
	if len(secret) < 4*end {
		return "…"
	}
	return secret[:end] + "…" + secret[len(secret)-end:]
}
