package cloudtest_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const (
	ec2URL         = "http://169.254.169.254/latest/"
	ec2Credentials = ec2URL + "meta-data/iam/security-credentials/"
	ec2TTL         = "X-aws-ec2-metadata-token-ttl-seconds"
	ec2Token       = "X-aws-ec2-metadata-token"
)

func newEC2(w *world, o cloudtest.EC2Options) *cloudtest.EC2 {
	o.Now, o.Rand = w.clock, seeded()
	vm := cloudtest.NewEC2(o)
	w.net.Handle("169.254.169.254", vm)
	return vm
}

// ec2Token gets a metadata token.
func (w *world) ec2Token(seconds int) (*http.Response, string) {
	w.Helper()
	r := w.request("PUT", ec2URL+"api/token", "")
	r.Header.Set(ec2TTL, strconv.Itoa(seconds))
	return w.send(r)
}

func (w *world) ec2Get(target string) (*http.Response, string) {
	w.Helper()
	_, token := w.ec2Token(60)
	r := w.request("GET", target, "")
	r.Header.Set(ec2Token, token)
	return w.send(r)
}

var jsonSecret = regexp.MustCompile(`(SecretAccessKey": ?)"[A-Za-z0-9+/]{40}"`)

func maskSecret(body string) string { return jsonSecret.ReplaceAllString(body, `$1"<SECRET>"`) }

// lent reads an access key out of the document that a machine or a container gets.
func (w *world) lent(body string) (keys aws.Credentials) {
	w.Helper()
	var document struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           string
		Expiration      time.Time
	}
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		w.Fatalf("%v in %s", err, body)
	}
	return aws.Credentials{
		AccessKeyID: document.AccessKeyID, SecretAccessKey: document.SecretAccessKey,
		SessionToken: document.Token, Expires: document.Expiration, CanExpire: true,
	}
}

func TestEC2Answers(t *testing.T) {
	w := newWorld(t)
	vm := newEC2(w, cloudtest.EC2Options{AWS: newAWS(w), RoleARN: roleARN})
	answer, token := w.ec2Token(21600)
	if len(token) != 56 {
		t.Errorf("token = %q, want 56 characters", token)
	}
	golden(t, "ec2_token", answer, "<METADATA-TOKEN>")
	answer, body := w.ec2Get(ec2Credentials)
	golden(t, "ec2_role", answer, body)
	answer, body = w.ec2Get(ec2Credentials + "reports")
	golden(t, "ec2_credentials", answer, maskSecret(body))
	answer, body = w.ec2Get(ec2URL + "dynamic/instance-identity/document")
	golden(t, "ec2_document", answer, body)
	answer, body = w.send(w.request("GET", ec2Credentials, ""))
	golden(t, "ec2_unauthorized", answer, body)
	vm.Inject(cloudtest.Fault{Operation: "role", Throttle: true, Times: 1})
	answer, body = w.ec2Get(ec2Credentials)
	golden(t, "ec2_throttled", answer, body)
}

func TestEC2Tokens(t *testing.T) {
	w := newWorld(t)
	newEC2(w, cloudtest.EC2Options{})
	put := func(change func(*http.Request)) int {
		r := w.request("PUT", ec2URL+"api/token", "")
		r.Header.Set(ec2TTL, "60")
		change(r)
		answer, _ := w.send(r)
		return answer.StatusCode
	}
	ttl := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(ec2TTL)] = values }
	}
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		want   int
	}{
		{"a second", ttl("1"), 200},
		{"six hours", ttl("21600"), 200},
		{"a slash at the end", func(r *http.Request) { r.URL.Path += "/" }, 200},
		{"no time", ttl(), 400},
		{"an empty time", ttl(""), 400},
		{"no seconds", ttl("0"), 400},
		{"negative", ttl("-1"), 400},
		{"more than six hours", ttl("21601"), 400},
		{"a fraction", ttl("1.5"), 400},
		{"more than fits into any number", ttl("99999999999999999999"), 400},
		{"two times", ttl("60", "60"), 400},
		{"a forwarded request", func(r *http.Request) { r.Header["X-Forwarded-For"] = []string{""} }, 403},
		{"a GET", func(r *http.Request) { r.Method = "GET" }, 405},
	} {
		if got := put(c.change); got != c.want {
			t.Errorf("%s: status = %d, want %d", c.name, got, c.want)
		}
	}
}

func TestEC2Metadata(t *testing.T) {
	first := newWorld(t)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = []string{value} }
	}
	for _, c := range []struct {
		name   string
		path   string
		change func(*http.Request)
		want   string // status and body, whole unless it is a page
	}{
		{"the role's name", "meta-data/iam/security-credentials/", nil, "200 reports"},
		{"the role's name, without the slash", "meta-data/iam/security-credentials", nil, "200 reports"},
		{"the region", "meta-data/placement/region", nil, "200 eu-central-1"},
		{"the zone", "meta-data/placement/availability-zone", nil, "200 eu-central-1b"},
		{"the zone with a slash, as botocore asks", "meta-data/placement/availability-zone/", nil, "200 eu-central-1b"},
		{"the instance", "meta-data/instance-id", nil, "200 i-0123456789abcdef0"},
		{"a forwarded GET, which is the token's matter", "meta-data/instance-id", header("X-Forwarded-For", "x"), "200 i-0123456789abcdef0"},
		{"version 1: no token", "meta-data/placement/region", func(r *http.Request) { r.Header.Del(ec2Token) }, "401 <html>"},
		{"an empty token", "meta-data/placement/region", header(ec2Token, ""), "401 <html>"},
		{"a token of somebody else's", "meta-data/placement/region", header(ec2Token, "AQAEA"), "401 <html>"},
		{"no token for what is not there", "meta-data/x", func(r *http.Request) { r.Header.Del(ec2Token) }, "401 <html>"},
		{"another role", "meta-data/iam/security-credentials/other", nil, "404 <html>"},
		{"below the role", "meta-data/iam/security-credentials/reports/x", nil, "404 <html>"},
		{"user data", "user-data", nil, "404 <html>"},
		{"a POST", "meta-data/placement/region", func(r *http.Request) { r.Method = "POST" }, "405 <html>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			newEC2(w, cloudtest.EC2Options{AWS: newAWS(w), RoleARN: roleARN, AvailabilityZone: "eu-central-1b"})
			_, token := w.ec2Token(60)
			r := w.request("GET", ec2URL+c.path, "")
			r.Header.Set(ec2Token, token)
			if c.change != nil {
				c.change(r)
			}
			answer, body := w.send(r)
			got := answer.Status[:3] + " " + body
			if got != c.want && !(strings.HasSuffix(c.want, "<html>") && strings.HasPrefix(got, c.want)) {
				t.Errorf("answer = %q, want %q", got, c.want)
			}
		})
	}
}

func TestEC2TokensEnd(t *testing.T) {
	w := newWorld(t)
	newEC2(w, cloudtest.EC2Options{})
	_, token := w.ec2Token(60)
	get := func() int {
		r := w.request("GET", ec2URL+"meta-data/placement/region", "")
		r.Header.Set(ec2Token, token)
		answer, _ := w.send(r)
		return answer.StatusCode
	}
	w.now = w.now.Add(59 * time.Second)
	if got := get(); got != http.StatusOK {
		t.Errorf("status a second before the token ends = %d, want 200", got)
	}
	w.now = w.now.Add(time.Second)
	if got := get(); got != http.StatusUnauthorized {
		t.Errorf("status when the token has ended = %d, want 401", got)
	}
}

func TestEC2WithoutARole(t *testing.T) {
	w := newWorld(t)
	newEC2(w, cloudtest.EC2Options{})
	for _, path := range []string{"", "reports"} {
		if answer, body := w.ec2Get(ec2Credentials + path); answer.StatusCode != http.StatusNotFound {
			t.Errorf("role %q = %s %s, want 404", path, answer.Status, body)
		}
	}
}

func TestEC2CannotAssumeARoleThatIsGone(t *testing.T) {
	w := newWorld(t)
	newEC2(w, cloudtest.EC2Options{AWS: newAWS(w), RoleARN: "arn:aws:iam::123456789012:role/gone"})
	answer, body := w.ec2Get(ec2Credentials + "gone")
	if got := field(w, body, "Code"); answer.StatusCode != http.StatusOK || got != "AssumeRoleUnauthorizedAccess" {
		t.Errorf("answer = %s %s, want 200 AssumeRoleUnauthorizedAccess", answer.Status, body)
	}
}

func TestEC2LendsKeysThatAWSTakes(t *testing.T) {
	w := newWorld(t)
	vm := newEC2(w, cloudtest.EC2Options{AWS: newAWS(w), RoleARN: roleARN})
	get := func() aws.Credentials {
		_, body := w.ec2Get(ec2Credentials + "reports")
		return w.lent(body)
	}
	keys := get()
	if want := start.Add(6 * time.Hour); !keys.Expires.Equal(want) {
		t.Errorf("Expiration = %v, want %v", keys.Expires, want)
	}
	_, body := w.send(w.sign(keys, "Action=GetCallerIdentity&Version=2011-06-15"))
	if want := "arn:aws:sts::123456789012:assumed-role/reports/i-0123456789abcdef0"; !strings.Contains(body, "<Arn>"+want+"</Arn>") {
		t.Errorf("GetCallerIdentity = %s, want %s", body, want)
	}

	w.now = keys.Expires.Add(-6 * time.Minute)
	if again := get(); again != keys {
		t.Errorf("six minutes before their end: keys %s, want the first, %s", again.AccessKeyID, keys.AccessKeyID)
	}
	w.now = w.now.Add(time.Minute)
	if again := get(); again == keys {
		t.Error("five minutes before their end: the first keys, want others")
	}
	w.now = w.now.Add(24 * time.Hour)
	vm.LimitLifetime(time.Minute)
	if got, want := get().Expires, w.now.Add(time.Minute); !got.Equal(want) {
		t.Errorf("Expiration with LimitLifetime = %v, want %v", got, want)
	}
}
