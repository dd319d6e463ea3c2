package execsource_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/execsource"
)

const (
	typeJWT   = `"token_type":"urn:ietf:params:oauth:token-type:jwt"`
	typeSAML2 = `"token_type":"urn:ietf:params:oauth:token-type:saml2"`
)

func TestParse(t *testing.T) {
	jwt := execsource.Response{Token: "t", TokenType: refresher.TypeJWT}
	for _, test := range []struct {
		name string
		text string
		want execsource.Response
	}{
		{
			"everything, in the order of the specification",
			`{"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:id_token","id_token":"t","expiration_time":1620499962}`,
			execsource.Response{Token: "t", TokenType: refresher.TypeIDToken, Expires: time.Unix(1620499962, 0)},
		},
		{
			"SAML",
			`{"version":1,"success":true,` + typeSAML2 + `,"saml_response":"s","expiration_time":1}`,
			execsource.Response{Token: "s", TokenType: refresher.TypeSAML2, Expires: time.Unix(1, 0)},
		},
		{"no expiry", `{"version":1,"success":true,` + typeJWT + `,"id_token":"t"}`, jwt},
		{"null for no expiry", `{"version":1,"success":true,` + typeJWT + `,"id_token":"t","expiration_time":null}`, jwt},
		{"white space around it", "\r\n {\"version\":1,\"success\":true," + typeJWT + ",\"id_token\":\"t\"}\n\n", jwt},
		{"members that the protocol does not know", `{"version":1,"success":true,` + typeJWT + `,"id_token":"t","Version":2,"x":[]}`, jwt},
		{"the last of two of a name", `{"version":2,"version":1,"success":true,` + typeJWT + `,"id_token":"s","id_token":"t"}`, jwt},
		{"the token in both places", `{"version":1,"success":true,` + typeJWT + `,"saml_response":"s","id_token":"t"}`, jwt},
		{
			"a failure",
			`{"version":1,"success":false,"code":"401","message":"no","token_type":7}`,
			execsource.Response{Failure: &execsource.Failure{Code: "401", Message: "no"}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := execsource.Parse([]byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(reveal(test.want), reveal(got)); diff != "" {
				t.Errorf("Parse(%s) (-want +got):\n%s", test.text, diff)
			}
		})
	}
}

// refused are documents that Parse refuses. The golden file has what it says of each.
var refused = []struct{ name, text string }{
	{"nothing", ""},
	{"white space", " \n"},
	{"a token alone", token},
	{"an array", `[]`},
	{"null", `null`},
	{"cut off", `{"version":1,"success":true,` + typeJWT + `,"id_token":"eyJhbGciO`},
	{"two documents", `{"version":1,"success":true,` + typeJWT + `,"id_token":"t"}{"version":1}`},
	{"a line of log before it", "INFO hello\n" + `{"version":1,"success":true,` + typeJWT + `,"id_token":"t"}`},
	{"a byte order mark", "\xef\xbb\xbf" + `{"version":1,"success":true,` + typeJWT + `,"id_token":"t"}`},
	{"no version", `{"success":true,` + typeJWT + `,"id_token":"t"}`},
	{"a null version", `{"version":null,"success":true,` + typeJWT + `,"id_token":"t"}`},
	{"the version a string", `{"version":"1","success":true,` + typeJWT + `,"id_token":"t"}`},
	{"version 2", `{"version":2,"success":true,` + typeJWT + `,"id_token":"t"}`},
	{"version 0", `{"version":0,"success":true,` + typeJWT + `,"id_token":"t"}`},
	{"version 1.5", `{"version":1.5,"success":true,` + typeJWT + `,"id_token":"t"}`},
	{"no success", `{"version":1,` + typeJWT + `,"id_token":"t"}`},
	{"success a string", `{"version":1,"success":"true",` + typeJWT + `,"id_token":"t"}`},
	{"no token_type", `{"version":1,"success":true,"id_token":"t"}`},
	{"an empty token_type", `{"version":1,"success":true,"token_type":"","id_token":"t"}`},
	{"token_type a number", `{"version":1,"success":true,"token_type":1,"id_token":"t"}`},
	{"an unknown token_type", `{"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:access_token","id_token":"t"}`},
	{"the short name of a type", `{"version":1,"success":true,"token_type":"jwt","id_token":"t"}`},
	{"no id_token", `{"version":1,"success":true,` + typeJWT + `}`},
	{"an empty id_token", `{"version":1,"success":true,` + typeJWT + `,"id_token":""}`},
	{"id_token an object", `{"version":1,"success":true,` + typeJWT + `,"id_token":{"t":"secret-text"}}`},
	{"a JWT in saml_response", `{"version":1,"success":true,` + typeJWT + `,"saml_response":"t"}`},
	{"an assertion in id_token", `{"version":1,"success":true,` + typeSAML2 + `,"id_token":"s"}`},
	{"the expiry a string", `{"version":1,"success":true,` + typeJWT + `,"id_token":"t","expiration_time":"1620499962"}`},
	{"the expiry with a fraction", `{"version":1,"success":true,` + typeJWT + `,"id_token":"t","expiration_time":1620499962.5}`},
	{"the expiry zero", `{"version":1,"success":true,` + typeJWT + `,"id_token":"t","expiration_time":0}`},
	{"the expiry in milliseconds", `{"version":1,"success":true,` + typeJWT + `,"id_token":"t","expiration_time":1620499962000}`},
	{"the expiry beyond 64 bits", `{"version":1,"success":true,` + typeJWT + `,"id_token":"t","expiration_time":9223372036854775808}`},
	{"a failure without a code", `{"version":1,"success":false,"message":"m"}`},
	{"a failure without a message", `{"version":1,"success":false,"code":"c","message":""}`},
	{"a failure with a numeric code", `{"version":1,"success":false,"code":401,"message":"m"}`},
}

func TestParseRefuses(t *testing.T) {
	var report bytes.Buffer
	for _, test := range refused {
		got, err := execsource.Parse([]byte(test.text))
		if err == nil {
			t.Errorf("%s: Parse(%s) = %v, want an error", test.name, test.text, reveal(got))
			continue
		}
		if got != (execsource.Response{}) {
			t.Errorf("%s: Parse returns %v along with an error", test.name, reveal(got))
		}
		fmt.Fprintf(&report, "%s: %v\n", test.name, err)
	}
	golden(t, "refused.golden", report.Bytes())
}

func FuzzParse(f *testing.F) {
	for _, response := range written {
		text, err := response.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, test := range refused {
		f.Add([]byte(test.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		first, err := execsource.Parse(text)
		if err != nil {
			refuseQuotes(t, err, string(text))
			return
		}
		again, err := first.Marshal()
		if err != nil {
			t.Fatalf("Marshal of what Parse(%q) gave: %v", text, err)
		}
		second, err := execsource.Parse(again)
		if err != nil {
			t.Fatalf("Parse(%q), which Marshal wrote: %v", again, err)
		}
		if diff := cmp.Diff(reveal(first), reveal(second)); diff != "" {
			t.Errorf("once around changes the response (-before +after):\n%s", diff)
		}
	})
}

// own are the words of the protocol: an error may have those without quoting.
var own = strings.NewReplacer("urn:ietf:params:oauth:token-type:", "", "expiration_time", "", "token_type", "", "saml_response", "", "id_token", "", "success", "", "version", "", "message", "")

func refuseQuotes(t *testing.T, err error, text string) {
	t.Helper()
	message, text := own.Replace(err.Error()), own.Replace(text)
	for i := 0; i+8 <= len(text); i++ {
		if strings.Contains(message, text[i:i+8]) {
			t.Fatalf("error %q shows %q of the document", err, text[i:i+8])
		}
	}
}
