package googlests_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

func oauthError(code, text string) string {
	return fmt.Sprintf(`{"error":%q,"error_description":%q}`, code, text)
}

func apiError(code int, status, message, details string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"message":%q,"status":%q,"details":[%s]}}`, code, message, status, details)
}

var untrusted = &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}

func TestClassesOfTheTokenExchange(t *testing.T) {
	tests := []struct {
		name   string
		answer answer
		class  refresher.Class
		code   string
	}{
		{"connection refused", answer{err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, refresher.Transient, ""},
		{"name does not resolve", answer{err: &net.DNSError{Err: "no such host", Name: "sts.googleapis.com", IsNotFound: true}}, refresher.Transient, ""},
		{"certificate cannot be verified", answer{err: untrusted}, refresher.Denied, ""},
		{"408", answer{status: 408}, refresher.Transient, ""},
		{"500", answer{status: 500, body: oauthError("server_error", "Internal")}, refresher.Transient, "server_error"},
		{"503 of a proxy", answer{status: 503, body: "no healthy upstream"}, refresher.Transient, ""},
		{"504", answer{status: 504}, refresher.Transient, ""},
		{"redirect", answer{status: 307, header: map[string]string{"Location": "https://evil.example/"}}, refresher.Denied, upstream.CodeRedirect},
		{"429", answer{status: 429, body: apiError(429, "RESOURCE_EXHAUSTED", "Quota exceeded", "")}, refresher.Throttled, "RESOURCE_EXHAUSTED"},
		{"403 that names a quota", answer{status: 403, body: apiError(403, "RESOURCE_EXHAUSTED", "Quota exceeded", "")}, refresher.Throttled, "RESOURCE_EXHAUSTED"},
		{"403 that names a quota in the old form", answer{status: 403, body: `{"error":{"code":403,"message":"Rate Limit Exceeded","errors":[{"domain":"usageLimits","reason":"rateLimitExceeded"}]}}`}, refresher.Throttled, "rateLimitExceeded"},
		{"token expired", answer{status: 400, body: oauthError("invalid_grant", "The ID Token is expired.")}, refresher.SubjectToken, "invalid_grant"},
		{"token stale", answer{status: 400, body: oauthError("invalid_grant", "ID Token issued at 1700000000 is stale to sign-in.")}, refresher.SubjectToken, "invalid_grant"},
		{"quota of the token service", answer{status: 429, body: oauthError("quota_exceeded", "The request was throttled due to rate limit: sts.googleapis.com/requests.")}, refresher.Throttled, "quota_exceeded"},
		{"the same with another status", answer{status: 400, body: oauthError("quota_exceeded", "The request was throttled.")}, refresher.Throttled, "quota_exceeded"},
		{"mapping", answer{status: 400, body: oauthError("invalid_request", "The size of mapped attribute google.subject exceeds the 127 bytes limit.")}, refresher.Denied, "invalid_request"},
		{"token from the future", answer{status: 400, body: oauthError("invalid_grant", "The iat claim is in the future.")}, refresher.SubjectToken, "invalid_grant"},
		{"issuer unreachable", answer{status: 400, body: oauthError("invalid_grant", "Error connecting to the given credential's issuer.")}, refresher.Transient, "invalid_grant"},
		{"keys unreachable", answer{status: 400, body: oauthError("invalid_grant", "Could not fetch JWKS.")}, refresher.Transient, "invalid_grant"},
		{"wrong audience", answer{status: 400, body: oauthError("invalid_grant", "The audience in ID Token [https://kubernetes.default.svc] does not match the expected audience.")}, refresher.Denied, "invalid_grant"},
		{"unknown key", answer{status: 400, body: oauthError("invalid_grant", "The signature could not be verified: no key with id k1.")}, refresher.SubjectToken, "invalid_grant"},
		{"grant refused in words nobody has seen", answer{status: 400, body: oauthError("invalid_grant", "Hmm.")}, refresher.SubjectToken, "invalid_grant"},
		{"pool missing", answer{status: 400, body: oauthError("invalid_target", "The target service indicated by the \"audience\" parameters is invalid.")}, refresher.Settling, "invalid_target"},
		{"attribute condition", answer{status: 401, body: oauthError("unauthorized_client", "The given credential is rejected by the attribute condition.")}, refresher.Settling, "unauthorized_client"},
		{"attribute condition with 400", answer{status: 400, body: oauthError("unauthorized_client", "The given credential is rejected by the attribute condition.")}, refresher.Settling, "unauthorized_client"},
		{"malformed request", answer{status: 400, body: oauthError("invalid_request", "Invalid value for \"audience\".")}, refresher.Denied, "invalid_request"},
		{"bad scope", answer{status: 400, body: oauthError("invalid_scope", "bad")}, refresher.Denied, "invalid_scope"},
		{"client", answer{status: 401, body: oauthError("invalid_client", "The OAuth client was not found.")}, refresher.Denied, "invalid_client"},
		{"project that may not be billed", answer{status: 403, body: apiError(403, "PERMISSION_DENIED", "no", `{"reason":"USER_PROJECT_DENIED"}`)}, refresher.Settling, "PERMISSION_DENIED"},
		{"grant type", answer{status: 400, body: oauthError("unsupported_grant_type", "bad")}, refresher.Denied, "unsupported_grant_type"},
		{"API disabled", answer{status: 403, body: apiError(403, "PERMISSION_DENIED", "Security Token Service API has not been used", `{"reason":"SERVICE_DISABLED"}`)}, refresher.Settling, "PERMISSION_DENIED"},
		{"an error nobody has seen", answer{status: 418, body: oauthError("teapot", "short and stout")}, refresher.Settling, "teapot"},
		{"HTML", answer{status: 403, body: "<html>RBAC: access denied</html>"}, refresher.Transient, refresher.CodeForeignResponse},
		{"JSON of somebody else", answer{status: 404, body: `{"message":"no route"}`}, refresher.Transient, refresher.CodeForeignResponse},
		{"empty 4xx", answer{status: 400}, refresher.Transient, refresher.CodeForeignResponse},
		{"200 with HTML", answer{status: 200, body: "<html>welcome</html>"}, refresher.Transient, refresher.CodeBadCredential},
		{"200 without anything", answer{status: 200}, refresher.Transient, refresher.CodeBadCredential},
		{"200 null", answer{status: 200, body: "null"}, refresher.Transient, refresher.CodeBadCredential},
		{"200 with trailing data", answer{status: 200, body: tokenAnswer + "{}"}, refresher.Transient, refresher.CodeBadCredential},
		{"200 of 300 KiB", answer{status: 200, body: tokenAnswer + strings.Repeat(" ", 300<<10)}, refresher.Transient, refresher.CodeBadCredential},
		{"empty token", answer{status: 200, body: `{"access_token":"","token_type":"Bearer","expires_in":3599}`}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in missing", answer{status: 200, body: `{"access_token":"t","token_type":"Bearer"}`}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in 0", answer{status: 200, body: `{"access_token":"t","token_type":"Bearer","expires_in":0}`}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in -1", answer{status: 200, body: `{"access_token":"t","token_type":"Bearer","expires_in":-1}`}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in as a string", answer{status: 200, body: `{"access_token":"t","token_type":"Bearer","expires_in":"3600"}`}, refresher.Transient, refresher.CodeBadCredential},
		{"expires_in with a fraction", answer{status: 200, body: `{"access_token":"t","token_type":"Bearer","expires_in":3600.5}`}, refresher.Transient, refresher.CodeBadCredential},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := newGoogle()
			g.token = test.answer
			_, err := exchanger(t, g, impersonating).Exchange(t.Context(), subject, refresher.Target{})
			check(t, err, test.class, test.code, "token exchange")
			if got := g.steps(); len(got) != 1 {
				t.Errorf("requests = %v, want only the first step", got)
			}
		})
	}
}

func TestClassesOfImpersonation(t *testing.T) {
	const denied = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
	tests := []struct {
		name   string
		answer answer
		class  refresher.Class
		code   string
	}{
		{"connection reset", answer{err: &net.OpError{Op: "read", Err: syscall.ECONNRESET}}, refresher.Transient, ""},
		{"certificate cannot be verified", answer{err: untrusted}, refresher.Denied, ""},
		{"500", answer{status: 500, body: apiError(500, "INTERNAL", "Internal error", "")}, refresher.Transient, "INTERNAL"},
		{"503", answer{status: 503, body: apiError(503, "UNAVAILABLE", "try again", "")}, refresher.Transient, "UNAVAILABLE"},
		{"408", answer{status: 408}, refresher.Transient, ""},
		{"redirect", answer{status: 308, header: map[string]string{"Location": "https://evil.example/"}}, refresher.Denied, upstream.CodeRedirect},
		{"429", answer{status: 429, body: apiError(429, "RESOURCE_EXHAUSTED", "Quota exceeded", "")}, refresher.Throttled, "RESOURCE_EXHAUSTED"},
		{"403 that names a quota in its details", answer{status: 403, body: apiError(403, "PERMISSION_DENIED", "Quota", `{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED"}`)}, refresher.Throttled, "PERMISSION_DENIED"},
		{"401", answer{status: 401, body: apiError(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", "")}, refresher.Transient, "UNAUTHENTICATED"},
		{"403", answer{status: 403, body: apiError(403, "PERMISSION_DENIED", denied, `{"reason":"IAM_PERMISSION_DENIED","metadata":{"permission":"iam.serviceAccounts.getAccessToken"}}`)}, refresher.Settling, "PERMISSION_DENIED"},
		{"404", answer{status: 404, body: apiError(404, "NOT_FOUND", "Not found; Gaia id not found for email", "")}, refresher.Settling, "NOT_FOUND"},
		{"400 INVALID_ARGUMENT", answer{status: 400, body: apiError(400, "INVALID_ARGUMENT", "The access token lifetime cannot exceed 3600 seconds.", "")}, refresher.Denied, "INVALID_ARGUMENT"},
		{"400 of another kind", answer{status: 400, body: apiError(400, "FAILED_PRECONDITION", "Service account is disabled.", "")}, refresher.Settling, "FAILED_PRECONDITION"},
		{"details of an unexpected shape", answer{status: 404, body: apiError(404, "NOT_FOUND", "gone", `{"reason":7},"text"`)}, refresher.Settling, "NOT_FOUND"},
		{"HTML", answer{status: 403, body: "<html>"}, refresher.Transient, refresher.CodeForeignResponse},
		{"200 with HTML", answer{status: 200, body: "<html>"}, refresher.Transient, refresher.CodeBadCredential},
		{"200 {}", answer{status: 200, body: "{}"}, refresher.Transient, refresher.CodeBadCredential},
		{"200 of 300 KiB", answer{status: 200, body: iamAnswer + strings.Repeat(" ", 300<<10)}, refresher.Transient, ""},
		{"empty accessToken", answer{status: 200, body: `{"accessToken":"","expireTime":"2030-01-02T03:04:05Z"}`}, refresher.Transient, refresher.CodeBadCredential},
		{"expireTime missing", answer{status: 200, body: `{"accessToken":"t"}`}, refresher.Transient, refresher.CodeBadCredential},
		{"expireTime unparsable", answer{status: 200, body: `{"accessToken":"t","expireTime":"tomorrow"}`}, refresher.Transient, refresher.CodeBadCredential},
		{"expireTime a number", answer{status: 200, body: `{"accessToken":"t","expireTime":1893553445}`}, refresher.Transient, refresher.CodeBadCredential},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := newGoogle()
			g.iam = test.answer
			_, err := exchanger(t, g, impersonating).Exchange(t.Context(), subject, refresher.Target{})
			check(t, err, test.class, test.code, "service account impersonation")
			if got := g.steps(); len(got) != 2 {
				t.Errorf("requests = %v, want both steps once", got)
			}
		})
	}
}

func TestBadIDTokens(t *testing.T) {
	for name, body := range map[string]string{
		"no token":          `{}`,
		"not a JWT":         `{"token":"opaque"}`,
		"a JWT without exp": `{"token":"` + jwt(`{"aud":"a"}`) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			g := newGoogle()
			g.id = answer{status: 200, body: body}
			_, err := exchanger(t, g, impersonating).Exchange(t.Context(), subject, refresher.Target{Audience: "a"})
			check(t, err, refresher.Transient, refresher.CodeBadCredential, "service account impersonation")
		})
	}
}

func check(t *testing.T, err error, class refresher.Class, code, step string) {
	t.Helper()
	e, ok := errors.AsType[*refresher.Error](err)
	if !ok {
		t.Fatalf("error = %v, want a *refresher.Error", err)
	}
	if e.Class != class || e.Code != code {
		t.Errorf("error %q is %v %q, want %v %q", e, e.Class, e.Code, class, code)
	}
	if !strings.Contains(e.Error(), step) {
		t.Errorf("error %q does not name the step %q", e, step)
	}
}

func TestErrorsNeverShowTokens(t *testing.T) {
	raw := subject.Raw.Reveal()
	echoes := map[string]string{
		"in the description":       oauthError("invalid_grant", "cannot verify "+raw+" for you"),
		"in the code":              oauthError(raw, "x"),
		"in a message":             apiError(403, "PERMISSION_DENIED", "token "+raw, ""),
		"in a status":              apiError(403, raw, "x", ""),
		"in a reason":              apiError(403, "", "x", fmt.Sprintf(`{"reason":%q}`, raw)),
		"in a body of no format":   raw,
		"with terminal sequences":  oauthError("invalid_grant", "\x1b[2J\n"+raw+"\n"),
		"as a federated token":     oauthError("invalid_grant", "ya29.d.federated-token-which-is-long"),
		"as a bearer":              apiError(401, "UNAUTHENTICATED", "Authorization: Bearer federated-token", ""),
		"in JSON of a wrong shape": `{"error":["` + raw + `"]}`,
	}
	for name, body := range echoes {
		for _, status := range []int{200, 400, 401, 403, 500} {
			t.Run(fmt.Sprintf("%s, %d", name, status), func(t *testing.T) {
				for _, step := range []string{"token", "iam"} {
					g := newGoogle()
					if step == "token" {
						g.token = answer{status: status, body: body}
					} else {
						g.iam = answer{status: status, body: body}
					}
					_, err := exchanger(t, g, impersonating).Exchange(t.Context(), subject, refresher.Target{})
					if err == nil {
						t.Fatal("Exchange succeeded")
					}
					checkClean(t, err)
				}
			})
		}
	}
}

func checkClean(t *testing.T, err error) {
	t.Helper()
	text := err.Error() + refresher.AsError(err).Hint
	for _, secret := range append(strings.Split(subject.Raw.Reveal(), "."), "federated-token", "ya29.", "\x1b", "\n") {
		if strings.Contains(text, secret) {
			t.Errorf("error shows %q: %q", secret, text)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add(200, tokenAnswer, 200, iamAnswer)
	f.Add(400, oauthError("invalid_grant", "expired"), 200, iamAnswer)
	f.Add(200, tokenAnswer, 403, apiError(403, "PERMISSION_DENIED", "no", `{"reason":"X"}`))
	f.Add(200, `{"access_token":"t","expires_in":1e3}`, 200, `{"accessToken":1}`)
	f.Fuzz(func(t *testing.T, tokenStatus int, tokenBody string, iamStatus int, iamBody string) {
		g := newGoogle()
		g.token = answer{status: 100 + abs(tokenStatus)%500, body: tokenBody}
		g.iam = answer{status: 100 + abs(iamStatus)%500, body: iamBody}
		c, err := exchanger(t, g, impersonating).Exchange(t.Context(), subject, refresher.Target{})
		if err == nil {
			if b, ok := c.Value.(refresher.Bearer); !ok || b.Token == "" || c.Expires.IsZero() {
				t.Errorf("accepted %q, %q and gave %#v", tokenBody, iamBody, c)
			}
			return
		}
		if _, ok := errors.AsType[*refresher.Error](err); !ok {
			t.Errorf("error %v has no class", err)
		}
	})
}

func abs(n int) int { return max(n, -(n + 1)) }
