package cloudtest_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
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

// keys gets a session of the role.
func (w *world) keys() aws.Credentials {
	w.Helper()
	out, err := w.stsClient(aws.AnonymousCredentials{}).AssumeRoleWithWebIdentity(w.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String(roleARN), RoleSessionName: aws.String("shop-reports"),
		WebIdentityToken: aws.String(w.awsToken(cloudtest.TokenOptions{})),
	})
	if err != nil {
		w.Fatal(err)
	}
	return aws.Credentials{
		AccessKeyID:     *out.Credentials.AccessKeyId,
		SecretAccessKey: *out.Credentials.SecretAccessKey,
		SessionToken:    *out.Credentials.SessionToken,
	}
}

func (w *world) stsClient(p aws.CredentialsProvider) *sts.Client {
	return sts.New(sts.Options{
		Region: "eu-west-1", Credentials: p, Retryer: aws.NopRetryer{}, HTTPClient: &http.Client{Transport: w.net},
	})
}

// fixed is a provider of fixed credentials.
func fixed(c aws.Credentials) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil })
}

// sign makes a POST that is signed at the world's time.
func (w *world) sign(c aws.Credentials, body string) *http.Request {
	w.Helper()
	r := w.request("POST", stsURL, body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	w.signRequest(c, r, body, "sts", "eu-west-1")
	return r
}

func (w *world) signRequest(c aws.Credentials, r *http.Request, body, service, region string) {
	w.Helper()
	if err := v4.NewSigner().SignHTTP(w.Context(), c, r, sha256Hex(body), service, region, w.now); err != nil {
		w.Fatal(err)
	}
}

func sha256Hex(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

func TestAWSVerifiesSignatures(t *testing.T) {
	const identity = "Action=GetCallerIdentity&Version=2011-06-15"
	first := newWorld(t)
	for _, c := range []struct {
		name string
		make func(w *world, keys aws.Credentials) *http.Request
		want string
	}{
		{"well signed", func(w *world, keys aws.Credentials) *http.Request { return w.sign(keys, identity) }, ""},
		{"signed for parameters in the query", func(w *world, keys aws.Credentials) *http.Request {
			r := w.request("GET", stsURL+"?Version=2011-06-15&Action=GetCallerIdentity&Z=%7E%20%2B&A1=&A=%2F", "")
			w.signRequest(keys, r, "", "sts", "eu-west-1")
			return r
		}, ""},
		{"unsigned headers may be added", func(w *world, keys aws.Credentials) *http.Request {
			r := w.sign(keys, identity)
			r.Header.Set("X-Goog-Cloud-Target-Resource", "x")
			return r
		}, ""},
		{"not signed", func(w *world, _ aws.Credentials) *http.Request {
			r := w.request("POST", stsURL, identity)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return r
		}, "403 MissingAuthenticationToken"},
		{"signed in some other way", func(w *world, keys aws.Credentials) *http.Request {
			r := w.sign(keys, identity)
			r.Header.Set("Authorization", "Bearer x")
			return r
		}, "400 IncompleteSignature"},
		{"no date", func(w *world, keys aws.Credentials) *http.Request {
			r := w.sign(keys, identity)
			r.Header.Del("X-Amz-Date")
			return r
		}, "400 IncompleteSignature"},
		{"an unknown key", func(w *world, keys aws.Credentials) *http.Request {
			keys.AccessKeyID = "ASIAAAAAAAAAAAAAAAAA"
			return w.sign(keys, identity)
		}, "403 InvalidClientTokenId: The security token included in the request is invalid."},
		{"without the session token", func(w *world, keys aws.Credentials) *http.Request {
			keys.SessionToken = ""
			return w.sign(keys, identity)
		}, "403 InvalidClientTokenId"},
		{"with another session token", func(w *world, keys aws.Credentials) *http.Request {
			keys.SessionToken += "x"
			return w.sign(keys, identity)
		}, "403 InvalidClientTokenId"},
		{"a wrong secret", func(w *world, keys aws.Credentials) *http.Request {
			keys.SecretAccessKey = "wrong"
			return w.sign(keys, identity)
		}, "403 SignatureDoesNotMatch: The request signature we calculated does not match"},
		{"a changed body", func(w *world, keys aws.Credentials) *http.Request {
			signed := w.sign(keys, identity)
			r := w.request("POST", stsURL, identity+"&x=y")
			r.Header = signed.Header
			return r
		}, "403 SignatureDoesNotMatch: The request signature"},
		{"a changed query", func(w *world, keys aws.Credentials) *http.Request {
			r := w.sign(keys, identity)
			r.URL.RawQuery = "x=y"
			return r
		}, "403 SignatureDoesNotMatch: The request signature"},
		{"a changed signed header", func(w *world, keys aws.Credentials) *http.Request {
			r := w.sign(keys, identity)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return r
		}, "403 SignatureDoesNotMatch: The request signature"},
		{"another host", func(w *world, keys aws.Credentials) *http.Request {
			r := w.sign(keys, identity)
			r.Host = "sts.amazonaws.test"
			return r
		}, "403 SignatureDoesNotMatch: The request signature"},
		{"signed for another service", func(w *world, keys aws.Credentials) *http.Request {
			r := w.request("POST", stsURL, identity)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w.signRequest(keys, r, identity, "iam", "eu-west-1")
			return r
		}, "403 SignatureDoesNotMatch: Credential should be scoped to correct service: 'sts'."},
		{"signed for another region", func(w *world, keys aws.Credentials) *http.Request {
			r := w.request("POST", stsURL, identity)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w.signRequest(keys, r, identity, "sts", "us-east-1")
			return r
		}, "403 SignatureDoesNotMatch: Credential should be scoped to a valid region"},
		{"signed sixteen minutes ago", func(w *world, keys aws.Credentials) *http.Request {
			r := w.sign(keys, identity)
			w.now = w.now.Add(16 * time.Minute)
			return r
		}, "403 SignatureDoesNotMatch: Signature expired: 20260102T030405Z is now earlier than 20260102T030505Z (20260102T032005Z - 15 min.)"},
		{"signed sixteen minutes ahead", func(w *world, keys aws.Credentials) *http.Request {
			w.now = w.now.Add(16 * time.Minute)
			r := w.sign(keys, identity)
			w.now = start
			return r
		}, "403 SignatureDoesNotMatch: Signature not yet current"},
		{"a key that has expired", func(w *world, keys aws.Credentials) *http.Request {
			w.now = w.now.Add(time.Hour)
			return w.sign(keys, identity)
		}, "403 ExpiredToken: The security token included in the request is expired"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			newAWS(w)
			checkAWS(w, c.want)(w.send(c.make(w, w.keys())))
		})
	}
}

func TestAssumeRole(t *testing.T) {
	good := map[string]string{
		"Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": hopARN,
		"RoleSessionName": "two", "ExternalId": "x-1", "DurationSeconds": "3600",
	}
	first := newWorld(t)
	for _, c := range []struct {
		name string
		form map[string]string
		want string
	}{
		{"unchanged", good, ""},
		{"a chain lives an hour at most, whatever the role says", with(good, "DurationSeconds", "3601"), "400 ValidationError: The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"},
		{"no external id", with(good, "ExternalId", ""), "403 AccessDenied: User: arn:aws:sts::123456789012:assumed-role/reports/shop-reports is not authorized to perform: sts:AssumeRole on resource: " + hopARN},
		{"another external id", with(good, "ExternalId", "x-2"), "403 AccessDenied"},
		{"an external id with a blank", with(good, "ExternalId", "x 1"), "400 ValidationError: 1 validation error detected: Value 'x 1' at 'externalId'"},
		{"a role that does not trust the account", with(good, "RoleArn", roleARN), "403 AccessDenied"},
		{"not an ARN", with(good, "RoleArn", "reports, please, dear STS"), "400 ValidationError: reports, please, dear STS is invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			newAWS(w)
			values := url.Values{}
			for name, value := range c.form {
				if value != "" {
					values.Set(name, value)
				}
			}
			checkAWS(w, c.want)(w.send(w.sign(w.keys(), values.Encode())))
		})
	}
}

// The SDK signs with the real clock, so this story runs on it.
func TestAWSWithItsSDK(t *testing.T) {
	w := newWorld(t)
	w.now = time.Now()
	newAWS(w)
	keys := w.keys()

	client := w.stsClient(fixed(keys))
	hop, err := client.AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String(hopARN), RoleSessionName: aws.String("two"), ExternalId: aws.String("x-1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := *hop.Credentials.Expiration, w.now.Add(time.Hour).Truncate(time.Second); !got.Equal(want) {
		t.Errorf("Expiration = %v, want %v", got, want)
	}
	client = w.stsClient(fixed(aws.Credentials{
		AccessKeyID: *hop.Credentials.AccessKeyId, SecretAccessKey: *hop.Credentials.SecretAccessKey, SessionToken: *hop.Credentials.SessionToken,
	}))
	who, err := client.GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := *who.Arn, "arn:aws:sts::210987654321:assumed-role/hop/two"; got != want {
		t.Errorf("GetCallerIdentity = %q, want %q", got, want)
	}

	_, err = w.stsClient(aws.AnonymousCredentials{}).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String(roleARN), RoleSessionName: aws.String("shop-reports"),
		WebIdentityToken: aws.String(w.awsToken(cloudtest.TokenOptions{Audience: []string{"x"}})),
	})
	if refused, ok := errors.AsType[smithy.APIError](err); !ok || refused.ErrorCode() != "InvalidIdentityToken" {
		t.Errorf("AssumeRoleWithWebIdentity = %v, want InvalidIdentityToken", err)
	}
}
