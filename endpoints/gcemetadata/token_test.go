package gcemetadata_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/refresher"
)

func TestScopes(t *testing.T) {
	tests := []struct {
		name, query, want string // the scope of the target
	}{
		{"none", "", ""},
		{"empty", "scopes=", ""},
		{"one, raw", "scopes=" + platform, platform},
		{"one, encoded", "scopes=" + url.QueryEscape(platform), platform},
		{"two, sorted", "scopes=b,a", "a b"},
		{"two, encoded", "scopes=b%2Ca", "a b"},
		{"two, with a space", "scopes=b,+a", "a b"},
		{"repeated and empty ones", "scopes=a,,b,a,", "a b"},
		{"after other parameters", "transport=mtls&binding-enforcement=on&scopes=a", "a"},
		{"twice: the first", "scopes=a&scopes=b", "a"},
		{"another name", "scope=a", ""},
		{"bad encoding, taken as it is", "scopes=a%zz", "a%zz"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got refresher.Target
			s := newServer(t, full(func(ctx context.Context, t refresher.Target) (refresher.Credential, error) {
				got = t
				return fresh(ctx, t)
			}))
			if w := get(s, accounts+"default/token?"+test.query); w.Code != http.StatusOK {
				t.Fatalf("status = %d, want 200", w.Code)
			}
			if want := (refresher.Target{Scope: test.want}); got != want {
				t.Errorf("target = %v, want %v", got, want)
			}
		})
	}
}

func TestAudience(t *testing.T) {
	tests := []struct {
		name, query, want string // 400 if want is empty
	}{
		{"none", "", ""},
		{"empty", "audience=", ""},
		{"blank", "audience=%20", ""},
		{"no value", "audience", ""},
		{"a word", "audience=a", "a"},
		{"a URL, raw", "audience=https://service.test/x?y=z;w&format=full", "https://service.test/x?y=z;w"},
		{"a URL, encoded", "audience=https%3A%2F%2Fservice.test%2Fx%3Fy%3Dz%26a%3Db&format=full", "https://service.test/x?y=z&a=b"},
		{"a URL with an encoded slash, raw", "audience=https://service.test/a%2Fb", "https://service.test/a/b"},
		{"after other parameters", "licenses=FALSE&format=standard&audience=a", "a"},
		{"bad encoding, taken as it is", "audience=100%", "100%"},
		{"a line break", "audience=a%0d%0ab", ""},
		{"a NUL", "audience=a%00", ""},
		{"not UTF-8", "audience=%ff", ""},
		{"another case of the name", "Audience=a", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got refresher.Target
			s := newServer(t, full(func(ctx context.Context, t refresher.Target) (refresher.Credential, error) {
				got = t
				return fresh(ctx, t)
			}))
			r := request(http.MethodGet, accounts+"default/identity")
			r.URL.RawQuery = test.query
			want := http.StatusOK
			if test.want == "" {
				want = http.StatusBadRequest
			}
			if w := serve(s, r); w.Code != want {
				t.Fatalf("status = %d %q, want %d", w.Code, w.Body, want)
			}
			if want := (refresher.Target{Audience: test.want}); got != want {
				t.Errorf("target = %v, want %v", got, want)
			}
		})
	}
}

func TestTokenStates(t *testing.T) {
	late := func(after time.Duration) endpointstest.Provider {
		return func(ctx context.Context, t refresher.Target) (refresher.Credential, error) {
			time.Sleep(after)
			return fresh(ctx, t)
		}
	}
	lives := func(left time.Duration) endpointstest.Provider {
		return func(context.Context, refresher.Target) (refresher.Credential, error) {
			return refresher.Credential{Value: refresher.Bearer{Token: "ya29.x"}, Expires: now.Add(left)}, nil
		}
	}
	key := func(context.Context, refresher.Target) (refresher.Credential, error) {
		return refresher.Credential{Value: refresher.AccessKey{ID: "AKIA", Secret: "s", SessionToken: "t"}, Expires: now.Add(time.Hour)}, nil
	}
	tests := []struct {
		name     string
		provider endpointstest.Provider
		status   int
		body     string // all of it, if not empty
		after    time.Duration
	}{
		{"at hand", fresh, 200, `{"access_token":"ya29.default","expires_in":3599,"token_type":"Bearer"}`, 0},
		{"in time", late(1900 * time.Millisecond), 200, "", 1900 * time.Millisecond},
		{"none for long", endpointstest.Fail(refresher.Transient, ""), 503, "there is no credential at the moment; try again\n", 2 * time.Second},
		{"throttled", endpointstest.Fail(refresher.Throttled, "x"), 503, "", 2 * time.Second},
		{"a trust that is not visible yet", endpointstest.Fail(refresher.Settling, "x"), 503, "", 2 * time.Second},
		{"denied", endpointstest.Fail(refresher.Denied, "invalid_target"), 503, "the cloud refuses this identity; the log of wisp says why\n", 0},
		{"scopes that the configuration does not list", endpointstest.Fail(refresher.Denied, refresher.CodeTargetNotAllowed), 400, "", 0},
		{"the last second", lives(time.Second), 200, `{"access_token":"ya29.x","expires_in":1,"token_type":"Bearer"}`, 0},
		{"less than a second: never 0", lives(999 * time.Millisecond), 503, "", 0},
		{"expired: never negative", lives(-time.Hour), 503, "", 0},
		{"an access key", key, 500, "the identity does not yield Google credentials\n", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				w := get(newServer(t, full(test.provider)), accounts+"default/token")
				if after := time.Since(start); w.Code != test.status || after != test.after {
					t.Errorf("answer is %d after %v, want %d after %v", w.Code, after, test.status, test.after)
				}
				if got := w.Body.String(); test.body != "" && got != test.body {
					t.Errorf("answer is %q, want %q", got, test.body)
				}
				if got, want := w.Header().Get("Retry-After"), map[bool]string{true: "1"}[test.status == 503]; got != want {
					t.Errorf("Retry-After = %q, want %q", got, want)
				}
			})
		})
	}
}

// Where no ID token can ever be minted, nobody waits for one, or is told to come again.
func TestNoIDTokensWithoutAServiceAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := full(fresh)
		o.Accounts[1].Provider = endpointstest.Fail(refresher.Transient, refresher.CodeNotReady)
		start := time.Now()
		w := get(newServer(t, o), accounts+direct+"/identity?audience=a")
		if after := time.Since(start); w.Code != http.StatusNotFound || after != 0 {
			t.Errorf("answer is %d %q after %v, want 404 at once", w.Code, w.Body, after)
		}
	})
}

// gcloud breaks off for any status but 200 and 404.
func TestIdentityStates(t *testing.T) {
	cold, denied := endpointstest.Fail(refresher.Transient, ""), endpointstest.Fail(refresher.Denied, "PERMISSION_DENIED")
	unlisted := endpointstest.Fail(refresher.Denied, refresher.CodeTargetNotAllowed)
	tests := []struct {
		name       string
		access, id endpointstest.Provider
		status     int
		after      time.Duration
	}{
		{"both at hand", fresh, fresh, 200, 0},
		{"an ID token before the first access token", cold, fresh, 200, 0},
		{"an access token, but no ID token for long", fresh, cold, 404, 2 * time.Second},
		{"an access token, but no permission for ID tokens", fresh, denied, 404, 0},
		{"an access token, but an audience that is not listed", fresh, unlisted, 404, 0},
		{"nothing for long", cold, cold, 503, 2 * time.Second},
		{"nothing yet, and an audience that is not listed", cold, unlisted, 404, 0},
		{"nothing, denied", denied, denied, 503, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				w := get(newServer(t, full(split(test.access, test.id))), accounts+"default/identity?audience=a")
				if after := time.Since(start); w.Code != test.status || after != test.after {
					t.Errorf("answer is %d %q after %v, want %d after %v", w.Code, w.Body, after, test.status, test.after)
				}
			})
		})
	}
}
