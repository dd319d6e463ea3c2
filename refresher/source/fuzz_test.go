package source

import (
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher"
)

func FuzzContentOfAFile(f *testing.F) {
	const good = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2ln"
	for _, text := range []string{
		good, " \n" + good + "\r\n", good + "\n" + good, `{"t":"` + good + `"}`, `{"t":{}}`, `{"t":null}`,
		"PGE+PC9hPg==", "PGE-PC9hPg", "", "\xef\xbb\xbf" + good, "\xff\xfee\x00",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, kind := range []string{refresher.TypeJWT, refresher.TypeSAML2} {
			for _, field := range []string{"", "t"} {
				file := &File{tokenType: kind, format: Format{JSONField: field}}
				var r reading
				err := file.parse(text, &r)
				if err != nil {
					refuseQuotes(t, err, string(text))
					continue
				}
				raw := r.token.Raw.Reveal()
				if raw == "" || strings.ContainsAny(raw, " \t\r\n\v\f\x00") {
					t.Errorf("accepted %q", raw)
				}
				if kind == refresher.TypeJWT && r.token.Expires.IsZero() {
					t.Error("accepted a JWT without an end")
				}
			}
		}
	})
}

func refuseQuotes(t *testing.T, err error, text string) {
	t.Helper()
	for i := 0; i+8 <= len(text); i++ {
		if strings.Contains(err.Error(), text[i:i+8]) {
			t.Fatalf("error %q shows %q of the file", err, text[i:i+8])
		}
	}
}
