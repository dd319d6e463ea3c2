package appservice_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/appservice"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken/azuretokentest"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/refresher"
)

const (
	path   = appservice.DefaultPath
	secret = "correct-horse-battery-staple"

	new2019 = "GET " + path + "?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\nX-IDENTITY-HEADER: " + secret
	old2017 = "GET " + path + "?api-version=2017-09-01&resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\nsecret: " + secret
)

func outletFor(identities []azuretoken.Identity) *endpoints.Protocol {
	return appservice.New(appservice.Options{Secret: secret, Identities: identities, Now: azuretokentest.Now})
}

func outlet() *endpoints.Protocol { return outletFor(azuretokentest.Identities()) }

func failing(class refresher.Class, code string) *endpoints.Protocol {
	return outletFor(azuretokentest.Only(azuretokentest.Fail(&refresher.Error{Class: class, Code: code})))
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		golden   string
		protocol *endpoints.Protocol
		request  string
	}{
		{"token", outlet(), new2019},
		{"token_2017", outlet(), old2017},
		{"token_of_second", outlet(), "GET " + path + "?api-version=2017-09-01&resource=https://management.azure.com/&clientid=" + azuretokentest.SecondClientID + " HTTP/1.1\nsecret: " + secret},
		{"no_secret", outlet(), "GET " + path + "?api-version=2019-08-01&resource=r HTTP/1.1"},
		{"no_version", outlet(), "GET " + path + "?resource=r HTTP/1.1\nX-IDENTITY-HEADER: " + secret},
		{"no_resource", outlet(), "GET " + path + "?api-version=2019-08-01 HTTP/1.1\nX-IDENTITY-HEADER: " + secret},
		{"unknown_identity", outlet(), "GET " + path + "?api-version=2019-08-01&resource=r&client_id=x HTTP/1.1\nX-IDENTITY-HEADER: " + secret},
		{"two_ids", outlet(), "GET " + path + "?api-version=2019-08-01&resource=r&client_id=x&mi_res_id=y HTTP/1.1\nX-IDENTITY-HEADER: " + secret},
		{"not_ready", failing(refresher.Transient, refresher.CodeNotReady), new2019},
		{"denied", failing(refresher.Denied, "AADSTS700213"), new2019},
		{"denied_resource", failing(refresher.Denied, "AADSTS500011"), new2019},
		{"resource_not_allowed", failing(refresher.Denied, refresher.CodeTargetNotAllowed), new2019},
		{"no_bearer", outletFor(azuretokentest.Only(azuretokentest.AccessKey())), new2019},
		{"forwarded", outlet(), new2019 + "\nX-Forwarded-For: 10.0.0.1"},
		{"web_page", outlet(), new2019 + "\nOrigin: https://attacker.example"},
		{"other_host", outlet(), new2019 + "\nHost: attacker.example"},
		{"bad_method", outlet(), "DELETE " + path + " HTTP/1.1"},
		{"secret_twice", outlet(), new2019 + "\nX-IDENTITY-HEADER: " + secret},
		{"large_body", outlet(), new2019 + "\n\n" + strings.Repeat("x", 5<<10)},
		{"chunked_body", outlet(), new2019 + "\nTransfer-Encoding: chunked\n\n0\r\n\r\n"},
		{"no_host", outlet(), new2019 + "\nHost:"},
		{"too_many_fields", outlet(), new2019 + azuretokentest.ManyFields()},
		{"too_many_resources", failing(refresher.Transient, refresher.CodeTooManyTargets), new2019},
		{"throttled", failing(refresher.Throttled, "AADSTS50196"), new2019},
		{"not_found", outlet(), "GET " + path + "/x HTTP/1.1"},
		{"post", outlet(), "POST " + path + " HTTP/1.1"},
		{"defect", outletFor(azuretokentest.Only(azuretokentest.Panicking())), new2019},
	}
	for _, refused := range azuretokentest.Refused {
		tests = append(tests, struct {
			golden   string
			protocol *endpoints.Protocol
			request  string
		}{refused.Golden, outlet(), "GET " + path + "?api-version=2019-08-01&" + refused.Query + " HTTP/1.1\nX-IDENTITY-HEADER: " + secret})
	}
	for _, tt := range tests {
		t.Run(tt.golden, func(t *testing.T) {
			endpointstest.Golden(t, tt.golden, endpointstest.Ask(t, tt.protocol, tt.request))
		})
	}
}

// What clients send, written from their source or from the wire.
func TestClients(t *testing.T) {
	get := func(query, header string) string {
		return "GET " + path + query + " HTTP/1.1\n" + header
	}
	tests := []struct {
		name, request string
		want          string // identity and scope of the token
	}{
		{"azidentity and MSAL for Go", get("?api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com", "X-IDENTITY-HEADER: "+secret+"\nUser-Agent: azsdk-go-azidentity/v1.15.0"),
			"first for https://management.azure.com/.default"},
		{"azidentity with a client id", get("?api-version=2019-08-01&client_id="+azuretokentest.SecondClientID+"&resource=https%3A%2F%2Fmanagement.azure.com", "X-IDENTITY-HEADER: "+secret),
			"second for https://management.azure.com/.default"},
		{"MSAL for Go with an object id", get("?api-version=2019-08-01&object_id="+azuretokentest.SecondObjectID+"&resource=https%3A%2F%2Fvault.azure.net", "X-IDENTITY-HEADER: "+secret),
			"second for https://vault.azure.net/.default"},
		{"msal-node and @azure/identity", get("?api-version=2019-08-01&mi_res_id="+strings.ReplaceAll(azuretokentest.SecondResourceID, "/", "%2F")+"&resource=https%3A%2F%2Fvault.azure.net", "X-IDENTITY-HEADER: "+secret+"\nContent-Type: application/x-www-form-urlencoded;charset=utf-8\nSec-Fetch-Mode: cors"),
			"second for https://vault.azure.net/.default"},
		{"azure-identity for Python, raw", get("?api-version=2019-08-01&resource=https://storage.azure.com", "X-IDENTITY-HEADER: "+secret),
			"first for https://storage.azure.com/.default"},
		{"msal for Python, and azure-cli", get("?api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.core.windows.net%2F", "X-IDENTITY-HEADER: "+secret+"\nMetadata: true"),
			"first for https://management.core.windows.net//.default"},
		{"go-azure-sdk with its own version and headers", get("?api-version=2019-08-01&resource=https%3A%2F%2Fgraph.microsoft.com", "Metadata: true\nX-Identity-Header: "+secret),
			"first for https://graph.microsoft.com/.default"},

		{"azidentity as for Azure ML, with an id that is unset", get("?api-version=2017-09-01&clientid=&resource=https%3A%2F%2Fvault.azure.net", "secret: "+secret),
			"first for https://vault.azure.net/.default"},
		{"adal for Go", get("?api-version=2017-09-01&clientid="+azuretokentest.SecondClientID+"&resource=https%3A%2F%2Fmanagement.azure.com%2F", "Secret: "+secret+"\nUser-Agent: Go/go1.22 go-autorest/adal/v1.0.0"),
			"second for https://management.azure.com//.default"},
		{"msrestazure in an app: a slash, raw", get("/?resource=https://management.core.windows.net/&api-version=2017-09-01", "Secret: "+secret),
			"first for https://management.core.windows.net//.default"},
		{"ms-rest-nodeauth", get("/?resource=https://management.core.windows.net/&api-version=2017-09-01&clientid="+strings.ToUpper(azuretokentest.SecondClientID), "secret: "+secret),
			"second for https://management.core.windows.net//.default"},
		{"msal-node as for Azure ML: both headers", get("?api-version=2017-09-01&resource=https%3A%2F%2Fvault.azure.net&clientid="+azuretokentest.FirstClientID, "Metadata: true\nsecret: "+secret),
			"first for https://vault.azure.net/.default"},
		{"msal for Python as for Azure ML", get("?api-version=2017-09-01&resource=https%3A%2F%2Fvault.azure.net&clientid="+azuretokentest.FirstClientID, "secret: "+secret),
			"first for https://vault.azure.net/.default"},
		{"client_id with the old version", get("?api-version=2017-09-01&resource=https%3A%2F%2Fvault.azure.net&client_id="+azuretokentest.SecondClientID, "secret: "+secret),
			"second for https://vault.azure.net/.default"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			response := endpointstest.Ask(t, outlet(), tt.request)
			body := endpointstest.Body(t, response)
			if want := `{"access_token":"token of ` + tt.want + `"`; response.StatusCode != http.StatusOK || !strings.HasPrefix(body, want) {
				t.Errorf("answer = %s, %s, want 200 and %s…", response.Status, body, want)
			}
			// msrestazure and ms-rest-nodeauth take this word for a failure.
			if strings.Contains(body, "ExceptionMessage") {
				t.Errorf("body = %s, want it without ExceptionMessage", body)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	const (
		good2019 = "?api-version=2019-08-01&resource=r"
		good2017 = "?api-version=2017-09-01&resource=r"
		header   = "X-IDENTITY-HEADER: " + secret
	)
	get := func(query, header string) string { return "GET " + path + query + " HTTP/1.1\n" + header }
	tests := []struct {
		name, request string
		want          int
	}{
		{"good", get(good2019, header), 200},
		{"the field in lower case", get(good2019, "x-identity-header: "+secret), 200},
		{"both fields with the new version", get(good2019, header+"\nsecret: wrong"), 200},
		{"both fields with the old version", get(good2017, "X-IDENTITY-HEADER: wrong\nsecret: "+secret), 200},
		{"a slash at the end", get("/"+good2019, header), 200},
		{"two slashes in front", "GET /" + path + good2019 + " HTTP/1.1\n" + header, 200},
		{"an endpoint with a query of its own", get("?a=b&api-version=2019-08-01&resource=r", header), 200},
		{"empty ids", get(good2019+"&client_id=&object_id=&mi_res_id=", header), 200},
		{"a small body", get(good2019, header+"\n\nx"), 200},

		{"no secret", get(good2019, "Metadata: true"), 401},
		{"secret empty", get(good2019, "X-IDENTITY-HEADER:"), 401},
		{"secret wrong", get(good2019, "X-IDENTITY-HEADER: wrong"), 401},
		{"secret in upper case", get(good2019, "X-IDENTITY-HEADER: "+strings.ToUpper(secret)), 401},
		{"a prefix of the secret", get(good2019, "X-IDENTITY-HEADER: "+secret[:len(secret)-1]), 401},
		{"the secret and more", get(good2019, header+"x"), 401},
		{"the secret doubled", get(good2019, header+", "+secret), 401},
		{"the secret in the query", get(good2019+"&X-IDENTITY-HEADER="+secret, "X-IDENTITY-HEADER: wrong"), 401},
		{"the old field with the new version", get(good2019, "secret: "+secret), 401},
		{"the new field with the old version", get(good2017, header), 401},
		{"no secret, old version", get(good2017, "Metadata: true"), 401},
		{"secret empty, old version", get(good2017, "secret:"), 401},
		{"secret wrong, old version", get(good2017, "secret: wrong"), 401},
		{"as a bearer token", get(good2019, "Authorization: Bearer "+secret), 401},
		{"the field twice", get(good2019, header+"\n"+header), 400},
		{"the old field twice", get(good2017, "secret: "+secret+"\nsecret: "+secret), 400},

		{"the secret counts before the version: wrong", get("?resource=r", "X-IDENTITY-HEADER: wrong"), 401},
		{"the secret counts before the version: right", get("?resource=r", header), 400},
		{"no version, old field", get("?resource=r", "secret: "+secret), 400},
		{"version of the IMDS", get("?api-version=2018-02-01&resource=r", header), 400},
		{"version of Service Fabric", get("?api-version=2019-07-01-preview&resource=r", "secret: "+secret), 400},
		{"the secret counts before the query: wrong", get("?resource=r&resource=r", "X-IDENTITY-HEADER: wrong"), 401},
		{"the secret counts before the query: right", get("?resource=r&resource=r", header), 400},
		{"no resource", get("?api-version=2019-08-01", header), 400},
		{"resource empty", get("?api-version=2019-08-01&resource=", header), 400},
		{"resource with a line end", get("?api-version=2019-08-01&resource=a%0D%0Ab", header), 400},
		{"resource of 8 KiB", get("?api-version=2019-08-01&resource="+strings.Repeat("r", 8<<10), header), 400},
		{"a word is repeated", get(good2019+"&x=1&x=2", header), 400},
		{"unknown clientid, old version", get(good2017+"&clientid=x", "secret: "+secret), 400},
		{"unknown client id", get(good2019+"&client_id=x", header), 400},
		{"unknown object id", get(good2019+"&principal_id=x", header), 400},
		{"unknown resource id", get(good2019+"&mi_res_id=x", header), 400},
		{"two ids", get(good2019+"&client_id=x&object_id=y", header), 400},

		{"HEAD", "HEAD " + path + good2019 + " HTTP/1.1\n" + header, 405},
		{"PUT", "PUT " + path + good2019 + " HTTP/1.1\n" + header, 405},
		{"OPTIONS", "OPTIONS " + path + good2019 + " HTTP/1.1\n" + header, 405},
		{"POST with the secret", "POST " + path + good2019 + " HTTP/1.1\n" + header, 405},
		{"POST with nothing", "POST " + path + " HTTP/1.1", 405},
		{"POST with Metadata and the secret", "POST " + path + " HTTP/1.1\nMetadata: true\nsecret: " + secret, 405},

		{"X-Forwarded-For", get(good2019, header+"\nX-Forwarded-For: 10.0.0.1"), 400},
		{"X-Forwarded-For empty", get(good2019, header+"\nX-Forwarded-For:"), 400},
		{"Sec-Fetch-Site", get(good2019, header+"\nSec-Fetch-Site: same-origin"), 403},
		{"Host of the IMDS", get(good2019, header+"\nHost: 169.254.169.254"), 403},
		{"another path", "GET /msi HTTP/1.1\n" + header, 404},
		{"a path below", "GET " + path + "/x" + good2019 + " HTTP/1.1\n" + header, 404},
		{"the path in another case", "GET /MSI/token" + good2019 + " HTTP/1.1\n" + header, 404},
		{"the path of the IMDS", "GET /metadata/identity/oauth2/token" + good2019 + " HTTP/1.1\n" + header, 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			response := endpointstest.Ask(t, outlet(), tt.request)
			body := endpointstest.Body(t, response)
			if response.StatusCode != tt.want {
				t.Errorf("status = %d, want %d; body %s", response.StatusCode, tt.want, body)
			}
			if allow := response.Header.Get("Allow"); tt.want == http.StatusMethodNotAllowed && allow != "GET" {
				t.Errorf("Allow = %q, want GET", allow)
			}
			if response.StatusCode != http.StatusOK && strings.Contains(body, "token of") {
				t.Errorf("the refusal has a token in it: %s", body)
			}
			if ours := tt.want != http.StatusNotFound || strings.Contains(tt.request, path+"/"); ours {
				if got := response.Header.Get("Content-Type"); got != "application/json" || !json.Valid([]byte(body)) {
					t.Errorf("answer is %s %s, want JSON", got, body)
				}
			}
			if strings.Contains(body, secret) {
				t.Errorf("the answer has the secret in it: %s", body)
			}
		})
	}
}

func TestAnEmptySecretRefusesEverything(t *testing.T) {
	open := appservice.New(appservice.Options{Identities: azuretokentest.Identities()})
	for _, header := range []string{"X-IDENTITY-HEADER:", "Accept: */*", "X-IDENTITY-HEADER: x", "secret:"} {
		request := "GET " + path + "?api-version=2019-08-01&resource=r HTTP/1.1\n" + header
		if response := endpointstest.Ask(t, open, request); response.StatusCode != http.StatusUnauthorized {
			t.Errorf("with %q: status = %d, want 401", header, response.StatusCode)
		}
	}
}

func TestAnotherPath(t *testing.T) {
	for _, configured := range []string{"/identity", "/identity/"} {
		p := appservice.New(appservice.Options{Path: configured, Secret: secret, Identities: azuretokentest.Identities(), Now: azuretokentest.Now})
		for asked, want := range map[string]int{"/identity": 200, "/identity/": 200, path: 404} {
			request := "GET " + asked + "?api-version=2019-08-01&resource=r HTTP/1.1\nX-IDENTITY-HEADER: " + secret
			if response := endpointstest.Ask(t, p, request); response.StatusCode != want {
				t.Errorf("path %q: GET %s = %d, want %d", configured, asked, response.StatusCode, want)
			}
		}
	}
}

func TestParallelRequestsShareAToken(t *testing.T) {
	azuretokentest.ParallelRequests(t, func(identities []azuretoken.Identity) *endpoints.Protocol {
		return appservice.New(appservice.Options{Secret: secret, Identities: identities})
	}, new2019)
}

func TestACachedReadIsCheap(t *testing.T) {
	azuretokentest.CachedRead(t, outletFor, path, new2019)
}

func BenchmarkRead(b *testing.B) { azuretokentest.BenchmarkRead(b, outletFor, path, new2019) }
