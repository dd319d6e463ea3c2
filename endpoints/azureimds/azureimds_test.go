package azureimds_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/azureimds"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken/azuretokentest"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/refresher"
)

const path = "/metadata/identity/oauth2/token"

func outlet() *endpoints.Protocol {
	return azureimds.New(azureimds.Options{Identities: azuretokentest.Identities(), Now: azuretokentest.Now})
}

func outletOf(p endpoints.Provider) *endpoints.Protocol {
	return azureimds.New(azureimds.Options{Identities: azuretokentest.Only(p), Now: azuretokentest.Now})
}

func failing(class refresher.Class, code string) *endpoints.Protocol {
	return outletOf(azuretokentest.Fail(&refresher.Error{Class: class, Code: code}))
}

func TestAnswers(t *testing.T) {
	const good = "GET " + path + "?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\nMetadata: true"
	tests := []struct {
		golden   string
		protocol *endpoints.Protocol
		request  string
	}{
		{"token", outlet(), good},
		{"token_of_second", outlet(), "GET " + path + "?api-version=2018-02-01&resource=https://management.azure.com/&client_id=" + azuretokentest.SecondClientID + " HTTP/1.1\nMetadata: true"},
		{"no_metadata_header", outlet(), "GET " + path + "?api-version=2018-02-01&resource=https://vault.azure.net HTTP/1.1"},
		{"no_version", outlet(), "GET " + path + "?resource=https://vault.azure.net HTTP/1.1\nMetadata: true"},
		{"no_resource", outlet(), "GET " + path + "?api-version=2018-02-01 HTTP/1.1\nMetadata: true"},
		{"unknown_identity", outlet(), "GET " + path + "?api-version=2018-02-01&resource=r&client_id=x HTTP/1.1\nMetadata: true"},
		{"two_ids", outlet(), "GET " + path + "?api-version=2018-02-01&resource=r&client_id=x&object_id=y HTTP/1.1\nMetadata: true"},
		{"not_ready", failing(refresher.Transient, refresher.CodeNotReady), good},
		{"denied", failing(refresher.Denied, "AADSTS700213"), good},
		{"denied_resource", failing(refresher.Denied, "AADSTS500011"), good},
		{"resource_not_allowed", failing(refresher.Denied, refresher.CodeTargetNotAllowed), good},
		{"too_many_resources", failing(refresher.Transient, refresher.CodeTooManyTargets), good},
		{"no_bearer", outletOf(azuretokentest.AccessKey()), good},
		{"forwarded", outlet(), good + "\nX-Forwarded-For:"},
		{"web_page", outlet(), good + "\nOrigin: https://attacker.example"},
		{"other_host", outlet(), good + "\nHost: attacker.example"},
		{"bad_method", outlet(), "POST " + path + " HTTP/1.1\nMetadata: true\n\nresource=r"},
		{"not_found", outlet(), "GET /metadata/identity/getplatformmetadata HTTP/1.1"},
		{"metadata_header_twice", outlet(), good + "\nMetadata: true"},
		{"large_body", outlet(), good + "\n\n" + strings.Repeat("x", 5<<10)},
		{"chunked_body", outlet(), good + "\nTransfer-Encoding: chunked\n\n0\r\n\r\n"},
		{"short_body", outlet(), good + "\nContent-Length: 2"},
		{"no_host", outlet(), good + "\nHost:"},
		{"too_many_fields", outlet(), good + azuretokentest.ManyFields()},
		{"throttled", failing(refresher.Throttled, "AADSTS50196"), good},
		{"defect", outletOf(azuretokentest.Panicking()), good},
	}
	for _, refused := range azuretokentest.Refused {
		tests = append(tests, struct {
			golden   string
			protocol *endpoints.Protocol
			request  string
		}{refused.Golden, outlet(), "GET " + path + "?api-version=2018-02-01&" + refused.Query + " HTTP/1.1\nMetadata: true"})
	}
	for _, tt := range tests {
		t.Run(tt.golden, func(t *testing.T) {
			endpointstest.Golden(t, tt.golden, endpointstest.Ask(t, tt.protocol, tt.request))
		})
	}
}

// What clients send, written from their source or from the wire.
func TestClients(t *testing.T) {
	tests := []struct {
		name, request string
		want          string // identity and scope of the token
	}{
		{"azidentity and MSAL for Go", "GET " + path + "?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com HTTP/1.1\nMetadata: true\nUser-Agent: azsdk-go-azidentity/v1.15.0\nAccept-Encoding: gzip",
			"first for https://management.azure.com/.default"},
		{"azidentity with a client id, redirected to the loopback address", "GET " + path + "?api-version=2018-02-01&client_id=" + azuretokentest.SecondClientID + "&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\nHost: 169.254.169.254\nMetadata: true",
			"second for https://vault.azure.net/.default"},
		{"azidentity with a resource id", "GET " + path + "?api-version=2018-02-01&msi_res_id=" + strings.ReplaceAll(azuretokentest.SecondResourceID, "/", "%2F") + "&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\nMetadata: true",
			"second for https://vault.azure.net/.default"},
		{"a Go program whose client id is unset", "GET " + path + "?api-version=2018-02-01&client_id=&resource=https%3A%2F%2Fstorage.azure.com%2F HTTP/1.1\nMetadata: true",
			"first for https://storage.azure.com//.default"},
		{"azure-identity for Python, raw", "GET " + path + "?api-version=2018-02-01&resource=https://management.azure.com HTTP/1.1\nMetadata: true\nUser-Agent: azsdk-python-identity/1.13.0\nAccept: */*\nConnection: keep-alive",
			"first for https://management.azure.com/.default"},
		{"msal for Python", "GET " + path + "?api-version=2018-02-01&resource=https%3A%2F%2Fgraph.microsoft.com HTTP/1.1\nMetadata: true\nUser-Agent: python-requests/2.32.3\nAccept: */*",
			"first for https://graph.microsoft.com/.default"},
		{"azure-cli, by way of msal", "GET " + path + "?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.core.windows.net%2F&client_id=" + azuretokentest.FirstClientID + " HTTP/1.1\nMetadata: true",
			"first for https://management.core.windows.net//.default"},
		{"msrestazure, and azure-cli 2.45", "GET " + path + "?resource=https%3A%2F%2Fmanagement.core.windows.net%2F&api-version=2018-02-01 HTTP/1.1\nMetadata: true",
			"first for https://management.core.windows.net//.default"},
		{"msal-node and @azure/identity: a slash, a type, and what fetch adds", "GET " + path + "/?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\nMetadata: true\nContent-Type: application/x-www-form-urlencoded;charset=utf-8\nSec-Fetch-Mode: cors\nx-client-SKU: msal.js.node\nx-client-Ver: 5.6.0\nx-ms-client-request-id: 5a1c",
			"first for https://vault.azure.net/.default"},
		{"msal4j: two slashes", "GET /" + path + "?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\nMetadata: true",
			"first for https://vault.azure.net/.default"},
		{"adal for Go with a resource id", "GET " + path + "?api-version=2018-02-01&mi_res_id=" + azuretokentest.SecondResourceID + "&resource=https%3A%2F%2Fmanagement.azure.com%2F HTTP/1.1\nMetadata: true\nUser-Agent: Go/go1.22 go-autorest/adal/v1.0.0",
			"second for https://management.azure.com//.default"},
		{"terraform, by way of go-azure-sdk", "GET " + path + "?api-version=2018-02-01&client_id=" + strings.ToUpper(azuretokentest.SecondClientID) + "&resource=https%3A%2F%2Fmanagement.azure.com HTTP/1.1\nMetadata: true\nUser-Agent: HashiCorp/go-azure-sdk",
			"second for https://management.azure.com/.default"},
		{"ms-rest-nodeauth with its msiEndpoint", "GET " + path + "/?api-version=2018-02-01&resource=https://management.core.windows.net/&principal_id=" + azuretokentest.SecondObjectID + " HTTP/1.1\nMetadata: true",
			"second for https://management.core.windows.net//.default"},
		{"Google's credential configuration", "GET " + path + "?api-version=2018-02-01&resource=api://b7f2 HTTP/1.1\nHost: 169.254.169.254\nMetadata: True",
			"first for api://b7f2/.default"},
		{"curl in another case", "GET /Metadata/Identity/OAuth2/Token?api-version=2021-02-01&resource=https://vault.azure.net HTTP/1.1\nHost: localhost:9911\nmetadata: TRUE",
			"first for https://vault.azure.net/.default"},
		{"a managed identity as federated credential", "GET " + path + "?api-version=2019-08-01&resource=api://AzureADTokenExchange HTTP/1.1\nMetadata: true",
			"first for api://AzureADTokenExchange/.default"},
		{"a small body", "GET " + path + "?api-version=2019-08-01&resource=r HTTP/1.1\nMetadata: true\n\nx",
			"first for r/.default"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			response := endpointstest.Ask(t, outlet(), tt.request)
			body := endpointstest.Body(t, response)
			if want := `{"access_token":"token of ` + tt.want + `"`; response.StatusCode != http.StatusOK || !strings.HasPrefix(body, want) {
				t.Errorf("answer = %s, %s, want 200 and %s…", response.Status, body, want)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	query := func(version string) string {
		return "GET " + path + "?" + version + "&resource=r HTTP/1.1\nMetadata: true"
	}
	metadata := func(header string) string {
		return "GET " + path + "?api-version=2018-02-01&resource=r HTTP/1.1\n" + header
	}
	method := func(method string) string {
		return method + " " + path + "?api-version=2018-02-01&resource=r HTTP/1.1\nMetadata: true"
	}
	at := func(path string) string {
		return "GET " + path + "?api-version=2018-02-01&resource=r HTTP/1.1\nMetadata: true"
	}
	tests := []struct {
		name, request string
		want          int
	}{
		{"metadata: true", metadata("metadata: true"), 200},
		{"Metadata: True", metadata("Metadata: True"), 200},
		{"Metadata with blanks around", metadata("Metadata:   true  "), 200},
		{"Metadata: false", metadata("Metadata: false"), 400},
		{"Metadata: 1", metadata("Metadata: 1"), 400},
		{"Metadata empty", metadata("Metadata:"), 400},
		{"Metadata with a list", metadata("Metadata: true, true"), 400},
		{"Metadata twice", metadata("Metadata: true\nMetadata: true"), 400},
		{"Metadata in the query only", "GET " + path + "?api-version=2018-02-01&resource=r&Metadata=true HTTP/1.1", 400},

		{"oldest version", query("api-version=2018-02-01"), 200},
		{"a version in between", query("api-version=2019-06-04"), 200},
		{"a version of the time to come", query("api-version=2031-12-31"), 200},
		{"a version before the first", query("api-version=2017-09-01"), 400},
		{"the day before the first version", query("api-version=2018-01-31"), 400},
		{"no such day", query("api-version=2021-02-30"), 400},
		{"preview version", query("api-version=2021-02-01-preview"), 400},
		{"version 1.0", query("api-version=1.0"), 400},
		{"version with a line end", query("api-version=2018-02-01%0A"), 400},
		{"version empty", query("api-version="), 400},
		{"version in another case", query("Api-Version=2018-02-01"), 400},
		{"version twice", query("api-version=2018-02-01&api-version=2018-02-01"), 400},

		{"resource empty", "GET " + path + "?api-version=2018-02-01&resource= HTTP/1.1\nMetadata: true", 400},
		{"resource twice", "GET " + path + "?api-version=2018-02-01&resource=a&resource=a HTTP/1.1\nMetadata: true", 400},
		{"resource with a line end", "GET " + path + "?api-version=2018-02-01&resource=a%0D%0Ab HTTP/1.1\nMetadata: true", 400},
		{"resource of 8 KiB", "GET " + path + "?api-version=2018-02-01&resource=" + strings.Repeat("r", 8<<10) + " HTTP/1.1\nMetadata: true", 400},
		{"unknown object id", "GET " + path + "?api-version=2018-02-01&resource=r&object_id=x HTTP/1.1\nMetadata: true", 400},
		{"unknown mi_res_id", "GET " + path + "?api-version=2018-02-01&resource=r&mi_res_id=x HTTP/1.1\nMetadata: true", 400},
		{"unknown msi_res_id", "GET " + path + "?api-version=2018-02-01&resource=r&msi_res_id=x HTTP/1.1\nMetadata: true", 400},

		{"HEAD", method("HEAD"), 405},
		{"POST", method("POST"), 405},
		{"PUT", method("PUT"), 405},
		{"DELETE", method("DELETE"), 405},
		{"OPTIONS", method("OPTIONS"), 405},
		{"TRACE", method("TRACE"), 405},
		{"wrong method without Metadata", "POST " + path + " HTTP/1.1", 405},

		{"X-Forwarded-For empty", metadata("Metadata: true\nx-forwarded-for:"), 400},
		{"X-Forwarded-For twice", metadata("Metadata: true\nX-Forwarded-For: a\nX-Forwarded-For: b"), 400},
		{"Via", metadata("Metadata: true\nVia: 1.1 proxy"), 400},
		{"Forwarded", metadata("Metadata: true\nForwarded: for=10.0.0.1"), 400},
		{"Sec-Fetch-Site", metadata("Metadata: true\nSec-Fetch-Site: cross-site"), 403},
		{"another port", metadata("Metadata: true\nHost: 127.0.0.1:80"), 403},
		{"Host of the GCE metadata server", metadata("Metadata: true\nHost: metadata.google.internal"), 403},

		{"in upper case", at("/METADATA/IDENTITY/OAUTH2/TOKEN"), 200},
		{"a letter escaped", at("/metad%61ta/identity/oauth2/token"), 200},
		{"many slashes in front", at("///metadata/identity/oauth2/token/"), 200},
		{"two slashes at the end", at(path + "//"), 404},
		{"two slashes within", at("/metadata//identity/oauth2/token"), 404},
		{"a dot segment", at("/metadata/identity/../identity/oauth2/token"), 404},
		{"an escaped slash", at("/metadata%2Fidentity/oauth2/token"), 404},
		{"a NUL", at(path + "%00"), 404},
		{"a path parameter", at(path + ";x"), 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			response := endpointstest.Ask(t, outlet(), tt.request)
			body := endpointstest.Body(t, response)
			if response.StatusCode != tt.want {
				t.Errorf("status = %d, want %d; body %s", response.StatusCode, tt.want, body)
			}
			if response.StatusCode != http.StatusOK && strings.Contains(body, "token of") {
				t.Errorf("the refusal has a token in it: %s", body)
			}
			if got := response.Header.Get("Content-Type"); got != "application/json" || !json.Valid([]byte(body)) {
				t.Errorf("answer is %s %s, want JSON", got, body)
			}
		})
	}
}

// Every version that Azure has published with this endpoint, as far as its documentation lists them.
func TestVersions(t *testing.T) {
	for _, version := range []string{
		"2018-02-01", "2018-04-02", "2018-10-01", "2019-02-01", "2019-03-11", "2019-04-30", "2019-06-01", "2019-06-04",
		"2019-08-01", "2019-08-15", "2019-11-01", "2020-06-01", "2020-07-15", "2020-09-01", "2020-10-01", "2020-12-01",
		"2021-01-01", "2021-02-01", "2021-03-01", "2021-05-01", "2021-10-01", "2023-11-15",
	} {
		request := "GET " + path + "?api-version=" + version + "&resource=r HTTP/1.1\nMetadata: true"
		if response := endpointstest.Ask(t, outlet(), request); response.StatusCode != http.StatusOK {
			t.Errorf("%s: status = %d, want 200", version, response.StatusCode)
		}
	}
}

// A probe gives up after a second, and a request that can only be refused is not worth an exchange.
func TestProbesAndBadRequestsDoNotWait(t *testing.T) {
	cold := outletOf(endpointstest.Provider(func(context.Context, refresher.Target) (refresher.Credential, error) {
		t.Error("the provider was asked")
		return refresher.Credential{}, &refresher.Error{Code: refresher.CodeNotReady}
	}))
	for _, request := range []string{
		"GET " + path + " HTTP/1.1",
		"GET " + path + "?api-version=2018-02-01&resource=r HTTP/1.1",
		"GET " + path + "?resource=r HTTP/1.1\nMetadata: true",
		"GET " + path + "?api-version=2018-02-01 HTTP/1.1\nMetadata: true",
		"GET " + path + "?api-version=2018-02-01&resource=r&client_id=x HTTP/1.1\nMetadata: true",
	} {
		if response := endpointstest.Ask(t, cold, request); response.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: status = %d, want 400", request, response.StatusCode)
		}
	}
}

// What SDKs send to find out whether there is an IMDS, before they ask for a token.
func TestProbes(t *testing.T) {
	tests := []struct {
		name, request string
		want          int
	}{
		{"DefaultAzureCredential for Go", "GET " + path + " HTTP/1.1\nHost: 169.254.169.254", 400},
		{"DefaultAzureCredential for JavaScript", "GET " + path + " HTTP/1.1\nHost: 169.254.169.254\nAccept: application/json", 400},
		{"azure-identity for Python, and Azure.Identity for .NET", "GET " + path + "?api-version=2018-02-01&resource=https://management.azure.com HTTP/1.1\nHost: 169.254.169.254", 400},
		{"adal for Go", "GET " + path + "?api-version=2018-02-01 HTTP/1.1\nHost: 169.254.169.254", 400},
		{"MSAL.NET: the first version of the IMDS", "GET " + path + "?api-version=2018-02-01 HTTP/1.1", 400},
		{"MSAL.NET: the second version must not seem to exist", "GET /metadata/identity/getplatformmetadata?api-version=2.0 HTTP/1.1", 404},
		{"MSAL.NET: nor with the header", "GET /metadata/identity/getplatformmetadata?api-version=2.0 HTTP/1.1\nMetadata: true", 404},
		{"MSAL.NET: certificates", "POST /metadata/identity/issuecredential?api-version=2.0 HTTP/1.1", 404},
		{"MSAL.NET: certificates, with the header", "POST /metadata/identity/issuecredential?api-version=2.0 HTTP/1.1\nMetadata: true", 404},
		{"MSAL: region", "GET /metadata/instance/compute?api-version=2021-02-01 HTTP/1.1\nMetadata: true", 404},
		{"the instance document", "GET /metadata/instance?api-version=2021-02-01 HTTP/1.1", 404},
		{"in any case", "GET /Metadata/Instance HTTP/1.1", 404},
		{"the list of versions", "GET /metadata/versions HTTP/1.1\nMetadata: true", 404},
		{"/metadata itself", "GET /metadata HTTP/1.1", 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			response := endpointstest.Ask(t, outlet(), tt.request)
			body := endpointstest.Body(t, response)
			if response.StatusCode != tt.want {
				t.Errorf("status = %d, want %d; body %s", response.StatusCode, tt.want, body)
			}
			if got := response.Header.Get("Content-Type"); got != "application/json" || !json.Valid([]byte(body)) {
				t.Errorf("answer is %s %s, want JSON", got, body)
			}
			// .NET tells "no such identity" from "an IMDS is here" by these words.
			if strings.Contains(body, "Identity not found") {
				t.Errorf("body = %s, want no word of an identity", body)
			}
			if server := response.Header["Server"]; server != nil {
				t.Errorf("Server = %q, want none", server)
			}
		})
	}
}
