package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// A logScreen shows wisp's own log on a screen: what slog.TextHandler would write, for eyes. It is safe
// for concurrent use.
type logScreen struct {
	screen *screen
	attrs  []slog.Attr
}

// Enabled leaves out what is for debugging.
func (logScreen) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// WithAttrs adds attributes to each record.
func (h logScreen) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = slices.Concat(h.attrs, attrs)
	return h
}

// WithGroup does nothing: wisp has no groups.
func (h logScreen) WithGroup(string) slog.Handler { return h }

// Handle shows a record.
func (h logScreen) Handle(_ context.Context, r slog.Record) error {
	identity, pairs := "", []string(nil)
	show := func(a slog.Attr) bool {
		switch value := a.Value.Resolve(); {
		case a.Key == "identity":
			identity = value.String()
		case a.Key == "path" || a.Key == "source": // long, and told by the identity
		case value.Kind() == slog.KindTime:
			pairs = append(pairs, a.Key+" "+value.Time().Local().Format(time.TimeOnly))
		default:
			pairs = append(pairs, a.Key+" "+value.String())
		}
		return true
	}
	for _, a := range h.attrs {
		show(a)
	}
	r.Attrs(show)
	text := r.Message
	if r.Level > slog.LevelInfo {
		text = r.Level.String() + " " + text
	}
	if len(pairs) > 0 {
		text += ": " + strings.Join(pairs, ", ")
	}
	h.screen.event("wisp", "%-14s %s", identity, text)
	return nil
}
