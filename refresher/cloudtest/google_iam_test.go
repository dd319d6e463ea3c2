package cloudtest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// impersonate calls a method of the IAM Credentials API.
func (w *world) impersonate(token, method, body string) (*http.Response, string) {
	w.Helper()
	r := w.request("POST", iamURL+method, body)
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return w.send(r)
}

func TestGoogleImpersonation(t *testing.T) {
	const (
		access   = reports + ":generateAccessToken"
		id       = reports + ":generateIdToken"
		minimal  = `{"scope":["` + scope + `"]}`
		notFound = "Not found; Gaia id not found for email nobody@shop.iam.gserviceaccount.com"
		denied   = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
	)
	first := newWorld(t)
	for _, c := range []struct {
		name   string
		method string
		body   string
		want   string // "code STATUS: message"; empty: accepted
	}{
		{"the least", access, minimal, ""},
		{"an e-mail that is percent-encoded", strings.Replace(access, "@", "%40", 1), minimal, ""},
		{"an hour", access, `{"scope":["` + scope + `"],"lifetime":"3600s"}`, ""},
		{"the scopes that gcloud asks for, of which some are no URLs", access, `{"scope":["openid","` + scope + `"],"lifetime":"3600s"}`, ""},
		{"through a delegate that anybody of the pool may be", access, `{"scope":["` + scope + `"],"delegates":["projects/-/serviceAccounts/` + middle + `"]}`, ""},
		{"twelve hours for a listed account", long + ":generateAccessToken", `{"scope":["` + scope + `"],"lifetime":"43200s"}`, ""},
		{"an ID token", id, `{"audience":"a"}`, ""},
		{"an unknown account", "nobody@shop.iam.gserviceaccount.com:generateAccessToken", minimal, "404 NOT_FOUND: " + notFound},
		{"an account that only the delegate may be", deep + ":generateAccessToken", `{"scope":["` + scope + `"],"delegates":["projects/-/serviceAccounts/` + middle + `"]}`, ""},
		{"the same without the delegate", deep + ":generateAccessToken", minimal, "403 PERMISSION_DENIED: " + denied},
		{"a chain in the wrong order", middle + ":generateAccessToken", `{"scope":["` + scope + `"],"delegates":["projects/-/serviceAccounts/` + reports + `"]}`, "403 PERMISSION_DENIED: " + denied},
		{"a delegate by e-mail only", access, `{"scope":["` + scope + `"],"delegates":["` + middle + `"]}`, "403 PERMISSION_DENIED: " + denied},
		{"no scope", access, `{}`, "400 INVALID_ARGUMENT"},
		{"an empty list of scopes", access, `{"scope":[]}`, "400 INVALID_ARGUMENT"},
		{"a scope that is not in a list", access, `{"scope":"` + scope + `"}`, "400 INVALID_ARGUMENT: Invalid JSON payload received."},
		{"a short scope", access, `{"scope":["cloud-platform"]}`, "400 INVALID_ARGUMENT"},
		{"a second more than an hour", access, `{"scope":["` + scope + `"],"lifetime":"3601s"}`, "400 INVALID_ARGUMENT: The access token lifetime cannot exceed 3600 seconds."},
		{"a second more than twelve hours", long + ":generateAccessToken", `{"scope":["` + scope + `"],"lifetime":"43201s"}`, "400 INVALID_ARGUMENT: The access token lifetime cannot exceed 43200 seconds."},
		{"a lifetime in hours", access, `{"scope":["` + scope + `"],"lifetime":"1h"}`, "400 INVALID_ARGUMENT: Invalid value at 'lifetime'"},
		{"a lifetime without a unit", access, `{"scope":["` + scope + `"],"lifetime":3600}`, "400 INVALID_ARGUMENT: Invalid JSON payload received."},
		{"an unknown field", access, `{"scope":["` + scope + `"],"lifetimeSeconds":1}`, "400 INVALID_ARGUMENT: Invalid JSON payload received."},
		{"a field of the other method", access, `{"scope":["` + scope + `"],"audience":"a"}`, "400 INVALID_ARGUMENT: Invalid JSON payload received."},
		{"a form", access, `scope=x`, "400 INVALID_ARGUMENT: Invalid JSON payload received."},
		{"an ID token without an audience", id, `{"includeEmail":true}`, "400 INVALID_ARGUMENT"},
		{"an ID token with a scope", id, `{"audience":"a","scope":["` + scope + `"]}`, "400 INVALID_ARGUMENT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := first.again(t)
			newGoogle(w)
			checkGoogle(w, c.want)(w.impersonate(w.federated(cloudtest.TokenOptions{}), c.method, c.body))
		})
	}
}

func TestGoogleImpersonationAuthenticates(t *testing.T) {
	w := newWorld(t)
	newGoogle(w)
	const method, body = reports + ":generateAccessToken", `{"scope":["` + scope + `"]}`
	checkGoogle(w, "401 UNAUTHENTICATED: Request is missing required authentication credential.")(w.impersonate("", method, body))
	checkGoogle(w, "401 UNAUTHENTICATED: Request had invalid authentication credentials.")(w.impersonate("x", method, body))

	answer, text := w.postForm(tokenURL, with(w.exchangeForm(), "scope", "https://www.googleapis.com/auth/devstorage.read_only"))
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("token exchange = %s", text)
	}
	checkGoogle(w, "403 PERMISSION_DENIED: Request had insufficient authentication scopes.")(w.impersonate(field(w, text, "access_token"), method, body))

	r := w.request("POST", strings.Replace(iamURL, "projects/-/", "projects/my-project/", 1)+method, body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+w.federated(cloudtest.TokenOptions{}))
	checkGoogle(w, "400 INVALID_ARGUMENT: Invalid form of account ID projects/my-project/")(w.send(r))

	other := w.federated(cloudtest.TokenOptions{Namespace: "shop", ServiceAccount: "other"})
	checkGoogle(w, "403 PERMISSION_DENIED: Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).")(w.impersonate(other, method, body))
	checkGoogle(w, "403 PERMISSION_DENIED: Permission 'iam.serviceAccounts.getOpenIdToken' denied on resource (or it may not exist).")(w.impersonate(other, reports+":generateIdToken", `{"audience":"a"}`))

	old := w.federated(cloudtest.TokenOptions{Lifetime: time.Minute})
	w.now = w.now.Add(time.Minute)
	checkGoogle(w, "401 UNAUTHENTICATED: Request had invalid authentication credentials.")(w.impersonate(old, method, body))
}

func checkGoogle(w *world, want string) func(*http.Response, string) {
	return func(answer *http.Response, body string) {
		w.Helper()
		var failure struct {
			Error struct {
				Code            int
				Message, Status string
			}
		}
		if err := json.Unmarshal([]byte(body), &failure); err != nil {
			w.Fatalf("%v in %s", err, body)
		}
		if want == "" {
			if answer.StatusCode != http.StatusOK {
				w.Errorf("answer = %s %s, want 200", answer.Status, body)
			}
			return
		}
		got := answer.Status[:3] + " " + failure.Error.Status + ": " + failure.Error.Message
		if !strings.HasPrefix(got, want) || failure.Error.Code != answer.StatusCode {
			w.Errorf("answer = %s (code %d), want %s…", got, failure.Error.Code, want)
		}
	}
}
