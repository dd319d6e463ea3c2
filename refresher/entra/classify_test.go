package entra_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// refusal is an error body as Entra writes it.
func refusal(oauth string, number int, text string) string {
	return fmt.Sprintf(`{"error":%q,"error_description":"AADSTS%d: %s Trace ID: 0a1b2c3d-0000-0000-0000-000000000000 Correlation ID: 4e5f6a7b-0000-0000-0000-000000000000 Timestamp: 2026-01-02 03:04:05Z","error_codes":[%d],"timestamp":"2026-01-02 03:04:05Z","trace_id":"0a1b2c3d-0000-0000-0000-000000000000","correlation_id":"4e5f6a7b-0000-0000-0000-000000000000","error_uri":"https://login.microsoftonline.com/error?code=%d"}`,
		oauth, number, text, number, number)
}

func TestClassesOfNumbers(t *testing.T) {
	for _, test := range []struct {
		class   refresher.Class
		numbers []int
	}{
		{refresher.Transient, []int{90033, 50033, 50087, 90061}},
		{refresher.Throttled, []int{50196, 90055}},
		{refresher.SubjectToken, []int{700024, 700027, 50166, 50013, 500133, 50012, 50027}},
		{refresher.Settling, []int{70021, 700211, 700212, 7002121, 700213, 700016, 90002}},
		{refresher.Denied, []int{
			7002138, 700222, 700226, 700227, 500011, 50001, 70011, 1002012, 28002,
			7000215, 7000222, 7000112, 53003,
		}},
		// Unknown: by their status.
		{refresher.Settling, []int{700219, 9999999}},
	} {
		for _, number := range test.numbers {
			for _, status := range []int{400, 401} {
				t.Run(fmt.Sprintf("AADSTS%d, %d", number, status), func(t *testing.T) {
					check(t, &microsoft{status: status, body: refusal("invalid_request", number, "Text.")},
						test.class, fmt.Sprintf("AADSTS%d", number))
				})
			}
			t.Run(fmt.Sprintf("AADSTS%d, 503: the status prevails", number), func(t *testing.T) {
				check(t, &microsoft{status: 503, body: refusal("invalid_request", number, "Text.")},
					refresher.Transient, fmt.Sprintf("AADSTS%d", number))
			})
		}
	}
}

func TestClassesWithoutNumbers(t *testing.T) {
	tests := []struct {
		name  string
		m     microsoft
		class refresher.Class
		code  string
	}{
		{"connection refused", microsoft{err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, refresher.Transient, ""},
		{"certificate cannot be verified", microsoft{err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}}, refresher.Denied, ""},
		{"408", microsoft{status: 408}, refresher.Transient, ""},
		{"500", microsoft{status: 500}, refresher.Transient, ""},
		{"504 of a proxy", microsoft{status: 504, body: "<html>"}, refresher.Transient, ""},
		{"redirect", microsoft{status: 302, header: map[string]string{"Location": "https://evil.example"}}, refresher.Denied, upstream.CodeRedirect},
		{"429", microsoft{status: 429, header: map[string]string{"Retry-After": "60"}}, refresher.Throttled, ""},
		{"temporarily_unavailable", microsoft{status: 400, body: `{"error":"temporarily_unavailable","error_description":"Later."}`}, refresher.Transient, "temporarily_unavailable"},
		{"invalid_client", microsoft{status: 401, body: `{"error":"invalid_client"}`}, refresher.Settling, "invalid_client"},
		{"invalid_client with several numbers: the first", microsoft{status: 401, body: `{"error":"invalid_client","error_codes":[500011,50013]}`}, refresher.Denied, "AADSTS500011"},
		{"invalid_request with codes of a wrong type", microsoft{status: 400, body: `{"error":"invalid_request","error_codes":["x"]}`}, refresher.Settling, "invalid_request"},
		{"403 of Entra", microsoft{status: 403, body: `{"error":"access_denied"}`}, refresher.Settling, "access_denied"},
		{"HTML", microsoft{status: 403, body: "<html>"}, refresher.Transient, refresher.CodeForeignResponse},
		{"empty 404", microsoft{status: 404}, refresher.Transient, refresher.CodeForeignResponse},
		{"error of another shape", microsoft{status: 400, body: `{"error":{"code":"x"}}`}, refresher.Transient, refresher.CodeForeignResponse},
		{"200 with HTML", microsoft{status: 200, body: "<html>"}, refresher.Transient, refresher.CodeBadCredential},
		{"200 null", microsoft{status: 200, body: "null"}, refresher.Transient, refresher.CodeBadCredential},
		{"200 with half of JSON", microsoft{status: 200, body: tokenAnswer[:60]}, refresher.Transient, refresher.CodeBadCredential},
		{"200 with trailing data", microsoft{status: 200, body: tokenAnswer + "x"}, refresher.Transient, refresher.CodeBadCredential},
		{"200 of 300 KiB", microsoft{status: 200, body: tokenAnswer + strings.Repeat(" ", 300<<10)}, refresher.Transient, ""},
		{"no access_token", microsoft{status: 200, body: `{"expires_in":3600}`}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in missing", microsoft{status: 200, body: `{"access_token":"t"}`}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in null", microsoft{status: 200, body: `{"access_token":"t","expires_in":null}`}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in 0", microsoft{status: 200, body: `{"access_token":"t","expires_in":0}`}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in 0.9", microsoft{status: 200, body: `{"access_token":"t","expires_in":0.9}`}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in -1", microsoft{status: 200, body: `{"access_token":"t","expires_in":"-1"}`}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in a word", microsoft{status: 200, body: `{"access_token":"t","expires_in":"soon"}`}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in an object", microsoft{status: 200, body: `{"access_token":"t","expires_in":{}}`}, refresher.Transient, refresher.CodeBadCredential},
	}
	for i := range tests {
		test := &tests[i]
		t.Run(test.name, func(t *testing.T) { check(t, &test.m, test.class, test.code) })
	}
}

func check(t *testing.T, m *microsoft, class refresher.Class, code string) {
	t.Helper()
	_, err := exchanger(t, m).Exchange(t.Context(), subject, refresher.Target{})
	e, ok := errors.AsType[*refresher.Error](err)
	if !ok {
		t.Fatalf("error = %v, want a *refresher.Error", err)
	}
	if e.Class != class || e.Code != code {
		t.Errorf("error %q is %v %q, want %v %q", e, e.Class, e.Code, class, code)
	}
}

func TestErrorTextIsShort(t *testing.T) {
	m := &microsoft{status: 401, body: refusal("invalid_client", 700213, "No matching federated identity record found.")}
	_, err := exchanger(t, m).Exchange(t.Context(), subject, refresher.Target{})
	const want = "AADSTS700213: HTTP status 401: No matching federated identity record found."
	if err == nil || err.Error() != want {
		t.Errorf("error = %q, want %q", err, want)
	}
}

func TestHints(t *testing.T) {
	now := time.Now()
	withExpiry := func(at time.Time) refresher.Token {
		return refresher.Token{Raw: jwt(fmt.Sprintf(`{"iss":"https://oidc.example/","exp":%d}`, at.Unix()))}
	}
	tests := []struct {
		name    string
		number  int
		subject refresher.Token
		want    []string
	}{
		{"no federated credential", 700213, subject, []string{
			`iss="https://oidc.example"`, `sub="system:serviceaccount:reports:runner"`, `aud="api://AzureADTokenExchange"`, "slash",
		}},
		{"a refinement nobody has seen", 7002199, subject, []string{"slash"}},
		{"only the case differs", 7002138, subject, []string{"case", "system:serviceaccount:reports:runner"}},
		{"a stale file", 700024, withExpiry(now.Add(-time.Hour)), []string{"expired at", "renew"}},
		{"a wrong clock", 700024, withExpiry(now.Add(time.Hour)), []string{"local clock", "clocks"}},
		{"issuer unreachable", 90061, subject, []string{"openid-configuration", "https://oidc.example"}},
		{"unknown key", 700027, subject, []string{"key"}},
		{"a subject that is no JWT", 700213, refresher.Token{Raw: "opaque"}, []string{"federated credential"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := &microsoft{status: 401, body: refusal("invalid_client", test.number, "Text.")}
			_, err := exchanger(t, m).Exchange(t.Context(), test.subject, refresher.Target{})
			for _, want := range test.want {
				if hint := refresher.AsError(err).Hint; !strings.Contains(hint, want) {
					t.Errorf("hint = %q, want it to hold %q", hint, want)
				}
			}
		})
	}
}

func TestErrorsNeverShowTokens(t *testing.T) {
	raw := subject.Raw.Reveal()
	for name, body := range map[string]string{
		"in the description":     refusal("invalid_client", 700213, "assertion "+raw),
		"in the error":           refusal(raw, 700213, "x"),
		"in a body of no format": raw,
		"behind a terminal code": `{"error":"invalid_client","error_description":"\u001b[2J` + raw + `"}`,
		"as an access token":     `{"access_token":"` + raw + `","expires_in":"never"}`,
	} {
		for _, status := range []int{200, 400, 401, 500} {
			t.Run(fmt.Sprintf("%s, %d", name, status), func(t *testing.T) {
				_, err := exchanger(t, &microsoft{status: status, body: body}).Exchange(t.Context(), subject, refresher.Target{})
				if err == nil {
					t.Fatal("Exchange succeeded")
				}
				text := err.Error() + refresher.AsError(err).Hint
				for _, secret := range append(strings.Split(raw, "."), "\x1b", "\n") {
					if strings.Contains(text, secret) {
						t.Errorf("error shows %q: %q", secret, text)
					}
				}
			})
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add(200, tokenAnswer)
	f.Add(200, `{"access_token":"t","expires_in":"1e3"}`)
	f.Add(401, refusal("invalid_client", 700213, "x"))
	f.Add(400, `{"error":"invalid_client","error_codes":[-5]}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		m := &microsoft{status: 100 + max(status, -(status+1))%500, body: body}
		c, err := exchanger(t, m).Exchange(t.Context(), subject, refresher.Target{})
		if err != nil {
			if _, ok := errors.AsType[*refresher.Error](err); !ok {
				t.Errorf("error %v has no class", err)
			}
			return
		}
		if b, ok := c.Value.(refresher.Bearer); !ok || b.Token == "" || !c.Expires.After(time.Now().Add(-time.Second)) {
			t.Errorf("accepted %q and gave %#v", body, c)
		}
	})
}
