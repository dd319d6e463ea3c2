package awssts_test

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/awssts"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

const (
	role      = "arn:aws:iam::123456789012:role/team/reports"
	signature = "c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
)

// A service is an STS without a network.
type service func(*http.Request) (*http.Response, error)

func (s service) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

func answer(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status,
		Header:     http.Header{"Content-Type": {"text/xml"}, "Date": {time.Now().UTC().Format(http.TimeFormat)}},
		Body:       io.NopCloser(strings.NewReader(body)),
		ProtoMajor: 1, ProtoMinor: 1,
	}
}

func transport(t *testing.T, s service) *upstream.Transport {
	t.Helper()
	tr, err := upstream.New(upstream.Options{Base: s})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func exchanger(t *testing.T, o awssts.Options, s service) *awssts.Exchanger {
	t.Helper()
	o.RoleARN = cmp.Or(o.RoleARN, role)
	o.Region = cmp.Or(o.Region, "eu-west-1")
	o.Transport = transport(t, s)
	x, err := awssts.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// token is a token with these claims, which nobody verifies here.
func token(claims string) refresher.Token {
	part := base64.RawURLEncoding.EncodeToString
	raw := part([]byte(`{"alg":"RS256","kid":"1"}`)) + "." + part([]byte(claims)) + "." + signature
	return refresher.Token{Raw: refresher.Secret(raw), Type: refresher.TypeJWT}
}

func podToken() refresher.Token {
	return token(fmt.Sprintf(`{"iss":"https://oidc.example.com","sub":"system:serviceaccount:shop:reports","aud":["https://kubernetes.default.svc"],
		"exp":%d,"kubernetes.io":{"namespace":"shop","serviceaccount":{"name":"reports"},"pod":{"name":"reports-0"}}}`,
		time.Now().Add(time.Hour).Unix()))
}

// success is what STS answers when all is well.
func success(expires string) string {
	return `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>system:serviceaccount:shop:reports</SubjectFromWebIdentityToken>
    <Audience>sts.amazonaws.com</Audience>
    <AssumedRoleUser>
      <Arn>arn:aws:sts::123456789012:assumed-role/reports/shop-reports-reports-0</Arn>
      <AssumedRoleId>AROACLKWSDQRAOEXAMPLE:shop-reports-reports-0</AssumedRoleId>
    </AssumedRoleUser>
    <Credentials>
      <SessionToken>session-token</SessionToken>
      <SecretAccessKey>secret-key</SecretAccessKey>
      <Expiration>` + expires + `</Expiration>
      <AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId>
    </Credentials>
    <Provider>https://oidc.example.com</Provider>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>ad4156e9-bce1-11e2-82e6-6b6efEXAMPLE</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>`
}

func TestExchangeAssumesTheRole(t *testing.T) {
	// All that an SDK would find by itself, and must not.
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID":           "AKIAAMBIENT",
		"AWS_SECRET_ACCESS_KEY":       "ambient",
		"AWS_ENDPOINT_URL":            "http://127.0.0.1:1",
		"AWS_ENDPOINT_URL_STS":        "http://127.0.0.1:1",
		"AWS_REGION":                  "us-west-2",
		"AWS_ROLE_ARN":                "arn:aws:iam::999999999999:role/ambient",
		"AWS_USE_FIPS_ENDPOINT":       "true",
		"AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
	subject := podToken()
	expires := time.Now().Add(2 * time.Hour).UTC().Truncate(time.Second)
	var sent url.Values
	x := exchanger(t, awssts.Options{Duration: 2 * time.Hour}, func(r *http.Request) (*http.Response, error) {
		if got := r.Method + " " + r.URL.String(); got != "POST https://sts.eu-west-1.amazonaws.com/" {
			t.Errorf("request = %s, want POST https://sts.eu-west-1.amazonaws.com/", got)
		}
		for _, name := range []string{"Authorization", "X-Amz-Security-Token"} {
			if value := r.Header.Get(name); value != "" {
				t.Errorf("%s = %q: the request must not be signed", name, value)
			}
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if sent, err = url.ParseQuery(string(body)); err != nil {
			return nil, err
		}
		return answer(200, success(expires.Format(time.RFC3339))), nil
	})

	attempt := new(refresher.Attempt)
	got, err := x.Exchange(refresher.WithAttempt(t.Context(), attempt), subject, refresher.Target{})
	if err != nil {
		t.Fatal(err)
	}
	wantForm := url.Values{
		"Action":           {"AssumeRoleWithWebIdentity"},
		"Version":          {"2011-06-15"},
		"RoleArn":          {role},
		"RoleSessionName":  {"shop-reports-reports-0"},
		"WebIdentityToken": {subject.Raw.Reveal()},
		"DurationSeconds":  {"7200"},
	}
	if diff := gocmp.Diff(wantForm, sent); diff != "" {
		t.Errorf("form (-want +got):\n%s", diff)
	}
	want := refresher.AccessKey{ID: "ASIAIOSFODNN7EXAMPLE", Secret: "secret-key", SessionToken: "session-token", AccountID: "123456789012"}
	if got.Value != want {
		t.Errorf("credential is not the one of the answer: id %s, account %s", got.Value.(refresher.AccessKey).ID, got.Value.(refresher.AccessKey).AccountID)
	}
	if !got.Expires.Equal(expires) {
		t.Errorf("Expires = %v, want %v as published", got.Expires, expires)
	}
	if d := attempt.Data(); d.Requested != 2*time.Hour || d.Status != 200 {
		t.Errorf("attempt = %+v, want requested 2h, status 200", d)
	}
}

func TestExchangeAsksForAnHourByDefault(t *testing.T) {
	x := exchanger(t, awssts.Options{SessionName: "fixed@name"}, func(r *http.Request) (*http.Response, error) {
		_ = r.ParseForm()
		if got := r.PostForm.Get("DurationSeconds") + " " + r.PostForm.Get("RoleSessionName"); got != "3600 fixed@name" {
			t.Errorf("duration and session name = %q, want %q", got, "3600 fixed@name")
		}
		return nil, errors.New("enough seen")
	})
	_, _ = x.Exchange(t.Context(), podToken(), refresher.Target{})
}

func TestExpirationIsJudgedByTheServicesClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tests := []struct {
			name  string
			ahead time.Duration // of the service's clock
			left  time.Duration // by the service's clock
			ok    bool
		}{
			{"an hour left there, expired here", -2 * time.Hour, time.Hour, true},
			{"expired there, an hour left here", 2 * time.Hour, -time.Hour, false},
		}
		for _, tt := range tests {
			x := exchanger(t, awssts.Options{}, func(*http.Request) (*http.Response, error) {
				there := time.Now().UTC().Add(tt.ahead)
				a := answer(200, success(there.Add(tt.left).Format(time.RFC3339)))
				a.Header.Set("Date", there.Format(http.TimeFormat))
				return a, nil
			})
			if _, err := x.Exchange(t.Context(), podToken(), refresher.Target{}); (err == nil) != tt.ok {
				t.Errorf("%s: err = %v, want ok %v", tt.name, err, tt.ok)
			}
		}
	})
}

func TestAnswersThatAreNoCredential(t *testing.T) {
	good := success(time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	without := func(text string) string { return strings.Replace(good, text, "", 1) }
	tests := []struct{ name, body string }{
		{"empty", ""},
		{"HTML", "<!DOCTYPE html><html><body>Welcome to the airport</body></html>"},
		{"HTML that is not XML", "<html><br><p>hello</html>"},
		{"JSON", `{"AssumeRoleWithWebIdentityResponse":{}}`},
		{"null", "null"},
		{"broken off", good[:len(good)/2]},
		{"no result", "<AssumeRoleWithWebIdentityResponse/>"},
		{"empty result", "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult/></AssumeRoleWithWebIdentityResponse>"},
		{"no access key", without("ASIAIOSFODNN7EXAMPLE")},
		{"no secret key", without("secret-key")},
		{"no session token", without("session-token")},
		{"no expiration", success("")},
		{"expiration in the past", success("2011-07-15T23:28:33Z")},
		{"expiration that is no time", success("tomorrow")},
		{"longer than 256 KiB", strings.Replace(good, "secret-key", strings.Repeat("x", 300<<10), 1)},
		{"deeply nested", strings.Repeat("<a>", 50_000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := exchanger(t, awssts.Options{}, func(*http.Request) (*http.Response, error) { return answer(200, tt.body), nil })
			c, err := x.Exchange(t.Context(), podToken(), refresher.Target{})
			e := refresher.AsError(err)
			if e == nil || e.Class != refresher.Transient || e.Code != refresher.CodeBadCredential {
				t.Errorf("Exchange = %v, %v, want transient %s", c, err, refresher.CodeBadCredential)
			}
			if c.Value != nil {
				t.Error("a credential came with the error")
			}
		})
	}
}

func TestOnlyTheDefaultTarget(t *testing.T) {
	x := exchanger(t, awssts.Options{}, func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return nil, errors.New("unexpected")
	})
	for _, target := range []refresher.Target{{Scope: "a"}, {Audience: "b"}} {
		_, err := x.Exchange(t.Context(), podToken(), target)
		if e := refresher.AsError(err); e == nil || e.Class != refresher.Denied || e.Code != refresher.CodeTargetNotAllowed {
			t.Errorf("Exchange for %+v = %v, want denied", target, err)
		}
	}
}
