package refresher_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/wisp-sidecar/wisp/refresher"
)

// hidden is in every value below; no part of it may show.
const hidden = "hunter2-0123456789"

type nested struct {
	Name    string
	Direct  refresher.Secret
	Pointer *refresher.Secret
	List    []refresher.Secret
	Map     map[string]refresher.Secret
	Any     any
}

type document struct {
	Element   refresher.Secret
	Attribute refresher.Secret `xml:",attr"`
}

// places are all the places in which a secret may sit.
func places() map[string]any {
	s := refresher.Secret(hidden)
	n := nested{"n", s, &s, []refresher.Secret{s}, map[string]refresher.Secret{"k": s}, s}
	return map[string]any{
		"bare":              s,
		"behind a pointer":  &s,
		"in a slice":        []refresher.Secret{s},
		"in an array":       [1]refresher.Secret{s},
		"in a map":          map[string]refresher.Secret{"k": s},
		"in a struct":       n,
		"in a struct, deep": []any{map[string]any{"k": n}},
		"in a token":        refresher.Token{Raw: s},
		"in an access key":  refresher.AccessKey{ID: "AKIA", Secret: s, SessionToken: s},
		"in a credential":   refresher.Credential{Value: refresher.Bearer{Token: s}},
	}
}

func TestSecretIsRedactedByEveryVerb(t *testing.T) {
	for place, value := range places() {
		for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s", "%x", "%X", "%d", "%t", "%08.3f", "% x", "%c"} {
			refuse(t, place+" with "+verb, fmt.Sprintf(verb, value))
		}
		refuse(t, place+" with Sprint", fmt.Sprint(value))
		refuse(t, place+" in an error", fmt.Errorf("outer: %w", fmt.Errorf("inner: %v", value)).Error())
		refuse(t, place+" in joined errors", errors.Join(fmt.Errorf("%+v", value), errors.New("x")).Error())
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%s", "%x", "%d"} {
		if got := fmt.Sprintf(verb, refresher.Secret(hidden)); got != refresher.Redacted {
			t.Errorf("Sprintf(%q) = %q, want %q", verb, got, refresher.Redacted)
		}
	}
}

func TestSecretIsRedactedByEncoders(t *testing.T) {
	encoders := map[string]func(any) ([]byte, error){
		"json": json.Marshal,
		"yaml": yaml.Marshal,
	}
	for name, encode := range encoders {
		for place, value := range places() {
			text, err := encode(value)
			if err != nil {
				t.Errorf("%s, %s: %v", name, place, err)
				continue
			}
			refuse(t, name+", "+place, string(text))
			if !bytes.Contains(text, []byte(refresher.Redacted)) {
				t.Errorf("%s, %s = %s, want it to say %s", name, place, text, refresher.Redacted)
			}
		}
	}
	text, err := xml.Marshal(document{Element: hidden, Attribute: hidden})
	if err != nil {
		t.Fatal(err)
	}
	refuse(t, "xml", string(text))
}

func TestSecretIsRedactedByLoggers(t *testing.T) {
	var out bytes.Buffer
	handlers := map[string]slog.Handler{
		"text": slog.NewTextHandler(&out, nil),
		"json": slog.NewJSONHandler(&out, nil),
	}
	for name, handler := range handlers {
		for place, value := range places() {
			out.Reset()
			log := slog.New(handler)
			log.Info("m", "value", value, slog.Group("group", "value", value))
			log.With("value", value).Info("m")
			refuse(t, name+", "+place, out.String())
			if !strings.Contains(out.String(), refresher.Redacted) {
				t.Errorf("slog %s, %s = %s, want it to say %s", name, place, out.String(), refresher.Redacted)
			}
		}
	}
}

func TestSecretIsRedactedWhenEmpty(t *testing.T) {
	if got := fmt.Sprint(refresher.Secret("")); got != refresher.Redacted {
		t.Errorf("Sprint of the empty secret = %q, want %q", got, refresher.Redacted)
	}
}

func TestSecretReveals(t *testing.T) {
	if got := refresher.Secret(hidden).Reveal(); got != hidden {
		t.Errorf("Reveal() = %q, want %q", got, hidden)
	}
}

// refuse fails the test if text holds the hidden text, as it is, quoted or in hexadecimal.
func refuse(t *testing.T, what, text string) {
	t.Helper()
	for _, form := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2"), fmt.Sprintf("% x", "hunter2")} {
		if strings.Contains(text, form) {
			t.Errorf("%s shows the secret: %s", what, text)
		}
	}
}
