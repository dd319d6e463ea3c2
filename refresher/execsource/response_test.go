package execsource_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/execsource"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const token = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2ln"

// written are the documents that are in testdata, byte by byte.
var written = map[string]execsource.Response{
	"jwt":           {Token: token, TokenType: refresher.TypeJWT, Expires: time.Unix(1620499962, 0)},
	"id_token":      {Token: token, TokenType: refresher.TypeIDToken, Expires: time.Unix(1620499962, 0)},
	"saml2":         {Token: "PGE+PC9hPg==", TokenType: refresher.TypeSAML2, Expires: time.Unix(1620499962, 0)},
	"no_expiration": {Token: token, TokenType: refresher.TypeJWT},
	"failure":       {Failure: &execsource.Failure{Code: "401", Message: "the caller is \"nobody\" & may not\n"}},
}

func TestMarshal(t *testing.T) {
	for name, response := range written {
		t.Run(name, func(t *testing.T) {
			got, err := response.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".golden", got)
			back, err := execsource.Parse(got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(reveal(response), reveal(back)); diff != "" {
				t.Errorf("Parse of what Marshal wrote (-in +out):\n%s", diff)
			}
		})
	}
}

func TestMarshalRoundsTheExpiryDown(t *testing.T) {
	text, err := execsource.Response{Token: token, TokenType: refresher.TypeJWT, Expires: time.Unix(1620499962, 999_999_999)}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if want := `"expiration_time":1620499962}`; !strings.HasSuffix(string(text), want) {
		t.Errorf("Marshal = %s, want one that ends in %s", text, want)
	}
}

func TestMarshalRefusesWhatLibrariesWould(t *testing.T) {
	for _, test := range []struct {
		name     string
		response execsource.Response
		want     string
	}{
		{"nothing", execsource.Response{}, "no token"},
		{"no token", execsource.Response{TokenType: refresher.TypeJWT}, "no token"},
		{"no type", execsource.Response{Token: token}, `type ""`},
		{"a type without a field", execsource.Response{Token: token, TokenType: refresher.TypeAccessToken}, "access_token"},
		{"an expiry before 1970", execsource.Response{Token: token, TokenType: refresher.TypeJWT, Expires: time.Unix(-1, 0)}, "before 1970"},
		{"an expiry after 9999", execsource.Response{Token: token, TokenType: refresher.TypeJWT, Expires: time.Unix(253402300800, 0)}, "after 9999"},
		{"a failure without a code", execsource.Response{Failure: &execsource.Failure{Message: "m"}}, "both"},
		{"a failure without a message", execsource.Response{Failure: &execsource.Failure{Code: "c"}}, "both"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.response.Marshal()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Marshal = %s, error %v, want one with %q", got, err, test.want)
			} else if strings.Contains(err.Error(), token) {
				t.Errorf("error %q shows the token", err)
			}
		})
	}
}

// reveal makes differences between tokens visible.
func reveal(r execsource.Response) any {
	return struct {
		Token, Type string
		Expires     time.Time
		Failure     *execsource.Failure
	}{r.Token.Reveal(), r.TokenType, r.Expires, r.Failure}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
