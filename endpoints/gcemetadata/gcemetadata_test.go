package gcemetadata_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/endpoints/gcemetadata"
	"github.com/wisp-sidecar/wisp/refresher"
)

const (
	address  = "127.0.0.1:9911"
	email    = "app@sample-project.iam.gserviceaccount.com"
	direct   = "sample-project.svc.id.goog"
	platform = "https://www.googleapis.com/auth/cloud-platform"
	accounts = "/computeMetadata/v1/instance/service-accounts/"
)

var now = time.Date(2030, 1, 2, 3, 4, 5, 6e8, time.UTC)

// fresh has a token for anything, with an hour less a moment to live.
func fresh(_ context.Context, t refresher.Target) (refresher.Credential, error) {
	token := "ya29.default"
	switch {
	case t.Audience != "":
		token = "header.aud=" + t.Audience + ".signature"
	case t.Scope != "":
		token = "ya29." + t.Scope
	}
	return refresher.Credential{Value: refresher.Bearer{Token: refresher.Secret(token)}, Expires: now.Add(time.Hour - time.Millisecond)}, nil
}

// split has one provider for access tokens and another for ID tokens.
func split(access, id endpointstest.Provider) endpointstest.Provider {
	return func(ctx context.Context, t refresher.Target) (refresher.Credential, error) {
		if t.Audience != "" {
			return id(ctx, t)
		}
		return access(ctx, t)
	}
}

// full is an outlet with everything: the default account, one of direct federation.
func full(p endpointstest.Provider) gcemetadata.Options {
	return gcemetadata.Options{
		Accounts: []gcemetadata.Account{
			{Email: email, Scopes: []string{platform, "openid"}, Provider: p, IDTokens: true},
			{Email: direct, Provider: endpointstest.Provider(fresh)},
		},
		ProjectID:        "sample-project",
		NumericProjectID: "123456789012",
		UniverseDomain:   "googleapis.com",
		Zone:             "europe-west1-b",
		InstanceID:       "7046071234567890123",
		InstanceName:     "app-0",
		Hostname:         "app-0.c.sample-project.internal",
		Attributes:       map[string]string{"cluster-name": "sample", "cluster-location": "europe-west1", "Own_Name": ""},
		Now:              func() time.Time { return now },
	}
}

func newServer(t testing.TB, o gcemetadata.Options) *endpoints.Server {
	t.Helper()
	s, err := endpoints.NewServer(endpoints.ServerOptions{Protocols: []*endpoints.Protocol{gcemetadata.New(o)}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func request(method, target string) *http.Request {
	local := net.Addr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9911})
	ctx := context.WithValue(context.Background(), http.LocalAddrContextKey, local)
	r := httptest.NewRequestWithContext(ctx, method, target, nil)
	r.Host = address
	r.Header.Set("Metadata-Flavor", "Google")
	return r
}

func serve(s *endpoints.Server, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func get(s *endpoints.Server, target string) *httptest.ResponseRecorder {
	return serve(s, request(http.MethodGet, target))
}

func TestAnswers(t *testing.T) {
	const v1 = "/computeMetadata/v1/"
	header := func(name string, values ...string) *http.Request {
		r := request("GET", v1+"project/project-id")
		r.Header[name] = values
		return r
	}
	noFlavor := func(target string) *http.Request {
		r := request("GET", target)
		r.Header.Del("Metadata-Flavor")
		return r
	}
	spoilt := func(spoil func(*http.Request)) *http.Request {
		r := request("GET", v1+"project/project-id")
		spoil(r)
		return r
	}
	for name, r := range map[string]*http.Request{
		"root":                      request("GET", "/"),
		"root_without_flavor":       noFlavor("/"),
		"directory":                 request("GET", v1+"instance/"),
		"directory_json":            request("GET", v1+"instance/?alt=json"),
		"directory_redirect":        request("GET", v1+"instance"),
		"directory_redirect_query":  request("GET", accounts[:len(accounts)-1]+"?recursive=true&x=a%20b"),
		"directory_recursive":       request("GET", v1+"?recursive=true"),
		"directory_recursive_text":  request("GET", v1+"?recursive=true&alt=text"),
		"directory_empty":           request("GET", v1+"project/attributes/"),
		"directory_empty_recursive": request("GET", v1+"project/attributes/?recursive=true"),
		"accounts":                  request("GET", accounts),
		"accounts_recursive":        request("GET", accounts+"?recursive=true"),
		"account":                   request("GET", accounts+"default/"),
		"account_recursive":         request("GET", accounts+email+"/?recursive=true"),
		"account_direct_recursive":  request("GET", accounts+direct+"/?recursive=true"),
		"account_unknown":           request("GET", accounts+"other@sample-project.iam.gserviceaccount.com/token"),
		"leaf":                      request("GET", v1+"project/project-id"),
		"leaf_json":                 request("GET", v1+"project/project-id?alt=json"),
		"leaf_number":               request("GET", v1+"project/numeric-project-id"),
		"leaf_number_json":          request("GET", v1+"project/numeric-project-id?alt=json"),
		"leaf_list":                 request("GET", accounts+"default/scopes"),
		"leaf_list_json":            request("GET", accounts+"default/scopes?alt=json"),
		"leaf_empty":                request("GET", v1+"instance/attributes/Own_Name"),
		"leaf_with_slash":           request("GET", v1+"project/project-id/"),
		"token":                     request("GET", accounts+"default/token"),
		"token_scopes":              request("GET", accounts+email+"/token?scopes="+platform+",openid"),
		"token_scopes_not_text":     request("GET", accounts+"default/token?scopes=a%00"),
		"token_not_ready":           request("GET", accounts+"cold/token"),
		"token_denied":              request("GET", accounts+"denied/token"),
		"token_just_expired":        request("GET", accounts+"old/token"),
		"token_scopes_not_allowed":  request("GET", accounts+"unlisted/token?scopes=a"),
		"token_too_many_scopes":     request("GET", accounts+"many/token?scopes=a"),
		"token_of_another_cloud":    request("GET", accounts+"key/token"),
		"identity":                  request("GET", accounts+"default/identity?audience=https://service.test/x?y=z&format=full"),
		"identity_without_audience": request("GET", accounts+"default/identity"),
		"identity_audience_no_text": request("GET", accounts+"default/identity?audience=%0a%00"),
		"identity_cannot":           request("GET", accounts+direct+"/identity?audience=a"),
		"identity_not_ready":        request("GET", accounts+"cold/identity?audience=a"),
		"identity_denied":           request("GET", accounts+"denied/identity?audience=a"),
		"identity_not_allowed":      request("GET", accounts+"unlisted/identity?audience=a"),
		"identity_none_for_long":    request("GET", accounts+"accessonly/identity?audience=a"),
		"identity_of_another_cloud": request("GET", accounts+"key/identity?audience=a"),
		"no_flavor":                 noFlavor(v1 + "project/project-id"),
		"no_flavor_unknown":         noFlavor(v1 + "other"),
		"wrong_flavor":              header("Metadata-Flavor", "google"),
		"two_flavors":               header("Metadata-Flavor", "Google", "Google"),
		"forwarded":                 header("X-Forwarded-For", ""),
		"web_page":                  header("Origin", "https://attacker.example"),
		"many_fields":               header("X-A", make([]string, 101)...),
		"other_host":                spoilt(func(r *http.Request) { r.Host = "attacker.example" }),
		"no_host":                   spoilt(func(r *http.Request) { r.Host = "" }),
		"large_body":                spoilt(func(r *http.Request) { r.ContentLength = 5 << 10 }),
		"chunked_body":              spoilt(func(r *http.Request) { r.ContentLength = -1 }),
		"bad_limit":                 request("GET", v1+"project/project-id?wait_for_change=true&timeout_sec=1.5"),
		"unknown":                   request("GET", v1+"instance/disks/"),
		"v1beta1":                   request("GET", "/computeMetadata/v1beta1/instance/service-accounts/default/token"),
		"wrong_method":              request("POST", v1+"project/project-id"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // so that waiting takes no time
				o := full(fresh)
				if strings.HasPrefix(name, "token_") || strings.HasPrefix(name, "identity_") {
					o = troubled()
				}
				endpointstest.Golden(t, name, serve(newServer(t, o), r).Result())
			})
		})
	}
}

// troubled also has an account for each way in which there can be no token.
func troubled() gcemetadata.Options {
	cold := endpointstest.Fail(refresher.Transient, refresher.CodeNotReady)
	o := full(fresh)
	for name, p := range map[string]endpointstest.Provider{
		"cold":       cold,
		"denied":     endpointstest.Fail(refresher.Denied, "invalid_target"),
		"unlisted":   endpointstest.Fail(refresher.Denied, refresher.CodeTargetNotAllowed),
		"many":       endpointstest.Fail(refresher.Transient, refresher.CodeTooManyTargets),
		"accessonly": split(fresh, cold),
		"old": func(context.Context, refresher.Target) (refresher.Credential, error) {
			return refresher.Credential{Value: refresher.Bearer{Token: "ya29.x"}, Expires: now}, nil
		},
		"key": func(context.Context, refresher.Target) (refresher.Credential, error) {
			return refresher.Credential{Value: refresher.AccessKey{ID: "AKIA", Secret: "s", SessionToken: "t"}, Expires: now.Add(time.Hour)}, nil
		},
	} {
		o.Accounts = append(o.Accounts, gcemetadata.Account{Email: name, Provider: p, IDTokens: true})
	}
	slices.SortFunc(o.Accounts[2:], func(a, b gcemetadata.Account) int { return strings.Compare(a.Email, b.Email) })
	return o
}

// Whatever is wrong, a client has to see whom it talks to.
func TestEveryAnswerSaysWhoGaveIt(t *testing.T) {
	o := full(fresh)
	s := newServer(t, o)
	spoil := map[string]func(*http.Request){
		"nothing":     func(*http.Request) {},
		"the flavor":  func(r *http.Request) { r.Header.Del("Metadata-Flavor") },
		"the method":  func(r *http.Request) { r.Method = http.MethodDelete },
		"the sender":  func(r *http.Request) { r.Header.Set("Via", "1.1 proxy") },
		"the host":    func(r *http.Request) { r.Host = "attacker.example" },
		"the browser": func(r *http.Request) { r.Header.Set("Origin", "null") },
		"the body":    func(r *http.Request) { r.ContentLength = 5 << 10 },
		"the path":    func(r *http.Request) { r.URL.Path = "/computeMetadata/x" },
	}
	for path := range gcemetadata.New(o).Routes {
		for what, spoil := range spoil {
			r := request(http.MethodGet, path)
			spoil(r)
			w := serve(s, r)
			flavor, server := w.Header()["Metadata-Flavor"], w.Header()["Server"]
			if !slices.Equal(flavor, []string{"Google"}) || !slices.Equal(server, []string{"Metadata Server for VM"}) {
				t.Errorf("GET %s, wrong is %s: %d with Metadata-Flavor %q and Server %q", path, what, w.Code, flavor, server)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("GET %s, wrong is %s: Cache-Control = %q, want no-store", path, what, got)
			}
		}
	}
}

func TestHosts(t *testing.T) {
	s := newServer(t, full(fresh))
	for host, want := range map[string]int{
		address:                              200,
		"localhost:9911":                     200,
		"metadata.google.internal":           200,
		"metadata.google.internal.":          200,
		"metadata.google.internal:9911":      200,
		"metadata":                           200,
		"169.254.169.254":                    200,
		"metadata.google.internal.evil":      403,
		"metadata.google.internal..":         403,
		"metadata.google.internal.:80":       403,
		"169.254.170.2":                      403,
		"metadata.google.internal@evil":      403,
		"metadata.default.svc.cluster.local": 403,
	} {
		r := request(http.MethodGet, "/computeMetadata/v1/project/project-id")
		r.Host = host
		if w := serve(s, r); w.Code != want {
			t.Errorf("Host %s: %d, want %d", host, w.Code, want)
		}
	}
}

func TestFlavor(t *testing.T) {
	s := newServer(t, full(fresh))
	tests := []struct {
		name string
		sent []string
		want int
	}{
		{"right", []string{"Google"}, 200},
		{"none", nil, 403},
		{"empty", []string{""}, 403},
		{"in lower case", []string{"google"}, 403},
		{"with something else", []string{"Google, x"}, 403},
		{"twice", []string{"Google", "Google"}, 400},
		{"twice, once wrong", []string{"x", "Google"}, 400},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, target := range []string{accounts + "default/token", accounts + "default/token?x", "//computeMetadata/v1/instance/service-accounts/default/token",
				"/%63omputeMetadata/v1/instance/service-accounts/default/token", accounts + "default"} {
				r := request(http.MethodGet, target)
				r.Header["Metadata-Flavor"] = test.sent
				w := serve(s, r)
				want := test.want
				if want == 200 && strings.HasSuffix(target, "default") {
					want = http.StatusMovedPermanently
				}
				if w.Code != want {
					t.Errorf("GET %s = %d, want %d", target, w.Code, want)
				}
				if w.Code != 200 && strings.Contains(w.Body.String(), "ya29") {
					t.Errorf("GET %s = %d with the token", target, w.Code)
				}
			}
		})
	}
	// Who may not ask does not learn what exists.
	r := request(http.MethodGet, "/computeMetadata/v1beta1/")
	r.Header.Del("Metadata-Flavor")
	if w := serve(s, r); w.Code != http.StatusForbidden {
		t.Errorf("an unknown path without the flavor: %d, want 403", w.Code)
	}
	// The header Google accepted before this one.
	r = request(http.MethodGet, accounts+"default/token")
	r.Header = http.Header{"X-Google-Metadata-Request": {"True"}}
	if w := serve(s, r); w.Code != http.StatusForbidden {
		t.Errorf("X-Google-Metadata-Request: %d, want 403", w.Code)
	}
}

// What clients ask for on their way to a token, in their order.
func TestClients(t *testing.T) {
	const (
		v1     = "/computeMetadata/v1/"
		gcloud = "32555940559.apps.googleusercontent.com"
	)
	tests := []struct {
		name    string
		targets []string
	}{
		{"gcloud", []string{
			v1 + "project/numeric-project-id",
			accounts + "default/email",
			accounts,
			v1 + "universe/universe-domain",
			accounts + "default/identity?audience=" + gcloud + "&format=standard&licenses=FALSE",
			accounts + email + "/?recursive=true",
			accounts + email + "/token?scopes=" + platform + ",https://www.googleapis.com/auth/userinfo.email",
		}},
		{"Python", []string{
			"/",
			v1 + "project/project-id",
			accounts + "default/?recursive=true",
			accounts + email + "/token?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform",
			v1 + "universe/universe-domain",
			accounts + "default/identity?audience=https%3A%2F%2Fservice.test&format=full&licenses=TRUE",
		}},
		{"Node", []string{
			v1 + "instance/",
			accounts + "default/email",
			v1 + "project/project-id",
			accounts + "default/token",
			v1 + "instance/attributes/cluster-name",
			accounts + "default/identity?format=full&audience=https://service.test/",
		}},
		{"Go", []string{
			v1 + "universe/universe-domain",
			v1 + "project/project-id",
			accounts + "default/token?scopes=a%2Cb",
			v1 + "instance/zone",
			accounts + "default/scopes",
			accounts + "default/identity?audience=https%3A%2F%2Fservice.test&format=full",
		}},
		{"gsutil", []string{"/", accounts + "?recursive=true", accounts + "default/?recursive=true", accounts + "default/scopes", accounts + "default/token"}},
		{"Java", []string{"/", accounts + "default/email", accounts + "default/token?transport=mtls&binding-enforcement=on", accounts + "?recursive=true"}},
	}
	s := newServer(t, full(fresh))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, target := range test.targets {
				if w := get(s, target); w.Code != http.StatusOK || w.Header().Get("Metadata-Flavor") != "Google" {
					t.Errorf("GET %s = %d %q, want 200 with the flavor", target, w.Code, w.Body)
				}
			}
		})
	}
}
