package source_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

const (
	azureTenant = "7f4e1c5a-0000-4000-8000-000000000001"
	azureApp    = "api://reports"
)

// managed is the n-th managed identity of the tests.
func managed(n string) cloudtest.ManagedIdentity {
	return cloudtest.ManagedIdentity{
		ClientID:   "c0000000-0000-4000-8000-00000000000" + n,
		ObjectID:   "0b000000-0000-4000-8000-00000000000" + n,
		ResourceID: "/subscriptions/5b000000-0000-4000-8000-000000000001/resourceGroups/prod/providers/Microsoft.ManagedIdentity/userAssignedIdentities/reports" + n,
	}
}

func TestAzureIMDSOptions(t *testing.T) {
	one := managed("1")
	var b strings.Builder
	for _, test := range []struct {
		name    string
		options source.AzureIMDSOptions
	}{
		{"nothing", source.AzureIMDSOptions{}},
		{"two resources", source.AzureIMDSOptions{Resource: "api://a api://b"}},
		{"a scope", source.AzureIMDSOptions{Resource: "api://a/.default"}},
		{"ids that are none", source.AzureIMDSOptions{Resource: azureApp, ClientID: "reports"}},
		{"a name in place of the resource id", source.AzureIMDSOptions{Resource: azureApp, ResourceID: "reports"}},
		{"three selectors", source.AzureIMDSOptions{Resource: azureApp, ClientID: one.ClientID, ObjectID: one.ObjectID, ResourceID: one.ResourceID}},
		{"an endpoint that is far away", source.AzureIMDSOptions{Resource: azureApp, Endpoint: "http://10.0.0.1"}},
		{"an endpoint with a query", source.AzureIMDSOptions{Resource: azureApp, Endpoint: "http://127.0.0.1:1/?x"}},
		{"a version that is none", source.AzureIMDSOptions{Resource: azureApp, APIVersion: "2018-02-01&x=y"}},
		{"all of it", source.AzureIMDSOptions{Resource: azureApp, ResourceID: one.ResourceID, Endpoint: "http://127.0.0.1:8080/", APIVersion: "2021-02-01"}},
	} {
		list := test.options.Check()
		b.WriteString(problems(test.name, list))
		test.options.Transport = transport(t, answers(200, ""))
		if _, err := source.NewAzureIMDS(test.options); (err == nil) != (len(list) == 0) {
			t.Errorf("%s: NewAzureIMDS: error %v, but Check = %v", test.name, err, list)
		}
	}
	golden(t, "options_azureimds", b.String())

	if _, err := source.NewAzureIMDS(source.AzureIMDSOptions{Resource: azureApp}); err == nil || !strings.Contains(err.Error(), "a Transport is required") {
		t.Errorf("NewAzureIMDS without a Transport: error %v, want one that says so", err)
	}
}

// azure is the metadata service of a machine with some identities, and a function that makes sources
// which use it.
func azure(t testing.TB, identities ...cloudtest.ManagedIdentity) (*cloudtest.AzureIMDS, func(source.AzureIMDSOptions) refresher.Source) {
	imds := cloudtest.NewAzureIMDS(cloudtest.AzureIMDSOptions{TenantID: azureTenant, Identities: identities, Resources: []string{azureApp}})
	network := cloudtest.NewNetwork()
	network.Handle("169.254.169.254", imds)
	return imds, func(o source.AzureIMDSOptions) refresher.Source {
		t.Helper()
		o.Transport = transport(t, network)
		s, err := source.NewAzureIMDS(o)
		return must(t, s, err)
	}
}

func TestAzureIMDSGivesTheTokenOfTheIdentity(t *testing.T) {
	first, second, system := managed("1"), managed("2"), managed("3")
	system.SystemAssigned = true
	_, asking := azure(t, first, second, system)
	for _, test := range []struct {
		name    string
		options source.AzureIMDSOptions
		want    cloudtest.ManagedIdentity
	}{
		{"the machine's own", source.AzureIMDSOptions{}, system},
		{"by client id", source.AzureIMDSOptions{ClientID: strings.ToUpper(first.ClientID)}, first},
		{"by object id", source.AzureIMDSOptions{ObjectID: second.ObjectID}, second},
		{"by resource id", source.AzureIMDSOptions{ResourceID: second.ResourceID}, second},
		{"of another version", source.AzureIMDSOptions{APIVersion: "2021-02-01"}, system},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.options.Resource = azureApp
			token, err := asking(test.options).Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			claims, err := refresher.ParseClaims(token.Raw)
			if err != nil {
				t.Fatal(err)
			}
			if claims.Subject != test.want.ObjectID || claims.Audience[0] != azureApp {
				t.Errorf("claims = %+v, want subject %q and audience %q", claims, test.want.ObjectID, azureApp)
			}
			if left := time.Until(token.Expires); token.Type != refresher.TypeJWT || left < 23*time.Hour {
				t.Errorf("Token is of type %s with %v left, want a JWT of about a day", token.Type, left)
			}
		})
	}
}

func TestAzureIMDSRefuses(t *testing.T) {
	var b strings.Builder
	imds, asking := azure(t, managed("1"), managed("2"))
	s := asking(source.AzureIMDSOptions{Resource: azureApp, ClientID: managed("1").ClientID})
	tell(t, &b, "several identities, and none selected", asking(source.AzureIMDSOptions{Resource: azureApp}))
	tell(t, &b, "an identity that is not assigned", asking(source.AzureIMDSOptions{Resource: azureApp, ClientID: managed("9").ClientID}))
	tell(t, &b, "a resource that is not known", asking(source.AzureIMDSOptions{Resource: "api://other", ClientID: managed("1").ClientID}))
	tell(t, &b, "a version that is not known", asking(source.AzureIMDSOptions{Resource: azureApp, ClientID: managed("1").ClientID, APIVersion: "2099-01-01"}))
	for _, fault := range []struct {
		name  string
		fault cloudtest.Fault
	}{
		{"404 while it is updated", cloudtest.Fault{Status: 404, Body: `{"error":"not_found","error_description":"Resource not found"}`}},
		{"404 of an EC2 instance", cloudtest.Fault{Status: 404, Body: "<?xml version=\"1.0\"?><html/>"}},
		{"410", cloudtest.Fault{Status: 410, Body: `{"error":"gone"}`}},
		{"a redirect that has a code", cloudtest.Fault{Status: 302, Body: `{"error":"moved","error_description":"Elsewhere."}`}},
		{"429", cloudtest.Fault{Throttle: true, RetryAfter: 20 * time.Second}},
		{"500", cloudtest.Fault{Status: 500, Body: `{"error":"unknown","error_description":"Failed to retrieve token from the Active directory."}`}},
		{"400 with a description that is a list", cloudtest.Fault{Status: 400, Body: `{"error":"invalid_scope","error_description":["x"]}`}},
		{"400 that shows a token", cloudtest.Fault{Status: 400, Body: `{"error":"` + hourToken(1) + `","error_description":"` + hourToken(1) + `"}`}},
		{"half an answer", cloudtest.Fault{Malformed: true}},
	} {
		fault.fault.Times = 1
		imds.Inject(fault.fault)
		tell(t, &b, fault.name, s)
	}
	golden(t, "azureimds_refusals", b.String())

	if _, err := s.Token(t.Context()); err != nil {
		t.Errorf("Token after all that: %v", err)
	}
}

// An opaque token, which the service has for some of Microsoft's own resources, is good for nothing
// here.
func TestAzureIMDSWantsAJWT(t *testing.T) {
	body, err := json.Marshal(map[string]string{"access_token": "EwB4A8l6BAAUopaIaaQ", "token_type": "Bearer", "expires_in": "3599"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := source.NewAzureIMDS(source.AzureIMDSOptions{Resource: azureApp, Transport: transport(t, answers(200, string(body)))})
	if _, err := must(t, s, err).Token(t.Context()); refresher.AsError(err) == nil || refresher.AsError(err).Code != refresher.CodeSubjectInvalid {
		t.Errorf("Token: error %v, want code %q", err, refresher.CodeSubjectInvalid)
	}
}
