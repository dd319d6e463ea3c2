package oauthsts_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// refusal is an error body of RFC 6749 section 5.2.
func refusal(code, description string) string {
	return fmt.Sprintf(`{"error":%q,"error_description":%q}`, code, description)
}

func classOf(t *testing.T, e *endpoint, changes ...func(*options)) *refresher.Error {
	t.Helper()
	_, err := exchanger(t, e, changes...).Exchange(t.Context(), subject, refresher.Target{})
	failure, ok := errors.AsType[*refresher.Error](err)
	if !ok {
		t.Fatalf("error = %v, want a *refresher.Error", err)
	}
	return failure
}

func TestClassesOfErrors(t *testing.T) {
	for class, codes := range map[refresher.Class][]string{
		refresher.Transient:    {"temporarily_unavailable", "server_error"},
		refresher.Throttled:    {"slow_down"},
		refresher.SubjectToken: {"invalid_request", "invalid_grant", "invalid_token"},
		refresher.Settling:     {"invalid_client", "unauthorized_client", "invalid_target", "access_denied", "nobody_knows_this"},
		refresher.Denied:       {"invalid_scope", "unsupported_grant_type", "unsupported_token_type"},
	} {
		for _, code := range codes {
			for _, status := range []int{400, 401, 403} {
				if got := classOf(t, &endpoint{status: status, body: refusal(code, "Text.")}); got.Class != class || got.Code != code {
					t.Errorf("%s with status %d is %v %q, want %v", code, status, got.Class, got.Code, class)
				}
			}
			if got := classOf(t, &endpoint{status: 503, body: refusal(code, "Text.")}); got.Class != refresher.Transient || got.Code != code {
				t.Errorf("%s with status 503 is %v %q, want transient: the status prevails", code, got.Class, got.Code)
			}
			if got := classOf(t, &endpoint{status: 429, body: refusal(code, "Text.")}); got.Class != refresher.Throttled {
				t.Errorf("%s with status 429 is %v, want throttled: the status prevails", code, got.Class)
			}
		}
	}
}

func TestClassesOfOtherFailures(t *testing.T) {
	tests := []struct {
		name  string
		e     endpoint
		class refresher.Class
		text  string // the whole error's; "" is not looked at
	}{
		{"connection refused", endpoint{err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, refresher.Transient, ""},
		{"certificate cannot be verified", endpoint{err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}}, refresher.Denied, ""},
		{"redirect", endpoint{status: 307, header: map[string]string{"Location": "https://evil.example"}}, refresher.Denied, "redirect: HTTP status 307: redirect refused"},
		{"429", endpoint{status: 429}, refresher.Throttled, "HTTP status 429"},
		{"502 of a proxy", endpoint{status: 502, body: "<html>"}, refresher.Transient, "HTTP status 502"},
		{"HTML", endpoint{status: 403, body: "<html>"}, refresher.Transient, ""},
		{"no body", endpoint{status: 404}, refresher.Transient, ""},
		{"a JSON array", endpoint{status: 400, body: `["x"]`}, refresher.Transient, ""},
		{"an object of nothing known", endpoint{status: 400, body: `{"x":1}`}, refresher.Transient, ""},
		{"members of other types", endpoint{status: 400, body: `{"error":1,"errors":{},"message":[]}`}, refresher.Transient, ""},
		{"Vault", endpoint{status: 403, body: `{"errors":["1 error occurred:\n\t* permission denied\n\n","sealed"]}`}, refresher.Settling,
			"HTTP status 403: 1 error occurred: * permission denied ; sealed"},
		{"Spring", endpoint{status: 401, body: `{"timestamp":"2026-01-02T03:04:05Z","status":401,"error":"Unauthorized","message":"Full authentication is required","path":"/token"}`},
			refresher.Settling, "HTTP status 401: Full authentication is required"},
		{"Spring without a message", endpoint{status: 403, body: `{"status":403,"error":"Forbidden","path":"/token"}`}, refresher.Settling, "HTTP status 403: Forbidden"},
		{"a problem document", endpoint{status: 400, body: `{"type":"about:blank","title":"Bad Request","detail":"No such tenant"}`}, refresher.Settling, "HTTP status 400: No such tenant"},
		{"Okta", endpoint{status: 401, body: `{"errorCode":"E0000011","errorSummary":"Invalid token provided"}`}, refresher.Settling, "HTTP status 401: Invalid token provided"},
		{"an error with a description of another type", endpoint{status: 400, body: `{"error":"invalid_scope","error_description":[1]}`}, refresher.Denied, "invalid_scope: HTTP status 400"},
	}
	for i := range tests {
		test := &tests[i]
		t.Run(test.name, func(t *testing.T) {
			got := classOf(t, &test.e)
			if got.Class != test.class || test.text != "" && got.Error() != test.text {
				t.Errorf("error %q is %v, want %v %q", got, got.Class, test.class, test.text)
			}
		})
	}
}

// Servers, Keycloak above all, use the vague codes for much that has a code of its own. These are the
// words of Keycloak 26.
func TestVagueCodesMeanWhatTheirMessagesSay(t *testing.T) {
	for _, test := range []struct {
		status        int
		code, message string
		class         refresher.Class
		hint          string // part of it
	}{
		{401, "unauthorized_client", "Invalid client or Invalid client credentials", refresher.Settling, "knows no such client, or it has another secret"},
		{400, "unauthorized_client", "Client not allowed", refresher.Settling, "permit token exchange"},
		{400, "invalid_client", "Audience not found", refresher.Settling, "knows where the token is to be used"},
		{400, "invalid_request", "Requested audience not available: payroll", refresher.Settling, "knows where the token is to be used"},
		{400, "invalid_client", "Public client is not allowed to exchange token", refresher.Settling, "permit token exchange"},
		{400, "invalid_request", "Standard token exchange is not enabled for the requested client", refresher.Settling, "permit token exchange"},
		{400, "invalid_request", "requested_token_type unsupported", refresher.Denied, "set subjectTokenType"},
		{400, "invalid_request", "Parameter 'subject_token' supports access tokens only", refresher.Denied, "set subjectTokenType"},
		{400, "invalid_client", "Invalid token audience", refresher.Settling, "knows no such client, or it has another secret"},
		{400, "invalid_request", "Invalid token", refresher.SubjectToken, "trusts the issuer of the subject token"},
		{400, "invalid_issuer", "Invalid issuer parameter", refresher.SubjectToken, "trusts the issuer of the subject token"},
		{403, "access_denied", "Client is not within the token audience", refresher.Settling, "the client in the subject token's audience"},
		{404, "Realm does not exist", "", refresher.Settling, "correct the path of tokenUrl"},
	} {
		t.Run(test.message, func(t *testing.T) {
			e := &endpoint{status: test.status, body: refusal(test.code, test.message)}
			_, err := exchanger(t, e, func(o *options) { o.ClientID, o.ClientSecret = "wisp", "hunter2" }).Exchange(t.Context(), subject, refresher.Target{})
			failure := refresher.AsError(err)
			if failure.Class != test.class || !strings.Contains(failure.Hint, test.hint) {
				t.Errorf("%d %s %q is %v, hint %q; want %v, hint with %q", test.status, test.code, test.message, failure.Class, failure.Hint, test.class, test.hint)
			}
		})
	}
}

// TestRefusals has the text and the hint of every error that has one, in testdata/refusals.golden.
func TestRefusals(t *testing.T) {
	opaque := refresher.Token{Raw: "opaque", Type: refresher.TypeAccessToken}
	wanting := func(o *options) {
		o.ClientID, o.Audience, o.Resource, o.Scopes = "wisp", []string{"orders", "stock"}, []string{"https://api.example"}, []string{"read"}
	}
	secret := func(o *options) { o.ClientID, o.ClientSecret = "wisp", "hunter2" }
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "hunter2")
	write(t, filepath.Join(dir, "key.pem"), pkcs8(t, testKeys().ed25519))
	secretFile := func(o *options) { o.ClientID, o.ClientAuth, o.ClientSecretFile = "wisp", "post", dir+"/secret" }
	key := func(o *options) { o.ClientID, o.PrivateKeyFile = "wisp", dir+"/key.pem" }
	keyForIssuer := func(o *options) {
		key(o)
		o.KeyID, o.AssertionAudience = "k1", "https://sso.example"
	}
	tests := []struct {
		name    string
		code    string
		status  int
		subject refresher.Token
		change  func(*options)
	}{
		{"a token that is not accepted", "invalid_request", 400, subject, wanting},
		{"a token that is no JWT", "invalid_grant", 400, opaque, wanting},
		{"a token from nobody", "invalid_token", 401, subject, func(*options) {}},
		{"a wrong secret", "invalid_client", 401, subject, secret},
		{"a wrong secret in a file", "invalid_client", 401, subject, secretFile},
		{"a wrong key", "invalid_client", 401, subject, key},
		{"a wrong key for the issuer", "invalid_client", 401, subject, keyForIssuer},
		{"an unknown public client", "invalid_client", 401, subject, wanting},
		{"no client", "invalid_client", 401, subject, func(*options) {}},
		{"a client that may not", "unauthorized_client", 400, subject, wanting},
		{"an audience that is not known", "invalid_target", 400, subject, wanting},
		{"nothing to be known", "invalid_target", 400, subject, func(*options) {}},
		{"a scope that is not known", "invalid_scope", 400, subject, wanting},
		{"no token exchange", "unsupported_grant_type", 400, subject, wanting},
		{"a type that is not exchanged", "unsupported_token_type", 400, subject, wanting},
		{"a type that is not issued", "unsupported_token_type", 400, subject, func(o *options) { o.RequestedTokenType = refresher.TypeSAML2 }},
		{"a policy", "access_denied", 403, subject, wanting},
		{"too often", "slow_down", 400, subject, wanting},
		{"an error of the endpoint's own", "consent_required", 400, subject, wanting},
	}
	var said strings.Builder
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := &endpoint{status: test.status, body: refusal(test.code, "The server's words")}
			_, err := exchanger(t, e, test.change).Exchange(t.Context(), test.subject, refresher.Target{})
			failure := refresher.AsError(err)
			fmt.Fprintf(&said, "%s (%v)\n  %v\n  hint: %s\n", test.name, failure.Class, failure, failure.Hint)
			if strings.HasSuffix(failure.Hint, ".") {
				t.Errorf("hint %q ends in a full stop", failure.Hint)
			}
		})
	}
	checkGolden(t, "refusals", strings.ReplaceAll(said.String(), dir, "DIR"))
}

func TestErrorsNeverShowSecrets(t *testing.T) {
	const secret = "hunter2"
	withSecret := func(o *options) { o.ClientID, o.ClientSecret = "wisp", secret }
	for _, token := range []refresher.Token{subject, {Raw: "opaque-and-short", Type: refresher.TypeAccessToken}} {
		raw := token.Raw.Reveal()
		for name, body := range map[string]string{
			"in the description":       refusal("invalid_grant", "token "+raw+" of "+secret),
			"in the error":             refusal(raw, secret),
			"in a list":                fmt.Sprintf(`{"errors":[%q,%q]}`, raw, secret),
			"in a message":             fmt.Sprintf(`{"error":"Bad Request","message":%q}`, raw+secret),
			"in a body of no format":   raw + secret,
			"behind terminal commands": `{"error":"invalid_client","error_description":"\u001b[2J` + raw + `"}`,
			"as an access token":       `{"access_token":"` + raw + `","expires_in":"never"}`,
			"as a type":                `{"access_token":"t","token_type":"` + subject.Raw.Reveal() + `","expires_in":1}`,
		} {
			for _, status := range []int{200, 400, 401, 500} {
				t.Run(fmt.Sprintf("%s, %d", name, status), func(t *testing.T) {
					_, err := exchanger(t, &endpoint{status: status, body: body}, withSecret).Exchange(t.Context(), token, refresher.Target{})
					if err == nil {
						t.Fatal("Exchange succeeded")
					}
					text := err.Error() + refresher.AsError(err).Hint
					for _, known := range append(strings.Split(raw, "."), secret, "\x1b", "\n") {
						if strings.Contains(text, known) {
							t.Errorf("error shows %q: %q", known, text)
						}
					}
				})
			}
		}
	}
}

func FuzzRefusal(f *testing.F) {
	f.Add(400, refusal("invalid_target", "x"))
	f.Add(401, `{"errors":["permission denied"]}`)
	f.Add(403, `{"status":403,"error":"Forbidden","message":null}`)
	f.Add(404, `<html>`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		e := &endpoint{status: 300 + max(status, -(status+1))%300, body: body}
		failure := classOf(t, e)
		for _, text := range []string{failure.Error(), failure.Hint} {
			if strings.ContainsAny(text, "\n\r\x1b") || len(text) > 1000 {
				t.Errorf("%q makes %q", body, text)
			}
		}
		if failure.Class < refresher.Transient || failure.Class > refresher.Denied || failure.Code == upstream.CodeRedirect && e.status/100 != 3 {
			t.Errorf("%q is %v %q", body, failure.Class, failure.Code)
		}
	})
}
