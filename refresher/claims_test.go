package refresher_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/refresher"
)

const rs256 = `{"alg":"RS256","kid":"k1"}`

// jwt assembles a compact token from header and claims; its signature proves nothing.
func jwt(header, claims string) string {
	return segment(header) + "." + segment(claims) + "." + segment("signature")
}

func segment(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func TestParseClaims(t *testing.T) {
	tests := []struct {
		name   string
		header string
		claims string
		want   refresher.Claims
	}{
		{
			name:   "a bound service-account token",
			header: rs256,
			claims: `{"iss":"https://issuer.test","sub":"system:serviceaccount:ns:sa","aud":["a","b"],"iat":1000,"exp":4600,
				"kubernetes.io":{"namespace":"ns","serviceaccount":{"name":"sa","uid":"u"},"pod":{"name":"pod","uid":"u"},"warnafter":4000}}`,
			want: refresher.Claims{
				Algorithm: "RS256", KeyID: "k1",
				Issuer: "https://issuer.test", Subject: "system:serviceaccount:ns:sa", Audience: []string{"a", "b"},
				Issued: time.Unix(1000, 0), Expires: time.Unix(4600, 0),
				Kubernetes: refresher.Kubernetes{Namespace: "ns", ServiceAccount: "sa", Pod: "pod"},
			},
		},
		{
			name:   "one audience, no array; a time with a fraction; nothing else",
			header: `{"alg":"ES256"}`,
			claims: `{"aud":"a","exp":1.5}`,
			want:   refresher.Claims{Algorithm: "ES256", Audience: []string{"a"}, Expires: time.Unix(1, 5e8)},
		},
		{
			name:   "the last instant of the year 9999, exponents allowed",
			header: rs256,
			claims: `{"exp":2.53402300799e11}`,
			want:   refresher.Claims{Algorithm: "RS256", KeyID: "k1", Expires: time.Unix(253402300799, 0)},
		},
		{
			name:   "a private claim of another shape is nobody's fault",
			header: rs256,
			claims: `{"exp":1,"kubernetes.io":[1]}`,
			want:   refresher.Claims{Algorithm: "RS256", KeyID: "k1", Expires: time.Unix(1, 0)},
		},
		{
			name:   "names are case-sensitive; the last of two counts",
			header: `{"alg":"RS256","ALG":"none"}`,
			claims: `{"exp":1,"exp":2,"EXP":"3","Aud":7}`,
			want:   refresher.Claims{Algorithm: "RS256", Expires: time.Unix(2, 0)},
		},
		{
			name:   "null is as good as missing",
			header: rs256,
			claims: `{"exp":1,"iat":null,"aud":null,"iss":null}`,
			want:   refresher.Claims{Algorithm: "RS256", KeyID: "k1", Expires: time.Unix(1, 0)},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := refresher.ParseClaims(refresher.Secret(jwt(test.header, test.claims)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("ParseClaims: (-want +got)\n%s", diff)
			}
		})
	}
}

func TestParseClaimsRefuses(t *testing.T) {
	good := jwt(rs256, `{"exp":1}`)
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	tests := []struct{ name, token, want string }{
		{"nothing", "", "3 dot-separated parts, this has 1"},
		{"2 parts", "a.b", "this has 2"},
		{"4 parts", good + ".x", "this has 4"},
		{"5 parts: an encrypted token", "a.b.c.d.e", "this has 5"},
		{"a header that is not base64", "?." + segment(`{"exp":1}`) + ".c2ln", "JWT header: not base64url"},
		{"base64 with padding", "eyJhbGciOiJSUzI1NiJ9Cg==." + segment(`{"exp":1}`) + ".c2ln", "JWT header: not base64url"},
		{"the other base64 alphabet", segment(rs256) + "." + segment(`{"exp":1}`) + ".ab+/", "signature is not base64url"},
		{"stray bits after the last byte", segment(rs256) + "." + segment(`{"exp":1}`) + ".c2l", "signature is not base64url"},
		{"no signature", segment(rs256) + "." + segment(`{"exp":1}`) + ".", "signature is empty"},
		{"something on the next line", good + "\nc2ln", "white space"},
		{"a time stamp behind the token", good + " 11:11:49 EOF", "white space"},
		{"a header that is an array", jwt(`[]`, `{"exp":1}`), "JWT header: not a JSON object"},
		{"a header that is null", jwt(`null`, `{"exp":1}`), "JWT header: not a JSON object"},
		{"claims that are an array", jwt(rs256, `[{"exp":1}]`), "JWT claims: not a JSON object"},
		{"claims that are cut off", jwt(rs256, `{"exp":1`), "JWT claims: not valid JSON"},
		{"two objects", jwt(rs256, `{"exp":1}{"exp":2}`), "JWT claims: not valid JSON"},
		{"alg none", jwt(`{"alg":"none"}`, `{"exp":1}`), "alg is missing or none"},
		{"alg nOnE", jwt(`{"alg":"nOnE"}`, `{"exp":1}`), "alg is missing or none"},
		{"no alg", jwt(`{}`, `{"exp":1}`), "alg is missing or none"},
		{"alg is a number", jwt(`{"alg":1}`, `{"exp":1}`), "JWT header: alg has the wrong JSON type"},
		{"no exp", jwt(rs256, `{}`), "exp is missing"},
		{"exp in the wrong case", jwt(rs256, `{"EXP":1}`), "exp is missing"},
		{"exp is null", jwt(rs256, `{"exp":null}`), "exp is missing"},
		{"exp is a string", jwt(rs256, `{"exp":"1"}`), "exp has the wrong JSON type"},
		{"exp is negative", jwt(rs256, `{"exp":-1}`), "exp: not a time between 1970 and 9999"},
		{"exp is 1e300", jwt(rs256, `{"exp":1e300}`), "exp: not a time between 1970 and 9999"},
		{"exp is 1e999", jwt(rs256, `{"exp":1e999}`), "exp has the wrong JSON type"},
		{"iat is 1e300", jwt(rs256, `{"exp":1,"iat":1e300}`), "iat: not a time"},
		{"aud is an object", jwt(rs256, `{"exp":1,"aud":{}}`), "JWT claims: aud has the wrong JSON type"},
		{"aud holds a number", jwt(rs256, `{"exp":1,"aud":["a",1]}`), "JWT claims: aud has the wrong JSON type"},
		{"10,000 arrays as a claim", jwt(rs256, `{"exp":1,"aud":`+deep+`}`), "JWT claims: "},
		{"10,000 objects", jwt(rs256, strings.Repeat(`{"a":`, 10_001)+"1"+strings.Repeat("}", 10_001)), "not valid JSON"},
		{"10,000 arrays never closed", jwt(rs256, `{"kubernetes.io":`+strings.Repeat("[", 40_000)), "not valid JSON"},
		{"a byte order mark", "\ufeff" + good, "JWT header: not base64url"},
		{"64 KiB of dots", strings.Repeat(".", 64<<10), "this has 65537"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := refresher.ParseClaims(refresher.Secret(test.token))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("ParseClaims: error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestParseClaimsTakesDeepClaimsItDoesNotRead(t *testing.T) {
	deep := strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)
	for _, name := range []string{"other", "kubernetes.io"} {
		token := jwt(rs256, fmt.Sprintf(`{%q:%s,"exp":1}`, name, deep))
		if _, err := refresher.ParseClaims(refresher.Secret(token)); err != nil {
			t.Errorf("9,000 arrays in %s: %v", name, err)
		}
	}
}

func FuzzParseClaims(f *testing.F) {
	for _, claims := range []string{
		`{"iss":"i","sub":"s","aud":["a","b"],"iat":1000,"exp":4600,"kubernetes.io":{"namespace":"n"}}`,
		`{"aud":"a","exp":1.5}`, `{"exp":"1"}`, `{"exp":-1}`, `{"exp":1e300}`, `{}`, `[]`, `null`, `{"exp":1`,
	} {
		f.Add(rs256, claims, segment("signature"))
	}
	f.Add(`{"alg":"none"}`, `{"exp":1}`, "")
	f.Add("a.b", "c==", "d\nEOF")
	f.Fuzz(func(t *testing.T, header, claims, signature string) {
		testParse(t, header+"."+claims+"."+signature)
		testParse(t, segment(header)+"."+segment(claims)+"."+signature)
	})
}

// testParse checks what holds for any token: what is accepted has three parts and an end, and what
// is refused is not quoted.
func testParse(t *testing.T, raw string) {
	c, err := refresher.ParseClaims(refresher.Secret(raw))
	if err != nil {
		for i := 0; i+8 <= len(raw); i++ {
			if strings.Contains(err.Error(), raw[i:i+8]) {
				t.Fatalf("error %q shows %q of the token", err, raw[i:i+8])
			}
		}
		return
	}
	if c.Expires.IsZero() || c.Algorithm == "" {
		t.Errorf("accepted with Expires %v, Algorithm %q", c.Expires, c.Algorithm)
	}
	if n := strings.Count(raw, "."); n != 2 {
		t.Errorf("accepted with %d dots", n)
	}
	if i := strings.IndexFunc(raw, outsideOfCompactForm); i >= 0 {
		t.Errorf("accepted with %q in it", raw[i])
	}
}

func outsideOfCompactForm(r rune) bool {
	return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.", r)
}
