package appservice_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/appservice"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken/azuretokentest"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/refresher"
)

func cloudShell(p endpoints.Provider) *endpoints.Protocol {
	identities := azuretokentest.Identities()
	if p != nil {
		identities = azuretokentest.Only(p)
	}
	return appservice.New(appservice.Options{Secret: secret, Identities: identities, CloudShell: true, Now: azuretokentest.Now})
}

const post = "POST " + path + " HTTP/1.1\nMetadata: true\nContent-Type: application/x-www-form-urlencoded"

func TestCloudShellAnswers(t *testing.T) {
	tests := []struct {
		golden   string
		protocol *endpoints.Protocol
		request  string
	}{
		{"cloudshell_token", cloudShell(nil), post + "\n\nresource=https%3A%2F%2Fmanagement.core.windows.net%2F"},
		{"cloudshell_token_by_get", cloudShell(nil), "GET " + path + "?resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\nMetadata: true"},
		{"cloudshell_off_by_get", outlet(), "GET " + path + "?resource=r HTTP/1.1\nMetadata: true"},
		{"cloudshell_no_metadata_header", cloudShell(nil), "POST " + path + " HTTP/1.1\n\nresource=r"},
		{"cloudshell_no_resource", cloudShell(nil), post},
		{"cloudshell_not_ready", cloudShell(azuretokentest.Fail(&refresher.Error{Code: refresher.CodeNotReady})), post + "\n\nresource=r"},
		{"cloudshell_bad_method", cloudShell(nil), "PUT " + path + " HTTP/1.1"},
		{"cloudshell_off", outlet(), post + "\n\nresource=r"},
		{"cloudshell_token_of_second", cloudShell(nil), post + "\n\nresource=r&client_id=" + azuretokentest.SecondClientID},
		{"cloudshell_unknown_identity", cloudShell(nil), post + "\n\nresource=r&client_id=x"},
		{"cloudshell_two_ids", cloudShell(nil), post + "\n\nresource=r&client_id=x&object_id=y"},
		{"cloudshell_denied", cloudShell(azuretokentest.Fail(&refresher.Error{Class: refresher.Denied, Code: "AADSTS700213"})), post + "\n\nresource=r"},
		{"cloudshell_denied_resource", cloudShell(azuretokentest.Fail(&refresher.Error{Class: refresher.Denied, Code: "AADSTS500011"})), post + "\n\nresource=r"},
		{"cloudshell_resource_not_allowed", cloudShell(azuretokentest.Fail(&refresher.Error{Class: refresher.Denied, Code: refresher.CodeTargetNotAllowed})), post + "\n\nresource=r"},
		{"cloudshell_too_many_resources", cloudShell(azuretokentest.Fail(&refresher.Error{Code: refresher.CodeTooManyTargets})), post + "\n\nresource=r"},
		{"cloudshell_throttled", cloudShell(azuretokentest.Fail(&refresher.Error{Class: refresher.Throttled, Code: "AADSTS50196"})), post + "\n\nresource=r"},
		{"cloudshell_no_bearer", cloudShell(azuretokentest.AccessKey()), post + "\n\nresource=r"},
		{"cloudshell_defect", cloudShell(azuretokentest.Panicking()), post + "\n\nresource=r"},
		{"cloudshell_metadata_header_twice", cloudShell(nil), post + "\nMetadata: true\n\nresource=r"},
		{"cloudshell_forwarded", cloudShell(nil), post + "\nX-Forwarded-For:\n\nresource=r"},
		{"cloudshell_web_page", cloudShell(nil), post + "\nOrigin: null\n\nresource=r"},
		{"cloudshell_other_host", cloudShell(nil), post + "\nHost: attacker.example\n\nresource=r"},
		{"cloudshell_large_body", cloudShell(nil), post + "\n\nresource=" + strings.Repeat("r", 4<<10)},
		{"cloudshell_large_chunked_body", cloudShell(nil), post + "\nTransfer-Encoding: chunked\n\n1388\r\nresource=" + strings.Repeat("r", 5000-9) + "\r\n0\r\n\r\n"},
		{"cloudshell_short_body", cloudShell(nil), post + "\nTransfer-Encoding: chunked\n\nff\r\nresource=r"},
		{"cloudshell_retry_without_body", cloudShell(nil), post + "\nTransfer-Encoding: chunked\n\n0\r\n\r\n"},
	}
	for _, refused := range azuretokentest.Refused {
		tests = append(tests, struct {
			golden   string
			protocol *endpoints.Protocol
			request  string
		}{"cloudshell_" + refused.Golden, cloudShell(nil), post + "\n\n" + refused.Query})
	}
	for _, tt := range tests {
		t.Run(tt.golden, func(t *testing.T) {
			endpointstest.Golden(t, tt.golden, endpointstest.Ask(t, tt.protocol, tt.request))
		})
	}
}

func TestCloudShellRequests(t *testing.T) {
	tests := []struct {
		name, request string
		want          int
	}{
		{"azidentity and MSAL for Go", post + "\n\nresource=https%3A%2F%2Fmanagement.azure.com", 200},
		{"msal-node: fetch adds a field", post + ";charset=utf-8\nSec-Fetch-Mode: cors\n\nresource=https%3A%2F%2Fmanagement.azure.com", 200},
		{"msrestazure with a client id", post + "\n\nresource=https%3A%2F%2Fmanagement.core.windows.net%2F&client_id=" + azuretokentest.SecondClientID, 200},
		{"an object id", post + "\n\nresource=r&object_id=" + azuretokentest.SecondObjectID, 200},
		{"a resource id", post + "\n\nresource=r&msi_res_id=" + azuretokentest.SecondResourceID, 200},
		{"adal for Go: in chunks", post + "\nTransfer-Encoding: chunked\n\nd\r\nresource=http\r\n6\r\ns%3A//\r\n1\r\nx\r\n0\r\n\r\n", 200},
		{"adal for Go, second attempt: an empty body", post + "\nTransfer-Encoding: chunked\n\n0\r\n\r\n", 400},
		{"Metadata: True", strings.Replace(post, "true", "True", 1) + "\n\nresource=r", 200},
		{"Metadata: false", strings.Replace(post, "true", "false", 1) + "\n\nresource=r", 400},
		{"empty ids", post + "\n\nresource=r&client_id=&msi_res_id=", 200},
		{"two ids", post + "\n\nresource=r&client_id=x&msi_res_id=y", 400},
		{"a body of no length", post + "\nContent-Length: 0", 400},
		{"HEAD", "HEAD " + path + " HTTP/1.1\nMetadata: true", 405},
		{"OPTIONS", "OPTIONS " + path + " HTTP/1.1\nMetadata: true", 405},
		{"the address of the IMDS", post + "\nHost: 169.254.169.254\n\nresource=r", 403},
		{"Sec-Fetch-Site", post + "\nSec-Fetch-Site: none\n\nresource=r", 403},
		{"with a slash", strings.Replace(post, path, path+"/", 1) + "\n\nresource=r", 200},
		{"a query beside the body counts for nothing", strings.Replace(post, path, path+"?resource=r", 1), 400},
		{"resource twice", post + "\n\nresource=r&resource=r", 400},
		{"unknown identity", post + "\n\nresource=r&client_id=x", 400},
		{"without Metadata, with the secret", "POST " + path + " HTTP/1.1\nsecret: " + secret + "\n\nresource=r", 400},
		{"forwarded", post + "\nX-Forwarded-For:\n\nresource=r", 400},
		{"large body", post + "\n\nresource=" + strings.Repeat("r", 4<<10), 413},
		{"large body in chunks", post + "\nTransfer-Encoding: chunked\n\n1388\r\nresource=" + strings.Repeat("r", 5000-9) + "\r\n0\r\n\r\n", 413},
		{"a body that ends early", post + "\nTransfer-Encoding: chunked\n\nff\r\nresource=r", 400},
		{"GET still needs the secret", "GET " + path + "?api-version=2019-08-01&resource=r HTTP/1.1\nMetadata: true", 401},
		{"GET with the secret", new2019, 200},
		{"msal4j: GET, and a field that is none", "GET " + path + "?resource=https%3A%2F%2Fvault.azure.net HTTP/1.1\nMetadata: true\nContentType: application/x-www-form-urlencoded", 200},
		{"msal4j with a client id", "GET " + path + "?resource=r&client_id=" + azuretokentest.SecondClientID + " HTTP/1.1\nMetadata: true", 200},
		{"GET like that without Metadata", "GET " + path + "?resource=r HTTP/1.1", 401},
		{"GET like that with a wrong secret", "GET " + path + "?resource=r HTTP/1.1\nMetadata: true\nsecret: wrong", 401},
		{"GET like that without a resource", "GET " + path + " HTTP/1.1\nMetadata: true", 400},
		{"GET like that, forwarded", "GET " + path + "?resource=r HTTP/1.1\nMetadata: true\nX-Forwarded-For:", 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			response := endpointstest.Ask(t, cloudShell(nil), tt.request)
			body := endpointstest.Body(t, response)
			if response.StatusCode != tt.want {
				t.Errorf("status = %d, want %d; body %s", response.StatusCode, tt.want, body)
			}
			if got := response.Header.Get("Content-Type"); got != "application/json" || !json.Valid([]byte(body)) {
				t.Errorf("answer is %s %s, want JSON", got, body)
			}
		})
	}
}

// MSI_ENDPOINT and MSI_SECRET are set, but msrestazure looks at the latter only in what it takes for
// an App Service.
func TestAClientThatLacksAVariableIsNamedInTheLogOnce(t *testing.T) {
	var log bytes.Buffer
	p := appservice.New(appservice.Options{
		Secret: secret, Identities: azuretokentest.Identities(), Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 3 {
		response := endpointstest.Ask(t, p, post+"\n\nresource=https%3A%2F%2Fmanagement.core.windows.net%2F")
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("status = %d, want 401", response.StatusCode)
		}
	}
	if got := strings.Count(log.String(), "APPSETTING_WEBSITE_SITE_NAME"); got != 1 {
		t.Errorf("log names the variable %d times, want once:\n%s", got, &log)
	}
}

func TestOverASocket(t *testing.T) {
	server := httptest.NewServer(endpointstest.Serve(t, cloudShell(nil)))
	defer server.Close()
	steps := []struct {
		name, method, query, body string
		header                    http.Header
		want                      int
	}{
		{"an error first", http.MethodGet, "", "", nil, 401},
		{"a token", http.MethodGet, "?api-version=2019-08-01&resource=r", "", http.Header{"X-Identity-Header": {secret}}, 200},
		{"in chunks", http.MethodPost, "", "resource=https://management.azure.com/", http.Header{"Metadata": {"true"}}, 200},
		{"a token again", http.MethodGet, "?api-version=2017-09-01&resource=r", "", http.Header{"Secret": {secret}}, 200},
	}
	for _, step := range steps {
		var body io.Reader
		if step.body != "" {
			body = io.MultiReader(strings.NewReader(step.body)) // of unknown length, and so sent in chunks
		}
		request, err := http.NewRequestWithContext(t.Context(), step.method, server.URL+path+step.query, body)
		if err != nil {
			t.Fatal(err)
		}
		if step.header != nil {
			request.Header = step.header
		}
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		answer, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != step.want {
			t.Errorf("%s: %d %s, %v, want %d", step.name, response.StatusCode, answer, err, step.want)
		}
	}
}
