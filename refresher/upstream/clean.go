package upstream

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/wisp-sidecar/wisp/refresher"
)

// maxText is the length in bytes of the longest text that Clean returns.
const maxText = 256

// secrets are the shapes of what a service may echo in an error. The order matters: a JWT is taken
// as a whole before encoded takes only its long parts.
var secrets = []*regexp.Regexp{
	// A JWT or JWE: base64url of `{"` or of `{` and white space, then dot-separated parts.
	regexp.MustCompile(`e[yw][A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)+`),
	regexp.MustCompile(`(AKIA|ASIA)[A-Z0-9]{8,}`),
	regexp.MustCompile(`ya29\.[A-Za-z0-9._-]+`),
	regexp.MustCompile(`(?i)bearer[ :]+[^\s"',]{8,}`),
}

// encoded are AWS secret keys, session tokens, assertions: base64, base64url, or either escaped for JSON
// or a form.
var encoded = regexp.MustCompile(`[A-Za-z0-9+/_=%\\-]{40,}`)

// unlessPath replaces what encoded has found. Paths, and ARNs, are spared: base64 of this length without a
// capital letter does not happen, and neither hexadecimal digits nor base64url have slashes.
func unlessPath(found string) string {
	if strings.Contains(found, "/") && found == strings.ToLower(found) {
		return found
	}
	return refresher.Redacted
}

// Clean makes text that came from a service fit for a log line: one line of printable characters,
// 256 bytes at most, with everything that looks like a token or key replaced, and so the known secrets,
// which may be of any shape. It errs on the side of replacing too much.
func Clean(text string, known ...refresher.Secret) string {
	text = strings.Map(printable, strings.ToValidUTF8(text, ""))
	text = strings.Join(strings.Fields(text), " ")
	for _, secret := range known { // not before: what was dropped may have split them
		if secret != "" {
			text = strings.ReplaceAll(text, secret.Reveal(), refresher.Redacted)
		}
	}
	for _, secret := range secrets {
		text = secret.ReplaceAllLiteralString(text, refresher.Redacted)
	}
	text = encoded.ReplaceAllStringFunc(text, unlessPath)
	return shorten(text)
}

// printable drops what a terminal or a log viewer would act on: control characters, but also
// invisible ones such as those that turn the direction of writing.
func printable(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case unicode.IsPrint(r):
		return r
	}
	return -1
}

// shorten cuts text to maxText bytes, between characters.
func shorten(text string) string {
	const more = "…"
	if len(text) <= maxText {
		return text
	}
	end := maxText - len(more)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + more
}
