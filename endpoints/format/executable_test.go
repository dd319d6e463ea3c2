package format_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints/format"
	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/execsource"
)

func TestExecutableGolden(t *testing.T) {
	const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2ln"
	for name, credential := range map[string]refresher.Credential{
		"executable_jwt":      bearer(jwt, refresher.TypeJWT),
		"executable_id_token": bearer(jwt, refresher.TypeIDToken),
		"executable_saml2":    bearer("PHNhbWw6QXNzZXJ0aW9uLz4+", refresher.TypeSAML2),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := format.Formats["executable"].Encode(credential, atHand)
			if err != nil {
				t.Fatal(err)
			}
			goldenFile(t, name, got)
		})
	}
}

func TestExecutableFailureGolden(t *testing.T) {
	denied := &refresher.Error{Class: refresher.Denied, Code: "AccessDenied", Hint: "ask somebody", Err: errors.New(`not "you" & <not> now`)}
	for name, err := range map[string]error{
		"executable_failure":         denied,
		"executable_failure_no_code": errors.New("the configuration is wrong"),
		"executable_failure_silent":  errors.New(""),
	} {
		t.Run(name, func(t *testing.T) {
			got := format.ExecutableFailure(err)
			goldenFile(t, name, got)
			if response, err := execsource.Parse(got); err != nil || response.Failure == nil {
				t.Errorf("Parse of what is printed: %v, %v, want a failure", response.Failure, err)
			}
		})
	}
}

func TestExecutableRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		credential refresher.Credential
		left       time.Duration
		want       string // empty if it is not refused
		code       string
	}{
		"half a minute left":        {bearer("a.b.c", refresher.TypeJWT), 31 * time.Second, "", ""},
		"exactly half a minute":     {bearer("a.b.c", refresher.TypeJWT), 30*time.Second + 999_999_999, "", ""},
		"a moment less":             {bearer("a.b.c", refresher.TypeJWT), 30*time.Second + 999_999_998, "does not live for another 30s", refresher.CodeSubjectExpired},
		"expired":                   {bearer("a.b.c", refresher.TypeJWT), -time.Hour, "does not live for another 30s", refresher.CodeSubjectExpired},
		"an access token":           {exampleBearer, time.Hour, "access_token", ""},
		"a signed AWS request":      {bearer("x", refresher.TypeAWSRequest), time.Hour, "aws4_request", ""},
		"an access key":             {exampleKey, time.Hour, "the credential is an AWS access key", ""},
		"a token that is two lines": {bearer("a.b\n.c", refresher.TypeJWT), time.Hour, "visible ASCII", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := format.Formats["executable"].Encode(test.credential, with(func(o *format.Options) {
				o.Now = func() time.Time { return expires.Add(-test.left) }
			}))
			switch {
			case test.want == "" && err == nil:
			case test.want == "" || err == nil || !strings.Contains(err.Error(), test.want):
				t.Errorf("Encode = %s, %v, want an error with %q", got, err, test.want)
			case refresher.AsError(err).Code != test.code:
				t.Errorf("the code is %q, want %q", refresher.AsError(err).Code, test.code)
			}
		})
	}
	undated := bearer("a.b.c", refresher.TypeJWT)
	undated.Expires = time.Time{}
	if got, err := format.Formats["executable"].Encode(undated, atHand); err == nil {
		t.Errorf("of a token that does not say when it expires: %s, want an error", got)
	}
}

// FuzzExecutable: what is printed is one line, and what the libraries read is the token, until no later
// than it expires.
func FuzzExecutable(f *testing.F) {
	f.Add("a.b.c", refresher.TypeJWT, int64(3600e9))
	f.Add("PGE+PC9hPg==", refresher.TypeSAML2, int64(30e9))
	f.Add("a\nb", refresher.TypeIDToken, int64(0))
	f.Add("", "", int64(-1))
	f.Add("a\u2028", "urn:x", int64(1<<62))
	now := atHand.Now()
	f.Fuzz(func(t *testing.T, token, tokenType string, left int64) {
		credential := bearer(refresher.Secret(token), tokenType)
		credential.Expires = now.Add(time.Duration(left))
		got, err := format.Formats["executable"].Encode(credential, atHand)
		if err != nil {
			if token != "" && len(token) > 8 && strings.Contains(err.Error(), token) {
				t.Errorf("the error %q shows the token", err)
			}
			return
		}
		if bytes.Count(got, []byte("\n")) != 1 || !bytes.HasSuffix(got, []byte("}\n")) {
			t.Errorf("Encode = %q, want one line", got)
		}
		response, err := execsource.Parse(got)
		if err != nil || response.Token.Reveal() != token || response.TokenType != tokenType {
			t.Fatalf("Parse(%s) = %v", got, err)
		}
		if response.Expires.After(credential.Expires) || response.Expires.Sub(now) < 30*time.Second {
			t.Errorf("the token expires at %v, and libraries are told %v", credential.Expires, response.Expires)
		}
	})
}
