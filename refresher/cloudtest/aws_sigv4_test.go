package cloudtest_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

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
