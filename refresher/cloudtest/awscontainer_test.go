package cloudtest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const containerURL = "http://169.254.170.23/v1/credentials"

func newAWSContainer(w *world, o cloudtest.AWSContainerOptions) *cloudtest.AWSContainer {
	o.AWS, o.Now, o.Rand = newAWS(w), w.clock, seeded()
	c := cloudtest.NewAWSContainer(o)
	w.net.Handle("169.254.170.23", c)
	return c
}

func TestAWSContainerAnswers(t *testing.T) {
	w := newWorld(t)
	c := newAWSContainer(w, cloudtest.AWSContainerOptions{RoleARN: roleARN})
	get := func() (*http.Response, string) {
		r := w.request("GET", containerURL, "")
		r.Header.Set("Authorization", c.Authorization())
		return w.send(r)
	}
	answer, body := get()
	golden(t, "awscontainer_credentials", answer, maskSecret(body))
	keys := w.lent(body)
	checkAWS(t, "")(w.send(w.sign(keys, "Action=GetCallerIdentity&Version=2011-06-15")))

	w.now = w.now.Add(6*time.Hour - 5*time.Minute)
	if _, body = get(); w.lent(body) == keys {
		t.Error("five minutes before their end: the first keys, want others")
	}
	c.Inject(cloudtest.Fault{Throttle: true, Times: 1})
	answer, body = get()
	golden(t, "awscontainer_throttled", answer, body)
}

func TestAWSContainerIsStrict(t *testing.T) {
	first := newWorld(t)
	for _, c := range []struct {
		name    string
		role    string
		request func(*http.Request)
		want    int
	}{
		{"as configured", roleARN, func(*http.Request) {}, 200},
		{"no authorization", roleARN, func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		{"another's", roleARN, func(r *http.Request) { r.Header.Set("Authorization", "x") }, 403},
		{"a scheme before it", roleARN, func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+r.Header.Get("Authorization"))
		}, 403},
		{"twice", roleARN, func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, 403},
		{"a slash at the end", roleARN, func(r *http.Request) { r.URL.Path += "/" }, 404},
		{"a POST", roleARN, func(r *http.Request) { r.Method = "POST" }, 405},
		{"a role that is gone", "arn:aws:iam::123456789012:role/gone", func(*http.Request) {}, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			endpoint := newAWSContainer(w, cloudtest.AWSContainerOptions{RoleARN: c.role, Authorization: "a b=="})
			r := w.request("GET", containerURL, "")
			r.Header.Set("Authorization", endpoint.Authorization())
			c.request(r)
			if answer, body := w.send(r); answer.StatusCode != c.want {
				t.Errorf("answer = %s %s, want %d", answer.Status, body, c.want)
			}
		})
	}
}
