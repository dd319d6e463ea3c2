package cloudtest_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// presign is a request as aws-iam-authenticator has it signed for a cluster, by AWS's own signer.
func (w *world) presign(c aws.Credentials, service, region string) *http.Request {
	w.Helper()
	r := w.request("GET", stsURL+"?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Expires=60", "")
	r.Header.Set("x-k8s-aws-id", "prod")
	signed, _, err := v4.NewSigner().PresignHTTP(w.Context(), c, r, sha256Hex(""), service, region, w.now)
	if err != nil {
		w.Fatal(err)
	}
	r.URL, err = url.Parse(signed)
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// change sets parameters of a signed URL; an empty value takes one away.
func change(u *url.URL, pairs ...string) {
	query := u.Query()
	for n := 0; n < len(pairs); n += 2 {
		query.Set(pairs[n], pairs[n+1])
		if pairs[n+1] == "" {
			query.Del(pairs[n])
		}
	}
	u.RawQuery = query.Encode()
}

func TestAWSVerifiesPresignedRequests(t *testing.T) {
	changed := func(pairs ...string) func(*world, aws.Credentials) *http.Request {
		return func(w *world, keys aws.Credentials) *http.Request {
			r := w.presign(keys, "sts", "eu-west-1")
			change(r.URL, pairs...)
			return r
		}
	}
	const mismatch, incomplete = "403 SignatureDoesNotMatch: The request signature", "400 IncompleteSignature"
	first := newWorld(t)
	for _, c := range []struct {
		name string
		make func(w *world, keys aws.Credentials) *http.Request
		want string
	}{
		{"well signed", changed(), ""},
		{"14 minutes old, whatever X-Amz-Expires says", func(w *world, keys aws.Credentials) *http.Request {
			r := w.presign(keys, "sts", "eu-west-1")
			w.now = w.now.Add(14 * time.Minute)
			return r
		}, ""},
		{"16 minutes old", func(w *world, keys aws.Credentials) *http.Request {
			r := w.presign(keys, "sts", "eu-west-1")
			w.now = w.now.Add(16 * time.Minute)
			return r
		}, "403 SignatureDoesNotMatch: Signature expired"},
		{"a longer X-Amz-Expires than was signed", changed("X-Amz-Expires", "900"), mismatch},
		{"another action", changed("Action", "AssumeRole"), "403 SignatureDoesNotMatch"},
		{"another parameter", changed("x", "y"), mismatch},
		{"another cluster", func(w *world, keys aws.Credentials) *http.Request {
			r := w.presign(keys, "sts", "eu-west-1")
			r.Header.Set("x-k8s-aws-id", "test")
			return r
		}, mismatch},
		{"no cluster", func(w *world, keys aws.Credentials) *http.Request {
			r := w.presign(keys, "sts", "eu-west-1")
			r.Header.Del("x-k8s-aws-id")
			return r
		}, mismatch},
		{"the cluster no longer signed", changed("X-Amz-SignedHeaders", "host"), mismatch},
		{"by POST", func(w *world, keys aws.Credentials) *http.Request {
			r := w.presign(keys, "sts", "eu-west-1")
			r.Method = "POST"
			return r
		}, mismatch},
		{"a wrong secret", func(w *world, keys aws.Credentials) *http.Request {
			keys.SecretAccessKey = "wrong"
			return w.presign(keys, "sts", "eu-west-1")
		}, mismatch},
		{"without the session token", changed("X-Amz-Security-Token", ""), "403 InvalidClientTokenId"},
		{"another service", func(w *world, keys aws.Credentials) *http.Request { return w.presign(keys, "iam", "eu-west-1") }, "403 SignatureDoesNotMatch: Credential should be scoped to correct service"},
		{"another region", func(w *world, keys aws.Credentials) *http.Request { return w.presign(keys, "sts", "us-east-1") }, "403 SignatureDoesNotMatch: Credential should be scoped to a valid region"},
		{"no algorithm", changed("X-Amz-Algorithm", ""), incomplete},
		{"another algorithm", changed("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"), incomplete},
		{"no credential", changed("X-Amz-Credential", ""), incomplete},
		{"no date", changed("X-Amz-Date", ""), incomplete},
		{"no signed headers", changed("X-Amz-SignedHeaders", ""), incomplete},
		{"signed headers out of order", changed("X-Amz-SignedHeaders", "x-k8s-aws-id;host"), incomplete},
		{"no X-Amz-Expires", changed("X-Amz-Expires", ""), incomplete},
		{"X-Amz-Expires 0", changed("X-Amz-Expires", "0"), incomplete},
		{"more than a week", changed("X-Amz-Expires", "604801"), incomplete},
		{"half a signature", changed("X-Amz-Signature", strings.Repeat("a", 32)), incomplete},
		{"no signature", changed("X-Amz-Signature", ""), "403 MissingAuthenticationToken"},
		{"signed twice over", func(w *world, keys aws.Credentials) *http.Request {
			r := w.presign(keys, "sts", "eu-west-1")
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x")
			return r
		}, "400 InvalidRequest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			newAWS(w)
			checkAWS(w, c.want)(w.send(c.make(w, w.keys())))
		})
	}
}

func TestEKS(t *testing.T) {
	first := newWorld(t)
	token := func(u *url.URL) string {
		return "k8s-aws-v1." + base64.RawURLEncoding.EncodeToString([]byte(u.String()))
	}
	for _, c := range []struct {
		name    string
		cluster string
		spoil   func(w *world, u *url.URL)
		spoiled func(token string) string
		want    string // a part of the error
	}{
		{name: "good", cluster: "prod"},
		{name: "for another cluster", cluster: "test", want: "got 403"},
		{name: "another prefix", cluster: "prod", spoiled: func(s string) string { return s[1:] }, want: "prefix"},
		{name: "padding", cluster: "prod", spoiled: func(s string) string { return s + "==" }, want: "base64"},
		{name: "large", cluster: "prod", spoiled: func(s string) string { return s + strings.Repeat("A", 4096) }, want: "too large"},
		{name: "http", cluster: "prod", spoil: func(_ *world, u *url.URL) { u.Scheme = "http" }, want: "scheme"},
		{name: "another host", cluster: "prod", spoil: func(_ *world, u *url.URL) { u.Host = "sts.eu-west-1.amazonaws.com.evil.example" }, want: "host"},
		{name: "no path", cluster: "prod", spoil: func(_ *world, u *url.URL) { u.Path = "" }, want: "path"},
		{name: "another parameter", cluster: "prod", spoil: func(_ *world, u *url.URL) { change(u, "RoleArn", "x") }, want: "RoleArn is not allowed"},
		{name: "a parameter twice", cluster: "prod", spoil: func(_ *world, u *url.URL) { u.RawQuery += "&Action=GetCallerIdentity" }, want: "several values"},
		{name: "another action", cluster: "prod", spoil: func(_ *world, u *url.URL) { change(u, "Action", "AssumeRole") }, want: "action"},
		{name: "the cluster not signed", cluster: "prod", spoil: func(_ *world, u *url.URL) { change(u, "X-Amz-SignedHeaders", "host") }, want: "x-k8s-aws-id"},
		{name: "an hour", cluster: "prod", spoil: func(_ *world, u *url.URL) { change(u, "X-Amz-Expires", "3600") }, want: "X-Amz-Expires"},
		{name: "no date", cluster: "prod", spoil: func(_ *world, u *url.URL) { change(u, "X-Amz-Date", "") }, want: "X-Amz-Date"},
		{name: "old", cluster: "prod", spoil: func(w *world, _ *url.URL) { w.now = w.now.Add(16 * time.Minute) }, want: "expired"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			newAWS(w)
			u := w.presign(w.keys(), "sts", "eu-west-1").URL
			if u.Path == "" {
				u.Path = "/"
			}
			if c.spoil != nil {
				c.spoil(w, u)
			}
			text := token(u)
			if c.spoiled != nil {
				text = c.spoiled(text)
			}
			eks := cloudtest.NewEKS(cloudtest.EKSOptions{Cluster: c.cluster, Transport: w.net, Now: w.clock})
			arn, err := eks.Authenticate(t.Context(), text)
			if c.want == "" {
				if want := "arn:aws:sts::123456789012:assumed-role/reports/shop-reports"; arn != want || err != nil {
					t.Errorf("Authenticate = %q, %v, want %q", arn, err, want)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Authenticate = %q, %v, want an error with %q", arn, err, c.want)
			}
		})
	}
}
