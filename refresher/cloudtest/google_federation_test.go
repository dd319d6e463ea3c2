package cloudtest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google/externalaccount"
)

type supplier func() string

func (s supplier) SubjectToken(context.Context, externalaccount.SupplierOptions) (string, error) {
	return s(), nil
}

type awsSupplier aws.Credentials

func (awsSupplier) AwsRegion(context.Context, externalaccount.SupplierOptions) (string, error) {
	return "eu-west-1", nil
}

func (s awsSupplier) AwsSecurityCredentials(context.Context, externalaccount.SupplierOptions) (*externalaccount.AwsSecurityCredentials, error) {
	return &externalaccount.AwsSecurityCredentials{
		AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey, SessionToken: s.SessionToken,
	}, nil
}

// The library runs on the real clock, so these stories do.
func TestGoogleWithItsLibrary(t *testing.T) {
	w := newWorld(t)
	w.now = time.Now()
	g := newGoogle(w)
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: w.net})

	t.Run("a Kubernetes token for a service account's", func(t *testing.T) {
		source, err := externalaccount.NewTokenSource(ctx, externalaccount.Config{
			Audience:                       audience,
			SubjectTokenType:               "urn:ietf:params:oauth:token-type:jwt",
			Scopes:                         []string{scope},
			ServiceAccountImpersonationURL: iamURL + url.PathEscape(reports) + ":generateAccessToken",
			SubjectTokenSupplier:           supplier(func() string { return w.googleToken(cloudtest.TokenOptions{}) }),
		})
		if err != nil {
			t.Fatal(err)
		}
		token, err := source.Token()
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := g.Principal(token.AccessToken); got != "serviceAccount:"+reports {
			t.Errorf("Principal = %q, want serviceAccount:%s", got, reports)
		}
	})
	t.Run("AWS keys for a federated token", func(t *testing.T) {
		newAWS(w)
		source, err := externalaccount.NewTokenSource(ctx, externalaccount.Config{
			Audience:                       "//iam.googleapis.com/" + awsProvider,
			SubjectTokenType:               "urn:ietf:params:aws:token-type:aws4_request",
			Scopes:                         []string{scope},
			AwsSecurityCredentialsSupplier: awsSupplier(w.keys()),
		})
		if err != nil {
			t.Fatal(err)
		}
		w.now = time.Now().Add(5 * time.Minute) // the request must not be signed in the service's future, nor 15 minutes ago
		token, err := source.Token()
		if err != nil {
			t.Fatal(err)
		}
		want := "principal://iam.googleapis.com/" + pool + "/subject/arn:aws:sts::123456789012:assumed-role/reports/shop-reports"
		if got, _ := g.Principal(token.AccessToken); got != want {
			t.Errorf("Principal = %q, want %q", got, want)
		}
	})
}

func TestGoogleAWSRequests(t *testing.T) {
	const target = stsURL + "?Action=GetCallerIdentity&Version=2011-06-15"
	type request struct {
		URL     string              `json:"url"`
		Method  string              `json:"method"`
		Headers []map[string]string `json:"headers"`
	}
	header := func(name, value string) func(*request) {
		return func(r *request) {
			kept := []map[string]string{}
			for _, h := range r.Headers {
				if !strings.EqualFold(h["key"], name) {
					kept = append(kept, h)
				}
			}
			if value != "" {
				kept = append(kept, map[string]string{"key": name, "value": value})
			}
			r.Headers = kept
		}
	}
	first := newWorld(t)
	for _, c := range []struct {
		name   string
		change func(*request)
		later  time.Duration
		want   string
	}{
		{"unchanged", func(*request) {}, 0, ""},
		{"the resource with https:", header("x-goog-cloud-target-resource", "https://iam.googleapis.com/"+awsProvider), 0, ""},
		{"plain http", func(r *request) { r.URL = strings.Replace(r.URL, "https", "http", 1) }, 0, "invalid_grant: Invalid AWS subject token: the url is not that of STS."},
		{"a port", func(r *request) { r.URL = strings.Replace(r.URL, ".com/", ".com:443/", 1) }, 0, "invalid_grant: Invalid AWS subject token: the url is not that of STS."},
		{"somebody else's host", func(r *request) { r.URL = strings.Replace(r.URL, ".com/", ".com.example.test/", 1) }, 0, "invalid_grant: Invalid AWS subject token: the url is not that of STS."},
		{"another action", func(r *request) { r.URL = strings.Replace(r.URL, "GetCallerIdentity", "AssumeRole", 1) }, 0, "invalid_grant: Invalid AWS subject token: the url does not ask"},
		{"no version", func(r *request) { r.URL = strings.Replace(r.URL, "&Version=2011-06-15", "", 1) }, 0, "invalid_grant: Invalid AWS subject token: the url does not ask"},
		{"the action in another case, which AWS is left to judge", func(r *request) {
			r.URL = strings.Replace(r.URL, "Action=GetCallerIdentity&Version", "action=getcalleridentity&VERSION", 1)
		}, 0, "invalid_grant: Received invalid AWS response of type: 400 Bad Request"},
		{"the global STS, for which nobody has signed", func(r *request) {
			r.URL = strings.Replace(r.URL, stsURL, "https://sts.amazonaws.com/", 1)
			header("host", "sts.amazonaws.com")(r)
		}, 0, "invalid_grant: Received invalid AWS response of type: 403 Forbidden"},
		{"headers in capitals", func(r *request) {
			for _, h := range r.Headers {
				h["key"] = strings.ToUpper(h["key"])
			}
		}, 0, ""},
		{"a GET", func(r *request) { r.Method = "GET" }, 0, "invalid_grant: Invalid AWS subject token: the method"},
		{"no date", header("x-amz-date", ""), 0, "invalid_grant: Invalid AWS subject token: the header x-amz-date is missing."},
		{"no signature", header("authorization", ""), 0, "invalid_grant: Invalid AWS subject token: the header authorization"},
		{"no host", header("host", ""), 0, "invalid_grant: Invalid AWS subject token: the header host"},
		{"another host", header("host", "sts.amazonaws.com"), 0, "invalid_grant: Invalid AWS subject token: the header host differs"},
		{"no target", header("x-goog-cloud-target-resource", ""), 0, "invalid_grant: Invalid AWS subject token: the header x-goog-cloud-target-resource is missing."},
		{"another target", header("x-goog-cloud-target-resource", audience), 0, "invalid_grant: Invalid AWS subject token: the header x-goog-cloud-target-resource does not"},
		{"sixteen minutes old", func(*request) {}, 16 * time.Minute, "invalid_grant: Invalid AWS subject token: the header x-amz-date is not within"},
		{"from the future", func(*request) {}, -time.Minute, "invalid_grant: Invalid AWS subject token: the header x-amz-date is not within"},
		{"a signature that AWS refuses", header("x-amz-security-token", "x"), 0, "invalid_grant: Received invalid AWS response of type: 403 Forbidden"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			newGoogle(w)
			newAWS(w)
			keys := w.keys()
			r := w.request("POST", target, "")
			w.signRequest(keys, r, "", "sts", "eu-west-1")
			subject := request{URL: target, Method: "POST"}
			for name := range r.Header {
				header(name, r.Header.Get(name))(&subject)
			}
			header("host", r.URL.Host)(&subject)
			header("x-goog-cloud-target-resource", "//iam.googleapis.com/"+awsProvider)(&subject)
			c.change(&subject)
			text, err := json.Marshal(subject)
			if err != nil {
				t.Fatal(err)
			}
			w.now = w.now.Add(c.later)
			form := w.exchangeForm()
			form["audience"] = "//iam.googleapis.com/" + awsProvider
			form["subject_token_type"] = "urn:ietf:params:aws:token-type:aws4_request"
			form["subject_token"] = url.QueryEscape(string(text))
			checkOAuth(w, c.want, http.StatusBadRequest)(w.postForm(tokenURL, form))
		})
	}

	t.Run("keys of another account", func(t *testing.T) {
		w := newWorld(t)
		g := newGoogle(w)
		newAWS(w)
		g.PutProvider(cloudtest.PoolProvider{Name: awsProvider, AWSAccount: "999999999999"})
		r := w.request("POST", target, "")
		w.signRequest(w.keys(), r, "", "sts", "eu-west-1")
		var headers []string
		for name := range r.Header {
			headers = append(headers, `{"key":"`+name+`","value":"`+r.Header.Get(name)+`"}`)
		}
		headers = append(headers, `{"key":"host","value":"sts.eu-west-1.amazonaws.com"}`, `{"key":"x-goog-cloud-target-resource","value":"//iam.googleapis.com/`+awsProvider+`"}`)
		form := w.exchangeForm()
		form["audience"] = "//iam.googleapis.com/" + awsProvider
		form["subject_token_type"] = "urn:ietf:params:aws:token-type:aws4_request"
		form["subject_token"] = url.QueryEscape(`{"url":"` + target + `","method":"POST","headers":[` + strings.Join(headers, ",") + `]}`)
		checkOAuth(w, "invalid_grant: The AWS account does not match", http.StatusBadRequest)(w.postForm(tokenURL, form))
	})
}
