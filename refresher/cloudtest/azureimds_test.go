package cloudtest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const (
	azureTenant   = "11111111-2222-3333-4444-555555555555"
	azureIssuer   = "https://sts.windows.net/" + azureTenant + "/"
	azureTokenURL = "http://169.254.169.254/metadata/identity/oauth2/token"
	azureApp      = "api://federation"
	azureQuery    = "api-version=2018-02-01&resource=api%3A%2F%2Ffederation"
)

var (
	vmIdentity = cloudtest.ManagedIdentity{
		ClientID:   "aaaaaaaa-0000-0000-0000-000000000001",
		ObjectID:   "bbbbbbbb-0000-0000-0000-000000000001",
		ResourceID: "/subscriptions/s/resourcegroups/shop/providers/Microsoft.Compute/virtualMachines/vm-1", SystemAssigned: true,
	}
	reportsIdentity = cloudtest.ManagedIdentity{
		ClientID:   "aaaaaaaa-0000-0000-0000-000000000002",
		ObjectID:   "bbbbbbbb-0000-0000-0000-000000000002",
		ResourceID: "/subscriptions/s/resourcegroups/shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/reports",
	}
	billingIdentity = cloudtest.ManagedIdentity{
		ClientID:   "aaaaaaaa-0000-0000-0000-000000000003",
		ObjectID:   "bbbbbbbb-0000-0000-0000-000000000003",
		ResourceID: "/subscriptions/s/resourcegroups/shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/billing",
	}
)

func newAzureIMDS(w *world, o cloudtest.AzureIMDSOptions) *cloudtest.AzureIMDS {
	o.TenantID, o.Now, o.Rand = azureTenant, w.clock, seeded()
	o.Resources = []string{azureApp, "https://management.azure.com"}
	vm := cloudtest.NewAzureIMDS(o)
	w.net.Handle("169.254.169.254", vm)
	w.net.Handle("sts.windows.net", vm)
	return vm
}

func (w *world) azureToken(query string) (*http.Response, string) {
	w.Helper()
	r := w.request("GET", azureTokenURL+"?"+query, "")
	r.Header.Set("Metadata", "true")
	return w.send(r)
}

func TestAzureIMDSAnswers(t *testing.T) {
	w := newWorld(t)
	vm := newAzureIMDS(w, cloudtest.AzureIMDSOptions{Identities: []cloudtest.ManagedIdentity{vmIdentity, reportsIdentity}})
	answer, body := w.azureToken(azureQuery)
	golden(t, "azureimds_token", answer, body)
	claims, err := json.MarshalIndent(segment(t, field(w, body, "access_token"), 1), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "azureimds_claims", &http.Response{Status: "claims"}, string(claims)+"\n")

	answer, body = w.azureToken(azureQuery + "&client_id=x")
	golden(t, "azureimds_unknown_identity", answer, body)
	answer, body = w.azureToken("resource=api://federation")
	golden(t, "azureimds_no_version", answer, body)
	vm.Inject(cloudtest.Fault{Throttle: true, RetryAfter: time.Second, Times: 1})
	answer, body = w.azureToken(azureQuery)
	golden(t, "azureimds_throttled", answer, body)
}

func TestAzureIMDSIsStrict(t *testing.T) {
	system := []cloudtest.ManagedIdentity{vmIdentity, reportsIdentity, billingIdentity}
	user := []cloudtest.ManagedIdentity{reportsIdentity, billingIdentity}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = []string{value} }
	}
	w := newWorld(t)
	for _, c := range []struct {
		name       string
		identities []cloudtest.ManagedIdentity
		query      string
		change     func(*http.Request)
		want       string // client id, or status and error
	}{
		{"no selector is the machine's own", system, azureQuery, nil, vmIdentity.ClientID},
		{"no selector and a single identity", user[:1], azureQuery, nil, reportsIdentity.ClientID},
		{"a client id", system, azureQuery + "&client_id=" + billingIdentity.ClientID, nil, billingIdentity.ClientID},
		{"a client id in capitals", system, azureQuery + "&client_id=" + strings.ToUpper(billingIdentity.ClientID), nil, billingIdentity.ClientID},
		{"an object id", system, azureQuery + "&object_id=" + billingIdentity.ObjectID, nil, billingIdentity.ClientID},
		{"a principal id", system, azureQuery + "&principal_id=" + billingIdentity.ObjectID, nil, billingIdentity.ClientID},
		{"a resource id", system, azureQuery + "&msi_res_id=" + billingIdentity.ResourceID, nil, billingIdentity.ClientID},
		{"a resource id by its other name", system, azureQuery + "&mi_res_id=" + billingIdentity.ResourceID, nil, billingIdentity.ClientID},
		{"the resource as it is", user[:1], "api-version=2018-02-01&resource=api://federation", nil, reportsIdentity.ClientID},
		{"the resource with a slash", user[:1], "api-version=2021-02-01&resource=https://management.azure.com/", nil, reportsIdentity.ClientID},
		{"Metadata: True as Google writes it", user[:1], azureQuery, header("Metadata", "True"), reportsIdentity.ClientID},
		{"a path in capitals", user[:1], azureQuery, func(r *http.Request) { r.URL.Path = "/METADATA/identity/OAuth2/token" }, reportsIdentity.ClientID},

		{"no Metadata header", user[:1], azureQuery, func(r *http.Request) { r.Header.Del("Metadata") }, "400 bad_request_102"},
		{"Metadata: 1", user[:1], azureQuery, header("Metadata", "1"), "400 bad_request_102"},
		{"a forwarded request", user[:1], azureQuery, header("X-Forwarded-For", ""), "400 bad_request"},
		{"a POST", user[:1], azureQuery, func(r *http.Request) { r.Method = "POST" }, "405 method_not_allowed"},
		{"another path", user[:1], azureQuery, func(r *http.Request) { r.URL.Path += "s" }, "404 not_found"},
		{"the path that tells of certificates", user[:1], azureQuery, func(r *http.Request) { r.URL.Path = "/metadata/identity/getplatformmetadata" }, "404 not_found"},
		{"no version", user[:1], "resource=" + azureApp, nil, "400 Bad request. api-version was not specified in the request."},
		{"a version before managed identities", user[:1], "api-version=2017-12-01&resource=" + azureApp, nil, "400 Bad request. api-version is not supported"},
		{"App Service's version", user[:1], "api-version=2019-08-02&resource=" + azureApp, nil, "400 Bad request. api-version is not supported"},
		{"two versions", user[:1], azureQuery + "&api-version=2018-02-01", nil, "400 invalid_request"},
		{"no resource", user[:1], "api-version=2018-02-01", nil, "400 invalid_request"},
		{"a scope in place of a resource", user[:1], "api-version=2018-02-01&resource=api://federation/.default", nil, "400 invalid_resource"},
		{"a resource that nobody knows", user[:1], "api-version=2018-02-01&resource=https://example.test", nil, "400 invalid_resource"},
		{"a query that is none", user[:1], azureQuery + "&%zz", nil, "400 invalid_request"},
		{"no identity at all", nil, azureQuery, nil, "400 invalid_request"},
		{"no selector and several identities", user, azureQuery, nil, "400 invalid_request"},
		{"a client id that is not here", user, azureQuery + "&client_id=" + vmIdentity.ClientID, nil, "400 invalid_request"},
		{"an empty client id", user[:1], azureQuery + "&client_id=", nil, "400 invalid_request"},
		{"two selectors", user, azureQuery + "&client_id=" + reportsIdentity.ClientID + "&object_id=" + reportsIdentity.ObjectID, nil, "400 invalid_request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := w.again(t)
			newAzureIMDS(w, cloudtest.AzureIMDSOptions{Identities: c.identities})
			r := w.request("GET", azureTokenURL+"?"+c.query, "")
			r.Header.Set("Metadata", "true")
			if c.change != nil {
				c.change(r)
			}
			answer, body := w.send(r)
			got := field(w, body, "client_id")
			if answer.StatusCode != http.StatusOK {
				got = answer.Status[:3] + " " + field(w, body, "error")
			}
			if got == "" || !strings.HasPrefix(got, c.want) {
				t.Errorf("answer = %s %s, want %s", answer.Status, body, c.want)
			}
		})
	}
}

func TestAzureIMDSFaults(t *testing.T) {
	w := newWorld(t)
	vm := newAzureIMDS(w, cloudtest.AzureIMDSOptions{Identities: []cloudtest.ManagedIdentity{reportsIdentity}})
	for _, status := range []int{http.StatusNotFound, http.StatusGone, http.StatusInternalServerError} {
		vm.Inject(cloudtest.Fault{Operation: "token", Status: status, Times: 1})
		if answer, body := w.azureToken(azureQuery); answer.StatusCode != status {
			t.Errorf("answer = %s %s, want %d", answer.Status, body, status)
		}
	}
	if answer, body := w.azureToken(azureQuery); answer.StatusCode != http.StatusOK {
		t.Errorf("answer after the faults = %s %s, want 200", answer.Status, body)
	}
	w.send(w.request("GET", azureIssuer+".well-known/openid-configuration", ""))
	if token, all, issuer := vm.Calls("token"), vm.Calls(""), vm.Issuer().Calls("discovery"); token != 4 || all != 4 || issuer != 1 {
		t.Errorf("Calls = %d for tokens, %d in all, %d for the issuer's document; want 4, 4, 1", token, all, issuer)
	}
}

func TestAzureIMDSKeepsATokenUntilItIsNearItsEnd(t *testing.T) {
	w := newWorld(t)
	ids := []cloudtest.ManagedIdentity{reportsIdentity}
	newAzureIMDS(w, cloudtest.AzureIMDSOptions{Identities: ids, Lifetime: time.Hour})
	get := func() (token, left string) {
		_, body := w.azureToken(azureQuery)
		return field(w, body, "access_token"), field(w, body, "expires_in")
	}
	first, left := get()
	if left != "3300" { // an hour from nbf, which is five minutes ago
		t.Errorf("expires_in = %s, want 3300", left)
	}
	w.now = w.now.Add(49 * time.Minute)
	if again, left := get(); again != first || left != "360" {
		t.Errorf("six minutes before its end: a new token %v, expires_in %s; want the first, 360", again != first, left)
	}
	w.now = w.now.Add(time.Minute)
	if again, left := get(); again == first || left != "3300" {
		t.Errorf("five minutes before its end: a new token %v, expires_in %s; want a new one, 3300", again != first, left)
	}

	vm := newAzureIMDS(w, cloudtest.AzureIMDSOptions{Identities: ids, NoCache: true})
	first, _ = get()
	if second, left := get(); second == first || left != "86100" {
		t.Errorf("without a cache: a new token %v, expires_in %s; want one, 86100", second != first, left)
	}
	vm.LimitLifetime(-time.Minute)
	if _, left := get(); left != "-60" {
		t.Errorf("expires_in of an expired token = %s, want -60", left)
	}
}

// Azure's managed identities are trusted by Google and AWS, which look up the keys at the issuer.
func TestCloudsTakeAzureTokens(t *testing.T) {
	w := newWorld(t)
	newAzureIMDS(w, cloudtest.AzureIMDSOptions{Identities: []cloudtest.ManagedIdentity{reportsIdentity}})
	g := newGoogle(w)
	g.PutProvider(cloudtest.PoolProvider{Name: provider, Issuer: azureIssuer, AllowedAudiences: []string{azureApp}})
	a := newAWS(w)
	a.PutProvider(cloudtest.OIDCProvider{Account: "123456789012", Issuer: azureIssuer, Audiences: []string{azureApp}})
	a.PutRole(cloudtest.Role{ARN: roleARN, Issuer: azureIssuer, Subjects: []string{reportsIdentity.ObjectID}, Audiences: []string{azureApp}})
	_, body := w.azureToken(azureQuery)
	token := field(w, body, "access_token")

	answer, body := w.postForm(tokenURL, with(w.exchangeForm(), "subject_token", token))
	want := "principal://iam.googleapis.com/" + pool + "/subject/" + reportsIdentity.ObjectID
	if got, _ := g.Principal(field(w, body, "access_token")); got != want {
		t.Errorf("Google answers %s %s for %q, want a token for %q", answer.Status, body, got, want)
	}
	checkAWS(t, "")(w.postForm(stsURL, with(w.webIdentityForm(), "WebIdentityToken", token)))
}
