package source_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google/externalaccount"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

var _ refresher.Source = (*source.AWSCallerIdentity)(nil)

const (
	googleProvider = "projects/123456789/locations/global/workloadIdentityPools/clouds/providers/amazon"
	targetResource = "//iam.googleapis.com/" + googleProvider
)

// Keys that only exist in documentation.
var (
	userKey    = refresher.AccessKey{ID: "AKIAIOSFODNN7EXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	sessionKey = refresher.AccessKey{ID: "ASIAIOSFODNN7EXAMPLE", Secret: userKey.Secret, SessionToken: "IQoJb3JpZ2lu+EXAMPLE/SESSION=="}
)

// fixedKeys are the same keys at every call.
type fixedKeys struct {
	key     refresher.AccessKey
	expires time.Time
	region  string
}

func (k fixedKeys) AWSKey(context.Context) (refresher.AccessKey, time.Time, error) {
	return k.key, k.expires, nil
}

func (k fixedKeys) AWSRegion(context.Context) (string, error) {
	if k.region == "" {
		return "", errors.New("nobody should ask for the region")
	}
	return k.region, nil
}

func callerIdentity(t testing.TB, o source.AWSCallerIdentityOptions) *source.AWSCallerIdentity {
	t.Helper()
	if o.TargetResource == "" {
		o.TargetResource = targetResource
	}
	s, err := source.NewAWSCallerIdentity(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A signedRequest is what a token consists of.
type signedRequest struct {
	URL, Method string
	Headers     []struct{ Key, Value string }
}

func (r signedRequest) header(name string) string {
	for _, h := range r.Headers {
		if strings.EqualFold(h.Key, name) {
			return h.Value
		}
	}
	return ""
}

func decodeSigned(t testing.TB, raw string) (signedRequest, string) {
	t.Helper()
	text, err := url.QueryUnescape(raw)
	if err != nil {
		t.Fatal(err)
	}
	var r signedRequest
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	return r, text
}

func TestSignedRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const global = "https://sts.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
		var b strings.Builder
		for _, c := range []struct {
			name    string
			options source.AWSCallerIdentityOptions
			lives   time.Duration // from its signature
		}{
			{"a session's key", source.AWSCallerIdentityOptions{Region: "eu-west-1", Keys: fixedKeys{key: sessionKey}}, 15 * time.Minute},
			{"a user's key has no session token", source.AWSCallerIdentityOptions{Region: "us-gov-west-1", Keys: fixedKeys{key: userKey}}, 15 * time.Minute},
			{"the region is that of the keys", source.AWSCallerIdentityOptions{Keys: fixedKeys{key: userKey, region: "ap-southeast-4"}}, 15 * time.Minute},
			{"the global service is in us-east-1, and needs no region", source.AWSCallerIdentityOptions{VerificationURL: global, Keys: fixedKeys{key: userKey}}, 15 * time.Minute},
			{"a key that ends before the signature", source.AWSCallerIdentityOptions{
				Region: "eu-west-1", Keys: fixedKeys{key: sessionKey, expires: time.Now().Add(4 * time.Minute)},
			}, 5 * time.Minute},
		} {
			token, err := callerIdentity(t, c.options).Token(t.Context())
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			if signed := time.Now().Add(-time.Minute); !token.Issued.Equal(signed) || !token.Expires.Equal(signed.Add(c.lives)) || token.Type != refresher.TypeAWSRequest {
				t.Errorf("%s: Token = %v, want one signed a minute ago, for %v", c.name, token, c.lives)
			}
			_, text := decodeSigned(t, token.Raw.Reveal())
			var indented bytes.Buffer
			if err := json.Indent(&indented, []byte(text), "", "  "); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "# %s\n%s\n\n", c.name, &indented)
		}
		golden(t, "aws_signed_requests", b.String())
	})
}

// Google's own library, given the same keys at the same time, makes the same request.
func TestSignatureIsThatOfGooglesLibrary(t *testing.T) {
	for _, c := range []struct {
		name string
		key  refresher.AccessKey
	}{{"a session's key", sessionKey}, {"a user's key", userKey}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want := libraryToken(t, c.key)
				time.Sleep(time.Minute) // what the source dates back
				token, err := callerIdentity(t, source.AWSCallerIdentityOptions{Region: "eu-west-1", Keys: fixedKeys{key: c.key}}).Token(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				got, _ := decodeSigned(t, token.Raw.Reveal())
				if got.URL != want.URL || got.Method != want.Method || len(got.Headers) != len(want.Headers) {
					t.Errorf("request = %+v, want %+v", got, want)
				}
				for _, h := range want.Headers {
					if diff := cmp.Diff(h.Value, got.header(h.Key)); diff != "" {
						t.Errorf("header %s (-want +got):\n%s", h.Key, diff)
					}
				}
			})
		})
	}
}

// libraryToken is the subject token that x/oauth2 sends.
func libraryToken(t *testing.T, key refresher.AccessKey) signedRequest {
	t.Helper()
	var sent string
	w := &wire{answer: func(r *http.Request) (*http.Response, error) {
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		sent = r.PostForm.Get("subject_token")
		return nil, errors.New("seen enough")
	}}
	tokens, err := externalaccount.NewTokenSource(context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: w}), externalaccount.Config{
		Audience:                       targetResource,
		SubjectTokenType:               refresher.TypeAWSRequest,
		Scopes:                         []string{"https://www.googleapis.com/auth/cloud-platform"},
		AwsSecurityCredentialsSupplier: librarySupplier(key),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Token(); err == nil || sent == "" {
		t.Fatal("the library has sent no subject token")
	}
	r, _ := decodeSigned(t, sent)
	return r
}

type librarySupplier refresher.AccessKey

func (librarySupplier) AwsRegion(context.Context, externalaccount.SupplierOptions) (string, error) {
	return "eu-west-1", nil
}

func (s librarySupplier) AwsSecurityCredentials(context.Context, externalaccount.SupplierOptions) (*externalaccount.AwsSecurityCredentials, error) {
	return &externalaccount.AwsSecurityCredentials{
		AccessKeyID: s.ID, SecretAccessKey: s.Secret.Reveal(), SessionToken: s.SessionToken.Reveal(),
	}, nil
}

func TestAWSCallerIdentityOptions(t *testing.T) {
	good := source.AWSCallerIdentityOptions{TargetResource: targetResource, Keys: fixedKeys{key: userKey}}
	var b strings.Builder
	for _, c := range []struct {
		name   string
		change func(*source.AWSCallerIdentityOptions)
	}{
		{"nothing but what is required", func(*source.AWSCallerIdentityOptions) {}},
		{"no target", func(o *source.AWSCallerIdentityOptions) { o.TargetResource = "" }},
		{"a workforce", func(o *source.AWSCallerIdentityOptions) {
			o.TargetResource = "//iam.googleapis.com/locations/global/workforcePools/staff/providers/aws"
		}},
		{"a project's id for its number", func(o *source.AWSCallerIdentityOptions) {
			o.TargetResource = strings.Replace(targetResource, "123456789", "acme-prod", 1)
		}},
		{"a zone for a region", func(o *source.AWSCallerIdentityOptions) { o.Region = "eu-west-1a" }},
		{"a region that would be another host", func(o *source.AWSCallerIdentityOptions) { o.Region = "eu-west-1.evil.example/x" }},
		{"a region of China", func(o *source.AWSCallerIdentityOptions) { o.Region = "cn-north-1" }},
		{"a secret region", func(o *source.AWSCallerIdentityOptions) { o.Region = "us-isob-east-1" }},
		{"the URL that tools write", func(o *source.AWSCallerIdentityOptions) { o.VerificationURL = source.DefaultVerificationURL }},
		{"the URL of one region", func(o *source.AWSCallerIdentityOptions) {
			o.VerificationURL = "https://sts.us-east-2.amazonaws.com/?Version=2011-06-15&Action=GetCallerIdentity"
		}},
		{"http", func(o *source.AWSCallerIdentityOptions) {
			o.VerificationURL = strings.Replace(source.DefaultVerificationURL, "https", "http", 1)
		}},
		{"a port", func(o *source.AWSCallerIdentityOptions) {
			o.VerificationURL = strings.Replace(source.DefaultVerificationURL, ".com", ".com:443", 1)
		}},
		{"another host", func(o *source.AWSCallerIdentityOptions) {
			o.VerificationURL = strings.Replace(source.DefaultVerificationURL, ".com", ".com.evil.example", 1)
		}},
		{"a path", func(o *source.AWSCallerIdentityOptions) {
			o.VerificationURL = strings.Replace(source.DefaultVerificationURL, "?", "/x?", 1)
		}},
		{"a request for something else", func(o *source.AWSCallerIdentityOptions) {
			o.VerificationURL = "https://sts.amazonaws.com?Action=AssumeRole&Version=2011-06-15"
		}},
		{"a request with more to it", func(o *source.AWSCallerIdentityOptions) {
			o.VerificationURL = source.DefaultVerificationURL + "&RoleArn=x"
		}},
		{"all at once", func(o *source.AWSCallerIdentityOptions) {
			o.TargetResource, o.Region, o.VerificationURL = "x", "x", "x"
		}},
	} {
		o := good
		c.change(&o)
		b.WriteString(problems(c.name, o.Check()))
		if _, err := source.NewAWSCallerIdentity(o); (err == nil) != (len(o.Check()) == 0) {
			t.Errorf("%s: NewAWSCallerIdentity = %v, Check = %v", c.name, err, o.Check())
		}
	}
	golden(t, "aws_caller_identity_options", b.String())
	if _, err := source.NewAWSCallerIdentity(source.AWSCallerIdentityOptions{TargetResource: targetResource}); err == nil {
		t.Error("NewAWSCallerIdentity takes no keys")
	}
}
