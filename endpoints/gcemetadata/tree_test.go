package gcemetadata_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/endpoints/gcemetadata"
	"github.com/wisp-sidecar/wisp/refresher"
)

func TestPaths(t *testing.T) {
	tests := []struct {
		target string
		want   string // status 404 if "-"
	}{
		{"/computeMetadata/", "v1/\n"},
		{"/computeMetadata/v1/", "instance/\nproject/\nuniverse/\n"},
		{"//computeMetadata/v1/", "instance/\nproject/\nuniverse/\n"},
		{"/computeMetadata/v1/instance/", "attributes/\nhostname\nid\nname\nservice-accounts/\nzone\n"},
		{"/computeMetadata/v1/instance/hostname", "app-0.c.sample-project.internal"},
		{"/computeMetadata/v1/instance/id", "7046071234567890123"},
		{"/computeMetadata/v1/instance/name", "app-0"},
		{"/computeMetadata/v1/instance/zone", "projects/123456789012/zones/europe-west1-b"},
		{"/computeMetadata/v1/instance/attributes/", "Own_Name\ncluster-location\ncluster-name\n"},
		{"/computeMetadata/v1/instance/attributes/cluster-name", "sample"},
		{"/computeMetadata/v1/instance/attributes/Own_Name", ""},
		{"/computeMetadata/v1/instance/attributes/?RECURSIVE=true", "Own_Name\ncluster-location\ncluster-name\n"},
		{"/computeMetadata/v1/instance/attributes/?recursive=TRUE", `{"Own_Name":"","cluster-location":"europe-west1","cluster-name":"sample"}`},
		{"/computeMetadata/v1/project/", "attributes/\nnumeric-project-id\nproject-id\n"},
		{"/computeMetadata/v1/project/?recursive=true", `{"attributes":{},"numericProjectId":123456789012,"projectId":"sample-project"}`},
		{"/computeMetadata/v1/project/project-id", "sample-project"},
		{"/computeMetadata/v1/project/project-id?recursive=true", "sample-project"}, // there is nothing below a leaf
		{"/computeMetadata/v1/project/numeric-project-id", "123456789012"},
		{"/computeMetadata/v1/project/attributes/", ""},
		{"/computeMetadata/v1/universe/", "universe-domain\n"},
		{"/computeMetadata/v1/universe/universe-domain", "googleapis.com"},
		{"/computeMetadata/v1/universe/universe_domain", "googleapis.com"},
		{"/computeMetadata/v1/universe/?recursive=true", `{"universeDomain":"googleapis.com"}`},
		{accounts, "default/\n" + email + "/\n" + direct + "/\n"},
		{accounts + "default/", "aliases\nemail\nidentity\nscopes\ntoken\n"},
		{accounts + "default/email", email},
		{accounts + "default/aliases", "default\n"},
		{accounts + "default/scopes", platform + "\nopenid\n"},
		{accounts + "default/?recursive=true", `{"aliases":["default"],"email":"` + email + `","scopes":["` + platform + `","openid"]}`},
		{accounts + email + "/email", email},
		{accounts + strings.ReplaceAll(email, "@", "%40") + "/email", email},
		{accounts + direct + "/email", direct},
		{accounts + direct + "/aliases", ""},
		{accounts + direct + "/?recursive=true", `{"aliases":[],"email":"` + direct + `","scopes":[]}`},

		{"/0.1/meta-data/service-accounts/default/acquire", "-"},
		{"/computeMetadata/v1beta1/instance/service-accounts/default/token", "-"},
		{"/computemetadata/v1/project/project-id", "-"},
		{"/computeMetadata/v1/project/project-id/", "-"},
		{"/computeMetadata/v1/project//project-id", "-"},
		{"/computeMetadata/v1/instance/../project/project-id", "-"},
		{"/computeMetadata/v1/project%2fproject-id", "-"},
		{"/computeMetadata/v1/project/project-id;x", "-"},
		{"/computeMetadata/v1/project/project-id%00", "-"},
		{"/computeMetadata/v1/instance/network-interfaces/0/ip", "-"},
		{"/computeMetadata/v1/instance/tags", "-"},
		{"/computeMetadata/v1/instance/attributes/other", "-"},
		{"/computeMetadata/v1/oslogin/users", "-"},
		{accounts + "default/token/", "-"},
		{accounts + "default/identity/", "-"},
		{accounts + "other@sample-project.iam.gserviceaccount.com/token", "-"},
		{accounts + "DEFAULT/token", "-"},
	}
	// No credential has ever been there: what is answered here does not depend on one.
	s := newServer(t, full(endpointstest.Fail(refresher.Denied, "invalid_target")))
	for _, test := range tests {
		t.Run(test.target, func(t *testing.T) {
			w := get(s, test.target)
			status, want := http.StatusOK, test.want
			if want == "-" {
				status, want = http.StatusNotFound, "there is nothing at this path\n"
			}
			if w.Code != status || w.Body.String() != want {
				t.Errorf("GET %s = %d %q, want %d %q", test.target, w.Code, w.Body, status, want)
			}
		})
	}
}

func TestWhatIsNotConfiguredIsNotFound(t *testing.T) {
	s := newServer(t, gcemetadata.Options{
		Accounts: []gcemetadata.Account{{Email: direct, Provider: endpointstest.Provider(fresh)}},
		Zone:     "europe-west1-b", // of no use without the project's number
	})
	for _, leaf := range []string{"instance/hostname", "instance/id", "instance/name", "instance/zone", "project/project-id",
		"project/numeric-project-id", "universe/universe-domain", "universe/universe_domain", "instance/attributes/cluster-name"} {
		if w := get(s, "/computeMetadata/v1/"+leaf); w.Code != http.StatusNotFound || w.Header().Get("Metadata-Flavor") != "Google" {
			t.Errorf("GET %s = %d, want 404 with the flavor", leaf, w.Code)
		}
	}
	want := `{"instance":{"attributes":{},"serviceAccounts":{"default":{"aliases":["default"],"email":"` + direct + `","scopes":[]},` +
		`"` + direct + `":{"aliases":["default"],"email":"` + direct + `","scopes":[]}}},"project":{"attributes":{}},"universe":{}}`
	if got := get(s, "/computeMetadata/v1/?recursive=true").Body.String(); got != want {
		t.Errorf("the tree is %s, want %s", got, want)
	}
}

func TestNumbersThatAreNone(t *testing.T) {
	for value, want := range map[string]string{
		"12":                    `12`,
		"0":                     `0`,
		"012":                   `"012"`,
		"+12":                   `"+12"`,
		"1e3":                   `"1e3"`,
		"i-0123":                `"i-0123"`,
		"18446744073709551615":  `18446744073709551615`,
		"184467440737095516150": `"184467440737095516150"`,
	} {
		s := newServer(t, gcemetadata.Options{InstanceID: value})
		if got := get(s, "/computeMetadata/v1/instance/id?alt=json").Body.String(); got != want {
			t.Errorf("id %s is %s in JSON, want %s", value, got, want)
		}
		if got := get(s, "/computeMetadata/v1/instance/id").Body.String(); got != value {
			t.Errorf("id %s is %s in text", value, got)
		}
	}
}

func TestETag(t *testing.T) {
	s := newServer(t, full(fresh))
	etag := func(target string) string { return get(s, target).Header().Get("ETag") }
	const leaf = "/computeMetadata/v1/project/project-id"
	first := etag(leaf)
	if len(first) != 16 {
		t.Errorf("ETag = %q, want 16 digits", first)
	}
	if again := etag(leaf); again != first {
		t.Errorf("ETag = %q, then %q", first, again)
	}
	if other := etag("/computeMetadata/v1/instance/name"); other == first {
		t.Error("two values have one ETag")
	}
	for _, target := range []string{accounts, accounts + "?recursive=true", accounts + "default/scopes"} {
		if etag(target) == "" {
			t.Errorf("GET %s has no ETag", target)
		}
	}
	for _, target := range []string{accounts + "default/token", accounts + "default/identity?audience=a", "/computeMetadata/v1/x", accounts + "default"} {
		if got := etag(target); got != "" {
			t.Errorf("GET %s: ETag = %q, want none", target, got)
		}
	}
}

// Node follows the redirect of its ping, gsutil and gcloud that of the account list.
func TestRedirectsStayHere(t *testing.T) {
	s := newServer(t, full(fresh))
	for target, want := range map[string]string{
		"/computeMetadata":                                                 "/computeMetadata/",
		"/computeMetadata/v1/instance":                                     "/computeMetadata/v1/instance/",
		"//computeMetadata/v1/instance":                                    "/computeMetadata/v1/instance/",
		accounts + "default?recursive=true":                                accounts + "default/?recursive=true",
		accounts + "default?a=https://x/y&b=%40":                           accounts + "default/?a=https://x/y&b=%40",
		accounts + email:                                                   accounts + email + "/",
		accounts + "app%40sample-project.iam.gserviceaccount.com?alt=json": accounts + email + "/?alt=json",
	} {
		w := get(s, target)
		if got := w.Header().Get("Location"); w.Code != http.StatusMovedPermanently || got != want {
			t.Errorf("GET %s = %d to %q, want 301 to %q", target, w.Code, got, want)
		}
	}
}
