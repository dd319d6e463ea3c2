package cloudtest_test

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const (
	stsURL  = "https://sts.eu-west-1.amazonaws.com/"
	roleARN = "arn:aws:iam::123456789012:role/team/reports"
	hopARN  = "arn:aws:iam::210987654321:role/hop"
)

func newAWS(w *world) *cloudtest.AWS {
	a := cloudtest.NewAWS(cloudtest.AWSOptions{
		Providers: []cloudtest.OIDCProvider{
			{Account: "123456789012", Issuer: issuerURL, Audiences: []string{"sts.amazonaws.com", "second"}},
		},
		Roles: []cloudtest.Role{
			{
				ARN: roleARN, MaxSession: 2 * time.Hour, Issuer: issuerURL,
				Subjects:  []string{"system:serviceaccount:shop:reports", "system:serviceaccount:many-*:?"},
				Audiences: []string{"sts.amazonaws.com"},
			},
			{ARN: "arn:aws:iam::123456789012:role/foreign", Issuer: "https://other.example.test", Subjects: []string{"*"}},
			{ARN: hopARN, TrustedAccounts: []string{"123456789012"}, ExternalID: "x-1", MaxSession: 12 * time.Hour},
		},
		Transport: w.net, Now: w.clock, Rand: seeded(),
	})
	w.net.Handle("sts.eu-west-1.amazonaws.com", a)
	w.net.Handle("sts.amazonaws.com", a)
	return a
}

func (w *world) awsToken(o cloudtest.TokenOptions) string {
	if o.Audience == nil {
		o.Audience = []string{"sts.amazonaws.com"}
	}
	if o.ServiceAccount == "" {
		o.Namespace, o.ServiceAccount = "shop", "reports"
	}
	return w.issuer.Mint(o)
}

func (w *world) webIdentityForm() map[string]string {
	return map[string]string{
		"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15",
		"RoleArn": roleARN, "RoleSessionName": "shop-reports",
		"WebIdentityToken": w.awsToken(cloudtest.TokenOptions{}),
	}
}

func TestAWSAnswers(t *testing.T) {
	w := newWorld(t)
	a := newAWS(w)
	answer, body := w.postForm(stsURL, w.webIdentityForm())
	golden(t, "aws_web_identity", answer, body)

	var result struct {
		Key    string `xml:"AssumeRoleWithWebIdentityResult>Credentials>AccessKeyId"`
		Secret string `xml:"AssumeRoleWithWebIdentityResult>Credentials>SecretAccessKey"`
		Token  string `xml:"AssumeRoleWithWebIdentityResult>Credentials>SessionToken"`
	}
	if err := xml.Unmarshal([]byte(body), &result); err != nil {
		t.Fatal(err)
	}
	const want = "arn:aws:sts::123456789012:assumed-role/reports/shop-reports"
	if arn, ok := a.Principal(result.Key, result.Secret, result.Token); !ok || arn != want {
		t.Errorf("Principal = %q, %v, want %q, true", arn, ok, want)
	}
	if _, ok := a.Principal(result.Key, result.Secret, result.Token+"x"); ok {
		t.Error("Principal with another session token = true, want false")
	}

	keys := aws.Credentials{AccessKeyID: result.Key, SecretAccessKey: result.Secret, SessionToken: result.Token}
	answer, body = w.send(w.sign(keys, "Action=GetCallerIdentity&Version=2011-06-15"))
	golden(t, "aws_caller_identity", answer, body)
	answer, body = w.send(w.sign(keys, "Action=AssumeRole&Version=2011-06-15&ExternalId=x-1&RoleSessionName=two&RoleArn="+url.QueryEscape(hopARN)))
	golden(t, "aws_assume_role", answer, body)

	answer, body = w.postForm(stsURL, with(w.webIdentityForm(), "RoleArn", "arn:aws:iam::123456789012:role/nobody"))
	golden(t, "aws_access_denied", answer, body)
	a.Inject(cloudtest.Fault{Throttle: true, Times: 1, RetryAfter: 1500 * time.Millisecond})
	answer, body = w.postForm(stsURL, w.webIdentityForm())
	golden(t, "aws_throttling", answer, body)
	if got := a.Calls("AssumeRoleWithWebIdentity"); got != 3 {
		t.Errorf("Calls(AssumeRoleWithWebIdentity) = %d, want 3", got)
	}
}

func TestAssumeRoleWithWebIdentity(t *testing.T) {
	type tokenOptions = cloudtest.TokenOptions
	first := newWorld(t)
	for _, c := range []struct {
		name   string
		change func(w *world, form map[string]string)
		want   string // "status Code: text"; empty: accepted
	}{
		{"unchanged", nil, ""},
		{"the shortest duration", set("DurationSeconds", "900"), ""},
		{"the role's longest duration", set("DurationSeconds", "7200"), ""},
		{"a subject matched by wildcards", token(tokenOptions{Namespace: "many-a/b", ServiceAccount: "x"}), ""},
		{"an ES256 token", token(tokenOptions{Algorithm: "ES256"}), ""},
		{"an RS512 token, which only AWS takes", token(tokenOptions{Algorithm: "RS512"}), ""},
		{"no action", set("Action", ""), "400 MissingAction"},
		{"an unknown action", set("Action", "AssumeRoleWithMagic"), "400 InvalidAction: Could not find operation AssumeRoleWithMagic for version 2011-06-15"},
		{"no version", set("Version", ""), "400 InvalidAction: Could not find operation AssumeRoleWithWebIdentity for version NO_VERSION_SPECIFIED"},
		{"another version", set("Version", "2010-05-08"), "400 InvalidAction"},
		{"no role", set("RoleArn", ""), "400 ValidationError: 1 validation error detected: Value null at 'roleArn'"},
		{"a role that is too short", set("RoleArn", "arn:aws:iam::1:x"), "400 ValidationError: 1 validation error detected: Value 'arn:aws:iam::1:x' at 'roleArn' failed to satisfy constraint: Member must have length greater than or equal to 20"},
		{"a user instead of a role", set("RoleArn", "arn:aws:iam::123456789012:user/reports"), "400 ValidationError: Request ARN is invalid"},
		{"no session name", set("RoleSessionName", ""), "400 ValidationError"},
		{"a session name of one letter", set("RoleSessionName", "a"), "400 ValidationError: 1 validation error detected: Value 'a' at 'roleSessionName' failed to satisfy constraint: Member must have length greater than or equal to 2"},
		{"a session name of 65 letters", set("RoleSessionName", strings.Repeat("a", 65)), "400 ValidationError"},
		{"a session name with a slash", set("RoleSessionName", "shop/reports"), `400 ValidationError: 1 validation error detected: Value 'shop/reports' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*`},
		{"no token", set("WebIdentityToken", ""), "400 ValidationError: 1 validation error detected: Value null at 'webIdentityToken'"},
		{"a token of three letters", set("WebIdentityToken", "abc"), "400 ValidationError"},
		{"a token of 20001 letters", set("WebIdentityToken", strings.Repeat("a", 20001)), "400 ValidationError"},
		{"a duration below 900", set("DurationSeconds", "899"), "400 ValidationError: 1 validation error detected: Value '899' at 'durationSeconds'"},
		{"a duration above 43200", set("DurationSeconds", "43201"), "400 ValidationError: 1 validation error detected: Value '43201' at 'durationSeconds'"},
		{"a duration above the role's", set("DurationSeconds", "7201"), "400 ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role."},
		{"a duration that is no number", set("DurationSeconds", "1h"), "400 ValidationError"},
		{"a provider id", set("ProviderId", "www.amazon.com"), "400 InvalidParameterValue"},
		{"something that is not a JWT", set("WebIdentityToken", "opaque"), "400 InvalidIdentityToken: The ID Token provided is not a valid JWT."},
		{"a JWT with a newline after it", func(_ *world, form map[string]string) { form["WebIdentityToken"] += "\n" }, "400 InvalidIdentityToken: The ID Token provided is not a valid JWT."},
		{"an issuer that the account does not know", token(tokenOptions{Claims: map[string]any{"iss": issuerURL + "/"}}), "400 InvalidIdentityToken: No OpenIDConnect provider found in your account for " + issuerURL + "/"},
		{"an account without the provider", set("RoleArn", hopARN), "400 InvalidIdentityToken: No OpenIDConnect provider found in your account for " + issuerURL},
		{"an issuer that is down", func(w *world, _ map[string]string) { w.issuer.Refuse(true) }, "400 IDPCommunicationError"},
		{"an unknown kid", token(tokenOptions{KeyID: "x"}), "400 InvalidIdentityToken: Couldn't retrieve verification key from your identity provider"},
		{"a bad signature", token(tokenOptions{WrongKey: true}), "400 InvalidIdentityToken: The ID Token provided is not valid: the signature does not verify"},
		{"an unsigned token", token(tokenOptions{Algorithm: "none"}), "400 InvalidIdentityToken"},
		{"a token signed with HMAC", token(tokenOptions{Algorithm: "HS256"}), "400 InvalidIdentityToken"},
		{"another audience", token(tokenOptions{Audience: []string{"https://kubernetes.default.svc"}}), "400 InvalidIdentityToken: Incorrect token audience"},
		{"no audience", token(tokenOptions{Claims: map[string]any{"aud": nil}}), "400 InvalidIdentityToken: Missing a required claim: aud"},
		{"no subject", token(tokenOptions{Claims: map[string]any{"sub": nil}}), "400 InvalidIdentityToken: Missing a required claim: sub"},
		{"an expired token", token(tokenOptions{Issued: start.Add(-2 * time.Hour)}), "400 ExpiredTokenException: Token expired: current date/time 1767323045 must be before the expiration date/time 1767319445"},
		{"a role that does not exist", set("RoleArn", roleARN+"s"), "403 AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity"},
		{"a role that trusts another issuer", set("RoleArn", "arn:aws:iam::123456789012:role/foreign"), "403 AccessDenied"},
		{"another subject", token(tokenOptions{Namespace: "shop", ServiceAccount: "Reports"}), "403 AccessDenied"},
		{"an audience of the provider that the role does not trust", token(tokenOptions{Audience: []string{"second"}}), "403 AccessDenied"},
		{"azp stands in for aud in the trust policy", token(tokenOptions{Claims: map[string]any{"azp": "other"}}), "403 AccessDenied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			newAWS(w)
			form := w.webIdentityForm()
			if c.change != nil {
				c.change(w, form)
			}
			checkAWS(w, c.want)(w.postForm(stsURL, form))
		})
	}
}

// set changes a parameter.
func set(name, value string) func(*world, map[string]string) {
	return func(_ *world, form map[string]string) { form[name] = value }
}

// token changes the web identity token.
func token(o cloudtest.TokenOptions) func(*world, map[string]string) {
	return func(w *world, form map[string]string) { form["WebIdentityToken"] = w.awsToken(o) }
}

// checkAWS compares status, code and the beginning of the message.
func checkAWS(t testing.TB, want string) func(*http.Response, string) {
	return func(answer *http.Response, body string) {
		t.Helper()
		var failure struct {
			Type    string `xml:"Error>Type"`
			Code    string `xml:"Error>Code"`
			Message string `xml:"Error>Message"`
		}
		if want == "" {
			if answer.StatusCode != http.StatusOK {
				t.Errorf("answer = %s %s, want 200", answer.Status, body)
			}
			return
		}
		if err := xml.Unmarshal([]byte(body), &failure); err != nil {
			t.Fatal(err)
		}
		got := answer.Status[:3] + " " + failure.Code + ": " + failure.Message
		if !strings.HasPrefix(got, want) || failure.Type != "Sender" {
			t.Errorf("answer = %s (type %s), want %s… (type Sender)", got, failure.Type, want)
		}
	}
}

func TestAWSTakesTheQueryAPIOnly(t *testing.T) {
	w := newWorld(t)
	newAWS(w)
	query := url.Values{}
	for name, value := range w.webIdentityForm() {
		query.Set(name, value)
	}
	checkAWS(t, "")(w.send(w.request("GET", stsURL+"?"+query.Encode(), "")))
	checkAWS(t, "404 InvalidAction")(w.send(w.request("POST", stsURL+"sts", "")))
	checkAWS(t, "404 InvalidAction")(w.send(w.request("PUT", stsURL, "")))
	json := w.request("POST", stsURL, query.Encode())
	json.Header.Set("Content-Type", "application/json")
	checkAWS(t, "400 MissingAction")(w.send(json))
	twice := w.request("GET", stsURL+"?"+query.Encode()+"&Action=GetCallerIdentity", "")
	checkAWS(t, "400 MalformedInput")(w.send(twice))
}
