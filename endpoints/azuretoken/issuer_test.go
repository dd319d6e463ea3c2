package azuretoken_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken"
	"github.com/wisp-sidecar/wisp/endpoints/azuretoken/azuretokentest"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/refresher"
)

// ask passes a query to an Issuer, and returns the body or the refusal.
func ask(t *testing.T, i azuretoken.Issuer, query string) (string, *endpoints.Refusal) {
	t.Helper()
	q, refusal := azuretoken.Parse(query)
	if refusal != nil {
		return "", refusal
	}
	w := httptest.NewRecorder()
	if refusal := i.Answer(w, httptest.NewRequest(http.MethodGet, "/", nil), q); refusal != nil {
		if w.Body.Len() != 0 {
			t.Errorf("Answer(%q) refused, but wrote %q before", query, w.Body)
		}
		return "", refusal
	}
	return w.Body.String(), nil
}

func TestSelection(t *testing.T) {
	issuer := azuretoken.Issuer{Identities: azuretokentest.Identities(), Now: azuretokentest.Now}
	tests := []struct {
		name, query, want string // want is the name of the identity; empty for none
	}{
		{"none: the first", "", "first"},
		{"empty ids: the first", "client_id=&object_id=&mi_res_id=", "first"},
		{"client id of the first", "client_id=" + azuretokentest.FirstClientID, "first"},
		{"client id of the second", "client_id=" + azuretokentest.SecondClientID, "second"},
		{"client id in upper case", "clientid=" + strings.ToUpper(azuretokentest.SecondClientID), "second"},
		{"object id", "object_id=" + azuretokentest.SecondObjectID, "second"},
		{"principal id in upper case", "principal_id=" + strings.ToUpper(azuretokentest.SecondObjectID), "second"},
		{"resource id", "msi_res_id=" + url.QueryEscape(azuretokentest.SecondResourceID), "second"},
		{"resource id, raw and in lower case", "mi_res_id=" + strings.ToLower(azuretokentest.SecondResourceID), "second"},
		{"resource id in the spelling of a probe", "msi-res-id=" + azuretokentest.SecondResourceID, "second"},
		{"unknown client id", "client_id=00000000-0000-0000-0000-000000000000", ""},
		{"unknown object id", "object_id=00000000-0000-0000-0000-000000000000", ""},
		{"unknown resource id", "mi_res_id=/subscriptions/x", ""},
		{"an object id as client id", "client_id=" + azuretokentest.SecondObjectID, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body, refusal := ask(t, issuer, "resource=r&"+tt.query)
			if tt.want == "" {
				if refusal == nil || refusal.Message != "Identity not found" {
					t.Errorf("Answer(%q) = %s, %v, want the refusal %q", tt.query, body, refusal, "Identity not found")
				}
				return
			}
			if want := `"access_token":"token of ` + tt.want + ` for r/.default"`; refusal != nil || !strings.Contains(body, want) {
				t.Errorf("Answer(%q) = %s, %v, want it to contain %s", tt.query, body, refusal, want)
			}
		})
	}
}

func TestResourceIsEchoed(t *testing.T) {
	issuer := azuretoken.Issuer{Identities: azuretokentest.Identities(), Now: azuretokentest.Now}
	for _, resource := range []string{
		"https://management.azure.com", "https://management.azure.com/", "https://vault.azure.net//", "HTTPS://Graph.Microsoft.Com",
		"https://x/.default", "api://AzureADTokenExchange", "00000003-0000-0000-c000-000000000000", "https://x/?a=b&c=<d>#e%41",
	} {
		body, refusal := ask(t, issuer, "resource="+url.QueryEscape(resource))
		if refusal != nil {
			t.Errorf("Answer for resource %q refused: %v", resource, refusal)
			continue
		}
		var got struct {
			Resource string `json:"resource"`
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || got.Resource != resource {
			t.Errorf("resource of the answer = %q, %v, want %q", got.Resource, err, resource)
		}
	}
}

// Parsers differ in what they read, and in what they take; this they all do.
func TestBodyIsWhatAllParsersTake(t *testing.T) {
	body, refusal := ask(t, azuretoken.Issuer{Identities: azuretokentest.Identities(), Now: azuretokentest.Now}, "resource=r")
	if refusal != nil {
		t.Fatal(refusal)
	}
	fields := map[string]string{} // fails on what is not a string
	if err := json.Unmarshal([]byte(body), &fields); err != nil {
		t.Fatal(err)
	}
	// MSAL.NET keeps the later one of expires_in and expires_on.
	last := -1
	for _, name := range []string{"access_token", "client_id", "expires_in", "expires_on", "ext_expires_in", "not_before", "resource", "token_type"} {
		at := strings.Index(body, `"`+name+`":"`)
		if at <= last {
			t.Errorf("%s is at byte %d of the body, want it after the field before, at %d", name, at, last)
		}
		last = at
		delete(fields, name)
	}
	if len(fields) > 0 {
		t.Errorf("the body also has %v", fields)
	}
	// Seconds are rounded down; the clock of the tests is 90.7 s after noon of the day.
	for _, want := range []string{`"expires_in":"86309"`, `"expires_on":"1772452800"`, `"not_before":"1772366400"`, `"token_type":"Bearer"`} {
		if !strings.Contains(body, want) {
			t.Errorf("body = %s, want %s in it", body, want)
		}
	}
}

func TestNothingGoesUpstreamForABadRequest(t *testing.T) {
	issuer := azuretoken.Issuer{Identities: azuretokentest.Only(endpointstest.Provider(
		func(context.Context, refresher.Target) (refresher.Credential, error) {
			t.Error("the provider was asked")
			return refresher.Credential{}, errors.New("unexpected")
		}))}
	for _, query := range []string{"", "resource=", "resource=a%0D%0Ab", "resource=" + strings.Repeat("r", 8<<10), "resource=r&client_id=x"} {
		if body, refusal := ask(t, issuer, query); refusal == nil || refusal.Reason != endpoints.BadRequest {
			t.Errorf("Answer(%.40q) = %s, %v, want a bad request", query, body, refusal)
		}
	}
}

func TestWhatIsNoBearerToken(t *testing.T) {
	nothing := endpointstest.Provider(func(context.Context, refresher.Target) (refresher.Credential, error) {
		return refresher.Credential{}, nil
	})
	for name, provider := range map[string]endpoints.Provider{"access key": azuretokentest.AccessKey(), "nothing": nothing} {
		body, refusal := ask(t, azuretoken.Issuer{Identities: azuretokentest.Only(provider)}, "resource=r")
		if refusal == nil || refusal.Reason != endpoints.Internal {
			t.Errorf("%s: Answer = %s, %v, want an internal error", name, body, refusal)
		}
	}
}

func TestAColdRequestIsHeldForTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cold := endpointstest.Provider(func(ctx context.Context, _ refresher.Target) (refresher.Credential, error) {
			<-ctx.Done()
			return refresher.Credential{}, &refresher.Error{Code: refresher.CodeNotReady}
		})
		began := time.Now()
		body, refusal := ask(t, azuretoken.Issuer{Identities: azuretokentest.Only(cold)}, "resource=r")
		if refusal == nil || refusal.Reason != endpoints.NotReady {
			t.Errorf("Answer = %s, %v, want it not ready", body, refusal)
		}
		if held := time.Since(began); held != 2*time.Second {
			t.Errorf("the request was held for %v, want 2s", held)
		}
	})
}

// The time that a request waited counts: expires_in is what is left when the answer is written.
func TestExpiresInCountsFromTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expires := time.Now().Add(time.Hour)
		slow := endpointstest.Provider(func(context.Context, refresher.Target) (refresher.Credential, error) {
			time.Sleep(1500 * time.Millisecond)
			return refresher.Credential{Value: refresher.Bearer{Token: "t"}, Expires: expires}, nil
		})
		body, refusal := ask(t, azuretoken.Issuer{Identities: azuretokentest.Only(slow)}, "resource=r")
		if refusal != nil || !strings.Contains(body, `"expires_in":"3598"`) {
			t.Errorf("Answer = %s, %v, want 3598 seconds left", body, refusal)
		}
	})
}

func TestATokenThatHasJustExpiredIsNotShown(t *testing.T) {
	for left, ready := range map[time.Duration]bool{-time.Second: false, 0: false, 999 * time.Millisecond: false, time.Second: true} {
		expiring := endpointstest.Provider(func(context.Context, refresher.Target) (refresher.Credential, error) {
			return refresher.Credential{Value: refresher.Bearer{Token: "t"}, Expires: azuretokentest.Now().Add(left)}, nil
		})
		body, refusal := ask(t, azuretoken.Issuer{Identities: azuretokentest.Only(expiring), Now: azuretokentest.Now}, "resource=r")
		if (refusal == nil) != ready || refusal != nil && refusal.Reason != endpoints.NotReady {
			t.Errorf("with %v left: Answer = %s, %v, want a token: %v", left, body, refusal, ready)
		}
	}
}

// FuzzAnswer: whatever resource is accepted comes back byte for byte.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"resource=https://management.azure.com/", "resource=https%3A%2F%2Fvault.azure.net&client_id=",
		"resource=%3Ca%26b%3E", "resource=a%00", "resource=%C3%A9", "resource=%22%5C", "resource=x/.default", "client_id=a&object_id=b",
	} {
		f.Add(seed)
	}
	issuer := azuretoken.Issuer{Identities: azuretokentest.Identities(), Now: azuretokentest.Now}
	f.Fuzz(func(t *testing.T, query string) {
		body, refusal := ask(t, issuer, query)
		if refusal != nil {
			return
		}
		sent, err := url.ParseQuery(query)
		if err != nil {
			t.Fatalf("Answer(%q) accepted what is not well-formed: %v", query, err)
		}
		var got struct {
			Resource string `json:"resource"`
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || got.Resource != sent.Get("resource") {
			t.Errorf("resource of the answer = %q, %v, want %q", got.Resource, err, sent.Get("resource"))
		}
	})
}
