package source_test

import (
	"net/http"
	"strings"
	"testing"
	"unicode"

	"github.com/wisp-sidecar/wisp/refresher"
)

func FuzzAnswerOfGitHub(f *testing.F)   { fuzzAnswers(f, "github") }
func FuzzAnswerOfAzure(f *testing.F)    { fuzzAnswers(f, "azureimds") }
func FuzzAnswerOfMetadata(f *testing.F) { fuzzAnswers(f, "gcemetadata") }

// fuzzAnswers lets a service say anything. What comes of it is a token in good form, or an error that
// can be printed.
func fuzzAnswers(f *testing.F, name string) {
	const good = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2ln"
	for _, body := range []string{
		good, "", "{}", "null", "[]", page, `{"count":1,"value":"` + good + `"}`, `{"access_token":"` + good + `"}`,
		`{"value":null,"access_token":{}}`, `{"message":"TF400813: no.","typeKey":"x"}`, `{"message":1}`,
		`{"error":"invalid_request","error_description":"Identity not found"}`, `{"error":{"code":"x"}}`,
		`{"error":"Bad request.","newest-versions":["2023-11-15"]}`, `{"error":"` + good + `","error_description":"\u001b[2J\u202e"}`,
	} {
		for _, status := range []int{200, 301, 400, 401, 403, 404, 410, 429, 500} {
			f.Add(status, body)
		}
	}
	for _, s := range services {
		if s.name != name {
			continue
		}
		f.Fuzz(func(t *testing.T, status int, body string) {
			if status < 200 || status > 599 {
				return // net/http lets none of these through
			}
			w := answers(status, body, s.header...)
			token, err := s.make(t, w).Token(t.Context())
			if err == nil {
				if raw := token.Raw.Reveal(); status/100 != 2 || strings.Count(raw, ".") != 2 || strings.ContainsAny(raw, " \t\r\n\"\x00") || token.Expires.IsZero() {
					t.Errorf("status %d gave the token %q, which expires %v", status, raw, token.Expires)
				}
				return
			}
			e := refresher.AsError(err)
			if text := e.Error() + e.Hint; len(text) > 1500 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || strings.Contains(text, good) {
				t.Errorf("status %d: error %q", status, text)
			}
			if status == http.StatusTooManyRequests && e.Class != refresher.Throttled {
				t.Errorf("429: class %v, want throttled", e.Class)
			}
		})
	}
}
