package refresher

import (
	"fmt"
	"log/slog"
)

// Redacted is what a [Secret] shows to everything that prints.
const Redacted = "REDACTED"

// A Secret is text that must not be printed: a token, a key, an assertion. Formatting verbs,
// encoding/json, encoding/xml, YAML and slog all see [Redacted], also for a Secret nested in a
// struct, slice, map value or behind a pointer. The one way to the text is [Secret.Reveal], so that
// a reviewer can search for it.
//
// What no method can prevent: package fmt passes methods by for what is in an unexported field, and
// wherever it reports a verb as wrong for its operand (%p and %w of a Secret; %s of a pointer to a
// struct inside something else). A struct keeps such a field behind a pointer or is never
// printed, and go vet knows the wrong verbs. Encoders take map keys of a string kind as they are: a
// Secret is never a key.
//
// The zero value is the empty secret. It, too, prints as [Redacted]: whether a secret is set is
// nobody's business either.
type Secret string

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// String implements [fmt.Stringer].
func (s Secret) String() string { return Redacted }

// GoString implements [fmt.GoStringer], for %#v.
func (s Secret) GoString() string { return Redacted }

// Format implements [fmt.Formatter]: no verb, %x and %d included, gets at the text.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redacted)) }

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText implements [encoding.TextMarshaler], which encoding/json and the YAML encoders use.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
