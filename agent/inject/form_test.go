package inject_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/agent/inject"
)

// What a value may be at most and at least, and what is one step too far.
func TestForms(t *testing.T) {
	const (
		own   = inject.Prefix
		pools = "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/"
		guid  = "66666666-7777-8888-9999-00000000abcF"
		roles = "arn:aws:iam::123456789012:role/"
	)
	domain := strings.Repeat(strings.Repeat("a", 60)+".", 4) + "exam." // 253 characters with what follows
	as := func(n int) string { return strings.Repeat("a", n) }
	for key, test := range map[string]struct{ good, bad []string }{
		own + "port":                          {[]string{"1024", "65535"}, []string{"1023", "65536", "09911", "80"}},
		own + "resources-limits-memory":       {[]string{"1", "123456789.123Gi", "20m", "5k", "5M", "5G", "5Ki", "5Mi"}, []string{"1234567890", "1.1234", "1.", ".5", "-1", "1Ti", "1 Gi", "1e3"}},
		own + "token-expiration":              {[]string{"600", "86400"}, []string{"599", "86401", "0600", "86400s"}},
		own + "tokens":                        {[]string{"a=b", as(32) + "=" + strings.Repeat("x", 256), "a-1==,b=c"}, []string{as(33) + "=b", "a=", "a=" + as(257), "a=b c", "a-=b", "-a=b", "A=b", "a.b=c", "a/b=c", "=b", "a"}},
		own + "aws-role-arn":                  {[]string{roles + "a", roles + "x/" + as(64), "arn:aws-us-gov:iam::123456789012:role/a", "arn:aws-iso-b:iam::123456789012:role/a", roles + strings.Repeat("abc/", 152) + "a"}, []string{roles + as(65), roles + "/a", roles + "a//b", "arn:aws:iam::12345678901:role/a", "arn:awsome:iam::123456789012:role/a", roles + strings.Repeat("abc/", 152) + "ab"}},
		own + "aws-region":                    {[]string{"x", as(40)}, []string{as(41), "-eu", "eu-", "eu--west"}},
		own + "aws-audience":                  {[]string{"!", "~", as(256)}, []string{as(257), "a b", "ä"}},
		own + "google-audience":               {[]string{pools + "abcd/providers/" + as(32), pools + as(32) + "/providers/abcd", "//iam.googleapis.com/locations/global/workforcePools/people/providers/okta", "//iam.googleapis.com/locations/" + as(30) + "/workforcePools/" + as(63) + "/providers/" + as(32), "identitynamespace:shop.svc.id.goog:https://a/" + as(298)}, []string{pools + "abc/providers/abcd", pools + as(33) + "/providers/abcd", pools + "abcd/providers/abc", pools + "abcd/providers/" + as(33), "//iam.googleapis.com/projects/shop/locations/global/workloadIdentityPools/abcd/providers/abcd", "//iam.googleapis.com/locations/global/workforcePools/short/providers/okta", "//iam.googleapis.com/locations/global/workforcePools/" + as(64) + "/providers/okta", "//iam.googleapis.com/locations/a/b/workforcePools/people/providers/okta", "identitynamespace:shop:https://a", "identitynamespace:shop.svc.id.goog:http://a", "identitynamespace:shop.svc.id.goog:https://$(A)", "identitynamespace:shop.svc.id.goog:https://a/" + as(299)}},
		own + "google-service-account":        {[]string{"abcdef@p.iam.gserviceaccount.com", as(30) + "@p.example.iam.gserviceaccount.com", "1-compute@developer.gserviceaccount.com", "1234567890", strings.Repeat("1", 30)}, []string{"abcde@p.iam.gserviceaccount.com", as(31) + "@p.iam.gserviceaccount.com", "1-compute@developer-gserviceaccount.com", "123456789", strings.Repeat("1", 31), "a@p_iam.gserviceaccount.com"}},
		own + "azure-client-id":               {[]string{guid}, []string{guid + "0", guid[1:], "reports"}},
		own + "azure-tenant-id":               {[]string{guid, "a.bc", as(63) + ".example", strings.Repeat("a.", 10) + "example", domain + "abcd"}, []string{"common", as(64) + ".example", strings.Repeat("a.", 11) + "example", "-a.example", "a-.example", "a.e", domain + "abcde"}},
		"iam.gke.io/credential-quota-project": {[]string{"a", "example.com:shop-1", as(63)}, []string{as(64), "-a", "Shop", "a b"}},
	} {
		for n, value := range append(test.good, test.bad...) {
			annotations := map[string]string{
				own + "aws-role-arn": roles + "a", own + "aws-region": "eu-west-1", own + "google-audience": pools + "abcd/providers/abcd",
				own + "google-service-account": "abcdef@p.iam.gserviceaccount.com", own + "azure-client-id": guid, own + "azure-tenant-id": guid,
			}
			account := map[string]string{key: value}
			if strings.HasPrefix(key, own) {
				annotations[key], account = value, nil
			}
			if key == own+"tokens" {
				annotations[own+"config"] = "{}"
			}
			pod, err := json.Marshal(map[string]any{
				"metadata": map[string]any{"labels": map[string]string{inject.Label: "true"}, "annotations": annotations},
				"spec":     map[string]any{"containers": []any{map[string]string{"name": "app"}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = regional(t).Inject(inject.Request{Pod: pod, Account: inject.Account{Annotations: account}})
			if good := n < len(test.good); good && err != nil || !good && (err == nil || !strings.HasPrefix(err.Error(), "wisp cannot be injected: annotation "+key+" is '")) {
				t.Errorf("%s: %s: Inject says %v, want that it fits: %v", key, value, err, good)
			}
		}
	}
}
