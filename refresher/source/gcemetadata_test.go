package source_test

import (
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

func TestGCEMetadataOptions(t *testing.T) {
	var b strings.Builder
	for _, test := range []struct {
		name    string
		options source.GCEMetadataOptions
	}{
		{"nothing", source.GCEMetadataOptions{}},
		{"an account with a path", source.GCEMetadataOptions{Audience: "a", ServiceAccount: "../../project/a@b.example"}},
		{"an account's name alone", source.GCEMetadataOptions{Audience: "a", ServiceAccount: "reports"}},
		{"an endpoint that is far away", source.GCEMetadataOptions{Audience: "a", Endpoint: "http://metadata.example"}},
		{"an endpoint with a query", source.GCEMetadataOptions{Audience: "a", Endpoint: "http://127.0.0.1:1?"}},
		{"all of it", source.GCEMetadataOptions{Audience: "a", ServiceAccount: "default", Endpoint: "http://metadata.google.internal/"}},
	} {
		list := test.options.Check()
		b.WriteString(problems(test.name, list))
		test.options.Transport = transport(t, answers(200, ""))
		if _, err := source.NewGCEMetadata(test.options); (err == nil) != (len(list) == 0) {
			t.Errorf("%s: NewGCEMetadata: error %v, but Check = %v", test.name, err, list)
		}
	}
	golden(t, "options_gcemetadata", b.String())

	if _, err := source.NewGCEMetadata(source.GCEMetadataOptions{Audience: "a"}); err == nil || !strings.Contains(err.Error(), "a Transport is required") {
		t.Errorf("NewGCEMetadata without a Transport: error %v, want one that says so", err)
	}
}

// gce is the metadata server of a machine with some accounts, and a function that makes sources which
// use it.
func gce(t testing.TB, accounts ...string) (*cloudtest.GCEMetadata, func(source.GCEMetadataOptions) refresher.Source) {
	server := cloudtest.NewGCEMetadata(cloudtest.GCEMetadataOptions{ProjectID: "acme-prod", Accounts: accounts})
	network := cloudtest.NewNetwork()
	network.Handle("169.254.169.254", server)
	network.Handle("metadata.google.internal", server)
	return server, func(o source.GCEMetadataOptions) refresher.Source {
		t.Helper()
		o.Transport = transport(t, network)
		s, err := source.NewGCEMetadata(o)
		return must(t, s, err)
	}
}

func TestGCEMetadataGivesATokenForTheAudience(t *testing.T) {
	const second = "reports@acme-prod.iam.gserviceaccount.com"
	_, asking := gce(t, "123456789012-compute@developer.gserviceaccount.com", second)
	for _, test := range []struct {
		name    string
		options source.GCEMetadataOptions
	}{
		{"of the default account", source.GCEMetadataOptions{Audience: "sts.amazonaws.com"}},
		{"of an account with a name", source.GCEMetadataOptions{Audience: "api://AzureADTokenExchange", ServiceAccount: second}},
		{"for an audience with a query", source.GCEMetadataOptions{Audience: "https://a.example/?b=c&audience=d e+f"}},
		{"by name", source.GCEMetadataOptions{Audience: "a", Endpoint: "http://metadata.google.internal"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			token, err := asking(test.options).Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			claims, err := refresher.ParseClaims(token.Raw)
			if err != nil || len(claims.Audience) != 1 || claims.Audience[0] != test.options.Audience || claims.Issuer != "https://accounts.google.com" {
				t.Errorf("claims = %+v, %v, want audience %q of Google", claims, err, test.options.Audience)
			}
			if left := time.Until(token.Expires); token.Type != refresher.TypeIDToken || left < 59*time.Minute {
				t.Errorf("Token is of type %s with %v left, want an ID token of an hour", token.Type, left)
			}
		})
	}
}

func TestGCEMetadataRefuses(t *testing.T) {
	var b strings.Builder
	_, bare := gce(t)
	tell(t, &b, "a machine without an account", bare(source.GCEMetadataOptions{Audience: "a"}))
	server, asking := gce(t, "reports@acme-prod.iam.gserviceaccount.com")
	tell(t, &b, "an account that is not the machine's", asking(source.GCEMetadataOptions{Audience: "a", ServiceAccount: "other@acme-prod.iam.gserviceaccount.com"}))
	s := asking(source.GCEMetadataOptions{Audience: "a"})
	for _, fault := range []struct {
		name  string
		fault cloudtest.Fault
	}{
		{"403 of GKE", cloudtest.Fault{Status: 403, Body: "Unable to generate identity token; IAM returned 403 Forbidden: Permission 'iam.serviceAccounts.getOpenIdToken' denied on resource (or it may not exist).\n"}},
		{"429", cloudtest.Fault{Throttle: true, RetryAfter: 20 * time.Second}},
		{"500 of GKE at a Pod's start", cloudtest.Fault{Status: 500, Body: "GKE Metadata Server: Internal Server Error"}},
		{"half an answer", cloudtest.Fault{Malformed: true}},
	} {
		fault.fault.Times = 1
		server.Inject(fault.fault)
		tell(t, &b, fault.name, s)
	}
	// Without Google's header somebody else answers: another cloud's service, or a proxy.
	for _, answer := range []struct {
		name   string
		status int
		body   string
		header []string
	}{
		{"a good token from somebody else", 200, hourToken(1), nil},
		{"a good token from somebody who says so", 200, hourToken(1), []string{"Metadata-Flavor", "Wisp"}},
		{"404 from somebody else", 404, page, nil},
		{"503 from somebody else", 503, page, []string{"Retry-After", "5"}},
	} {
		s, err := source.NewGCEMetadata(source.GCEMetadataOptions{Audience: "a", Transport: transport(t, answers(answer.status, answer.body, answer.header...))})
		tell(t, &b, answer.name, must(t, s, err))
	}
	golden(t, "gcemetadata_refusals", b.String())

	if _, err := s.Token(t.Context()); err != nil {
		t.Errorf("Token after all that: %v", err)
	}
}
