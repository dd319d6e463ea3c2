package upstream_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

const (
	header    = "eyJhbGciOiJSUzI1NiJ9"
	jwt       = header + ".eyJzdWIiOiJhIn0.c2ln"
	secretKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

func TestClean(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"plain text stays", "Not authorized to perform sts:AssumeRoleWithWebIdentity", "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		{"empty", "", ""},
		{"a JWT", "token " + jwt + " is expired", "token REDACTED is expired"},
		{"a JWT in quotes and behind letters", `assertion="x` + jwt + `"`, `assertion="xREDACTED"`},
		{"a JWT without signature", header + ".e30.", "REDACTED"},
		{"a JWT whose header is spaced", base64.RawURLEncoding.EncodeToString([]byte(`{ "alg": "none" }`)) + ".e30.", "REDACTED"},
		{"two JWTs", jwt + "," + jwt, "REDACTED,REDACTED"},
		{"an access key id", "key ASIAIOSFODNN7EXAMPLE, AKIAIOSFODNN7EXAMPLE", "key REDACTED, REDACTED"},
		{"a secret key", "secret " + secretKey + ".", "secret REDACTED."},
		{"a secret key in a form", "s=" + strings.ReplaceAll(secretKey, "/", "%2F"), "REDACTED"},
		{"a Google access token", "got ya29.a0Af_x-Y.z!", "got REDACTED!"},
		{"an authorization header", "Authorization: Bearer abc.def-123", "Authorization: REDACTED"},
		{"a long opaque run", strings.Repeat("a", 40), "REDACTED"},
		{"39 characters may be words", strings.Repeat("a", 39), strings.Repeat("a", 39)},
		{"a UUID stays", "Trace ID: 0f5a8f0e-90a4-4d62-8c5b-000000000000", "Trace ID: 0f5a8f0e-90a4-4d62-8c5b-000000000000"},
		{"lines become one", "first\r\nsecond\n\n\tthird ", "first second third"},
		{"terminal escapes", "\x1b[31mred\x1b[0m\a\x00", "[31mred[0m"},
		{"line separators and writing direction", "a\u2028b\u202ec\u200bd\ufeff", "a bcd"},
		{"a JWT with invisible characters in it", header[:9] + "\u200b" + header[9:] + ".\x00e30.", "REDACTED"},
		{"bytes that are not UTF-8", "a\xff\xc3b", "ab"},
		{"256 bytes stay", strings.Repeat("word ", 51) + "x", strings.Repeat("word ", 51) + "x"},
		{"257 bytes are cut", strings.Repeat("word ", 51) + "xy", strings.Repeat("word ", 50) + "wor…"},
		{"between characters", strings.Repeat("ä ", 100), strings.Repeat("ä ", 84) + "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := upstream.Clean(tt.text); got != tt.want {
				t.Errorf("Clean(%q)\n got %q\nwant %q", tt.text, got, tt.want)
			}
		})
	}
}

func FuzzClean(f *testing.F) {
	f.Add("before ", []byte(`{"sub":"system:serviceaccount:a:b"}`), " after")
	f.Add("\x1b[31m", []byte("{}"), "\n")
	f.Add("e", []byte(""), ".")
	f.Add("Bearer ", []byte("\xff\xfe"), strings.Repeat("ä", 200))
	f.Fuzz(func(t *testing.T, before string, claims []byte, after string) {
		token := header + "." + base64.RawURLEncoding.EncodeToString(claims) + ".c2lnbmF0dXJl"
		got := upstream.Clean(before + token + after)
		if strings.Contains(got, header) || strings.Contains(got, token) {
			t.Errorf("Clean gave away the token: %q", got)
		}
		if len(got) > 256 || !utf8.ValidString(got) {
			t.Errorf("Clean = %d bytes %q, want at most 256 of UTF-8", len(got), got)
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("Clean = %q, with an unprintable character at %d", got, i)
		}
	})
}

// What the service echoes of a secret that has no shape of its own.
func TestCleanKnowsSecrets(t *testing.T) {
	for name, text := range map[string]string{
		"as it is":                    "not for hunter2!",
		"with bytes that are dropped": "not for hun\xff\xfeter2!",
		"with a control character":    "not for hun\x1bter2!",
		"with an invisible one":       "not for hunter\u200b2!",
	} {
		if got, want := upstream.Clean(text, "", "hunter2"), "not for REDACTED!"; got != want {
			t.Errorf("%s: Clean(%q) = %q, want %q", name, text, got, want)
		}
	}
}
