package awssts_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/awssts"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// refusal is an error as STS writes it.
func refusal(code, message string) string {
	return fmt.Sprintf(`<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error>
    <Type>Sender</Type>
    <Code>%s</Code>
    <Message>%s</Message>
  </Error>
  <RequestId>4f2ac2a5-1a1b-4c5d-8d6e-EXAMPLE</RequestId>
</ErrorResponse>`, code, message)
}

func TestFailuresAreSorted(t *testing.T) {
	const html = "<html><head><title>404 Not Found</title></head><body><hr/></body></html>"
	tests := []struct {
		name   string
		status int
		body   string
		class  refresher.Class
		code   string
		hint   string // a part of it; "" for no hint
	}{
		{"internal failure", 500, refusal("InternalFailure", "We are sorry"), refresher.Transient, "InternalFailure", ""},
		{"service unavailable", 503, refusal("ServiceUnavailable", "Later"), refresher.Transient, "ServiceUnavailable", ""},
		{"502 of a gateway", 502, html, refresher.Transient, "", ""},
		{"504 with an empty body", 504, "", refresher.Transient, "", ""},
		{"request timeout", 400, refusal("RequestTimeout", "Too slow"), refresher.Transient, "RequestTimeout", ""},
		{"request timeout by status", 408, "", refresher.Transient, "", ""},

		{"throttled with 400", 400, refusal("Throttling", "Rate exceeded"), refresher.Throttled, "Throttling", ""},
		{"throttled, other name", 400, refusal("ThrottlingException", "Rate exceeded"), refresher.Throttled, "ThrottlingException", ""},
		{"request throttled", 400, refusal("RequestThrottled", "Rate exceeded"), refresher.Throttled, "RequestThrottled", ""},
		{"request limit", 503, refusal("RequestLimitExceeded", "Rate exceeded"), refresher.Throttled, "RequestLimitExceeded", ""},
		{"slow down", 503, refusal("SlowDown", "Rate exceeded"), refresher.Throttled, "SlowDown", ""},
		{"too many requests", 400, refusal("TooManyRequests", "Rate exceeded"), refresher.Throttled, "TooManyRequests", ""},
		{"too many requests, other name", 400, refusal("TooManyRequestsException", "Rate exceeded"), refresher.Throttled, "TooManyRequestsException", ""},
		{"too many requests by status", 429, "", refresher.Throttled, "", ""},

		{"expired token", 400, refusal("ExpiredTokenException", "Token expired: current date/time 1 must be before the expiration date/time 0"),
			refresher.SubjectToken, "ExpiredTokenException", "check the node's clock"},
		{"verification key", 400, refusal("InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements"),
			refresher.Transient, "InvalidIdentityToken", `issuer "https://oidc.example.com"`},
		{"no provider", 400, refusal("InvalidIdentityToken", "No OpenIDConnect provider found in your account for https://oidc.example.com"),
			refresher.Settling, "InvalidIdentityToken", `account 123456789012 needs an IAM OIDC provider for the issuer "https://oidc.example.com"`},
		{"wrong audience", 400, refusal("InvalidIdentityToken", "Incorrect token audience"),
			refresher.Denied, "InvalidIdentityToken", `the token says aud="https://kubernetes.default.svc": ask for a token with an audience that the IAM OIDC provider of issuer "https://oidc.example.com" lists, usually "sts.amazonaws.com"`},
		{"bad signature", 400, refusal("InvalidIdentityToken", "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"),
			refresher.SubjectToken, "InvalidIdentityToken", `sub="system:serviceaccount:shop:reports"`},
		{"issuer out of reach", 400, refusal("IDPCommunicationError", "Could not reach"), refresher.Transient, "IDPCommunicationError", "from the internet"},
		{"claim rejected", 403, refusal("IDPRejectedClaim", "Expired or revoked"), refresher.SubjectToken, "IDPRejectedClaim", ""},
		{"access denied", 403, refusal("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
			refresher.Settling, "AccessDenied", `the trust policy of arn:aws:iam::123456789012:role/team/reports must allow sts:AssumeRoleWithWebIdentity for iss="https://oidc.example.com" sub="system:serviceaccount:shop:reports" aud="https://kubernetes.default.svc"`},

		{"duration too long", 400, refusal("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."),
			refresher.Denied, "ValidationError", "1h0m0s was asked for: raise the role's maximum session duration"},
		{"other validation", 400, refusal("ValidationError", "Request ARN is invalid"), refresher.Denied, "ValidationError", ""},
		{"bad policy", 400, refusal("MalformedPolicyDocument", "Syntax"), refresher.Denied, "MalformedPolicyDocument", "correct it"},
		{"policy too large", 400, refusal("PackedPolicyTooLarge", "103%"), refresher.Denied, "PackedPolicyTooLarge", "shorten policy"},
		{"region off", 403, refusal("RegionDisabledException", "STS is not activated in this region for account:123456789012."),
			refresher.Denied, "RegionDisabledException", "STS in eu-west-1 is not activated for account 123456789012"},
		{"bad parameter", 400, refusal("InvalidParameterValue", "No"), refresher.Denied, "InvalidParameterValue", ""},

		{"a code nobody knows", 400, refusal("BrandNewProblem", "Surprise"), refresher.Settling, "BrandNewProblem", ""},
		{"an error in the form of S3", 404, "<?xml version=\"1.0\"?><Error><Code>NoSuchEntity</Code><Message>No role</Message></Error>", refresher.Settling, "NoSuchEntity", ""},
		{"an Error without a code", 404, "<Error><Message>Lost</Message></Error>", refresher.Transient, refresher.CodeForeignResponse, ""},
		{"404 with HTML", 404, html, refresher.Transient, refresher.CodeForeignResponse, ""},
		{"403 with text", 403, "RBAC: access denied", refresher.Transient, refresher.CodeForeignResponse, ""},
		{"400 with an empty body", 400, "", refresher.Transient, refresher.CodeForeignResponse, ""},
		{"redirect", 307, "", refresher.Denied, "redirect", "does not redirect"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			x := exchanger(t, awssts.Options{}, func(*http.Request) (*http.Response, error) {
				calls++
				a := answer(tt.status, tt.body)
				a.Header.Set("Location", "https://evil.example/")
				return a, nil
			})
			_, err := x.Exchange(t.Context(), podToken(), refresher.Target{})
			e := refresher.AsError(err)
			if e == nil {
				t.Fatal("Exchange succeeded")
			}
			if e.Class != tt.class || e.Code != tt.code {
				t.Errorf("Exchange = %v %q (%v), want %v %q", e.Class, e.Code, e, tt.class, tt.code)
			}
			// Without a hint of its own a failure has the one of its class.
			usual := upstream.Advise(&refresher.Error{Class: e.Class, Code: e.Code}).Hint
			if !strings.Contains(e.Hint, tt.hint) || (tt.hint == "") != (e.Hint == usual) {
				t.Errorf("hint = %q, want %q in it", e.Hint, tt.hint)
			}
			if calls != 1 {
				t.Errorf("%d requests were sent, want 1: retrying is not done here", calls)
			}
		})
	}
}

func TestNetworkFailures(t *testing.T) {
	tests := []struct {
		name string
		err  error
	}{
		{"no such host", &net.DNSError{Err: "no such host", Name: "sts.eu-west-1.amazonaws.com", IsNotFound: true}},
		{"closed", io.EOF},
		{"timed out", context.DeadlineExceeded},
		{"unknown", errors.New("the moon is full")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			x := exchanger(t, awssts.Options{}, func(*http.Request) (*http.Response, error) {
				calls++
				return nil, tt.err
			})
			_, err := x.Exchange(t.Context(), podToken(), refresher.Target{})
			e := refresher.AsError(err)
			if e == nil || e.Class != refresher.Transient || !strings.HasPrefix(e.Error(), "sts.eu-west-1.amazonaws.com: ") {
				t.Errorf("Exchange = %v, want a transient error that names the host", err)
			}
			if calls != 1 {
				t.Errorf("%d requests were sent, want 1", calls)
			}
		})
	}
}

func TestErrorsThatEchoTheTokenDoNotShowIt(t *testing.T) {
	subject := podToken()
	message := "bad\r\n\x1b[31mtoken " + subject.Raw.Reveal() + " with key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	// A control character is no XML, so the second body cannot be read at all.
	for _, body := range []string{refusal("InvalidIdentityToken", strings.ReplaceAll(message, "\x1b", "")), refusal("InvalidIdentityToken", message), message} {
		for _, status := range []int{200, 400, 500} {
			x := exchanger(t, awssts.Options{}, func(*http.Request) (*http.Response, error) { return answer(status, body), nil })
			_, err := x.Exchange(t.Context(), subject, refresher.Target{})
			if err == nil {
				t.Fatalf("status %d: Exchange succeeded", status)
			}
			text := fmt.Sprintf("%v %+v %s", err, err, refresher.AsError(err).Hint)
			for _, secret := range []string{signature, "wJalrXUtnFEMI", "\n", "\r", "\x1b"} {
				if strings.Contains(text, secret) {
					t.Errorf("status %d: error %q holds %q", status, text, secret)
				}
			}
		}
	}
}

func TestClaimsInHintsAreQuoted(t *testing.T) {
	subject := token(fmt.Sprintf(`{"iss":"https://a\nb\u001b[31m","sub":%q,"aud":["1","2","3","4"],"exp":%d}`,
		strings.Repeat("s", 1000), time.Now().Add(time.Hour).Unix()))
	x := exchanger(t, awssts.Options{}, func(*http.Request) (*http.Response, error) {
		return answer(403, refusal("AccessDenied", "Not authorized")), nil
	})
	_, err := x.Exchange(t.Context(), subject, refresher.Target{})
	hint := refresher.AsError(err).Hint
	if !strings.Contains(hint, `iss="https://a\nb\x1b[31m"`) || !strings.Contains(hint, `aud="1","2","3",…`) || len(hint) > 700 {
		t.Errorf("hint = %q, want quoted claims of bounded length", hint)
	}
}

// Whatever answers in place of STS, and at whichever call, gives a usable credential or a failure.
func FuzzAnswers(f *testing.F) {
	good := success("2100-01-01T00:00:00Z")
	f.Add(200, good, 200, strings.ReplaceAll(good, "AssumeRoleWithWebIdentityRes", "AssumeRoleRes"))
	f.Add(403, refusal("AccessDenied", "no"), 200, "")
	f.Add(200, good, 403, refusal("AccessDenied", "no"))
	f.Add(404, cephRefusal("NoSuchEntity", "The role does not exist."), 200, "")
	f.Add(200, minioSuccess(), 400, minioRefusal("ExpiredToken", "\x1b"))
	f.Add(400, "<Error><Code>&x;</Code></Error>", 500, "<Error>")
	f.Fuzz(func(t *testing.T, status int, body string, hopStatus int, hopBody string) {
		calls := 0
		x, err := awssts.New(awssts.Options{
			RoleARN: role, Region: "eu-west-1", Chain: []awssts.Hop{{RoleARN: hub}},
			Transport: transport(t, func(*http.Request) (*http.Response, error) {
				if calls++; calls == 1 {
					return answer(status, body), nil
				}
				return answer(hopStatus, hopBody), nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		c, err := x.Exchange(t.Context(), podToken(), refresher.Target{})
		if err != nil {
			e := refresher.AsError(err)
			if calls == 2 && e.Class == refresher.SubjectToken {
				t.Errorf("Exchange = %v: no token was refused at the second call", err)
			}
			if i := strings.IndexFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
				t.Errorf("Exchange = %q, with an unprintable character at %d", err, i)
			}
			return
		}
		if key, ok := c.Value.(refresher.AccessKey); !ok || key.ID == "" || key.Secret == "" || key.SessionToken == "" || !c.Expires.After(time.Now()) {
			t.Errorf("Exchange succeeded with a credential that cannot be used, expires %v", c.Expires)
		}
	})
}
