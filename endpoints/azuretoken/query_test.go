package azuretoken

import (
	"net/url"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name    string
		encoded string
		want    Query
		refusal string // part of the message; empty if the query is good
	}{
		{"percent-encoded resource", "api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net",
			Query{APIVersion: "2018-02-01", Resource: "https://vault.azure.net"}, ""},
		{"raw resource, as Python sends it", "resource=https://management.azure.com/&api-version=2018-02-01",
			Query{APIVersion: "2018-02-01", Resource: "https://management.azure.com/"}, ""},
		{"raw resource with a query of its own", "resource=https://x/?a=b",
			Query{Resource: "https://x/?a=b"}, ""},
		{"empty", "", Query{}, ""},
		{"empty parameters between ampersands", "&&resource=r&", Query{Resource: "r"}, ""},
		{"parameters that nobody knows", "resource=r&bypass_cache=true&x", Query{Resource: "r"}, ""},
		{"escaped name", "re%73ource=r", Query{Resource: "r"}, ""},
		{"plus is a space", "resource=a+b", Query{Resource: "a b"}, ""},
		{"names are case-sensitive", "Resource=r", Query{}, ""},

		{"client_id", "client_id=C", Query{by: byClientID, id: "C"}, ""},
		{"clientid", "clientid=C", Query{by: byClientID, id: "C"}, ""},
		{"object_id", "object_id=O", Query{by: byObjectID, id: "O"}, ""},
		{"principal_id", "principal_id=O", Query{by: byObjectID, id: "O"}, ""},
		{"msi_res_id", "msi_res_id=/r", Query{by: byResourceID, id: "/r"}, ""},
		{"mi_res_id", "mi_res_id=%2Fr", Query{by: byResourceID, id: "/r"}, ""},
		{"msi-res-id", "msi-res-id=/r", Query{by: byResourceID, id: "/r"}, ""},
		{"empty selector is absent", "client_id=&object_id=O&mi_res_id", Query{by: byObjectID, id: "O"}, ""},

		{"two ids", "client_id=C&object_id=O", Query{}, "more than one id"},
		{"one id in two spellings", "client_id=C&clientid=C", Query{}, "more than one id"},
		{"resource twice", "resource=a&resource=a", Query{}, "repeated"},
		{"resource twice, once escaped", "resource=a&re%73ource=b", Query{}, "repeated"},
		{"version twice, once empty", "api-version=&api-version=2018-02-01", Query{}, "repeated"},
		{"empty selector twice", "client_id=&client_id=C", Query{}, "repeated"},
		{"unknown name twice", "x=1&x=2", Query{}, "repeated"},
		{"bad escape in a value", "resource=%zz", Query{}, "well-formed"},
		{"bad escape in a name", "%=1", Query{}, "well-formed"},
		{"semicolon", "resource=a;client_id=C", Query{}, "well-formed"},
		{"17 parameters", "a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q", Query{}, "too many"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, refusal := Parse(tt.encoded)
			if refusal != nil {
				if tt.refusal == "" || !strings.Contains(refusal.Message, tt.refusal) {
					t.Errorf("Parse(%q) refused with %q, want %q", tt.encoded, refusal.Message, tt.refusal)
				}
				return
			}
			if tt.refusal != "" || got != tt.want {
				t.Errorf("Parse(%q) = %+v, want %+v, refusal %q", tt.encoded, got, tt.want, tt.refusal)
			}
		})
	}
}

func TestResourceBecomesScope(t *testing.T) {
	tests := []struct{ resource, scope string }{
		{"https://management.azure.com", "https://management.azure.com/.default"},
		{"https://management.azure.com/", "https://management.azure.com//.default"},
		{"https://management.core.windows.net/", "https://management.core.windows.net//.default"},
		{"https://vault.azure.net/.default", "https://vault.azure.net/.default"},
		{"https://vault.azure.net//.default", "https://vault.azure.net//.default"},
		{"https://vault.azure.net/.default/", "https://vault.azure.net/.default//.default"},
		{"https://Vault.Azure.net", "https://Vault.Azure.net/.default"},
		{"00000003-0000-0000-C000-000000000000", "00000003-0000-0000-C000-000000000000/.default"},
		{"api://AzureADTokenExchange", "api://AzureADTokenExchange/.default"},
		{"https://x/?a=b&c=<d>#e", "https://x/?a=b&c=<d>#e/.default"},
		{strings.Repeat("r", maxResource), strings.Repeat("r", maxResource) + "/.default"},
	}
	for _, tt := range tests {
		target, refusal := Query{Resource: tt.resource}.target()
		if refusal != nil || target.Scope != tt.scope || target.Audience != "" {
			t.Errorf("target of resource %q = %+v, %v, want scope %q", tt.resource, target, refusal, tt.scope)
		}
	}
}

func TestResourceThatIsNoScope(t *testing.T) {
	for name, resource := range map[string]string{
		"empty":           "",
		"too long":        strings.Repeat("r", maxResource+1),
		"line end":        "https://x\r\nHost: y",
		"space":           "https://x https://y",
		"NUL":             "https://x\x00",
		"delete":          "https://x\x7f",
		"quote":           `https://x"`,
		"backslash":       `https:\\x`,
		"not ASCII":       "https://exämple",
		"not even UTF-8":  "https://\xff",
		"no-break space":  "https://x\u00a0",
		"only a new line": "\n",
	} {
		if target, refusal := (Query{Resource: resource}).target(); refusal == nil {
			t.Errorf("%s: target of resource %q = %+v, want a refusal", name, resource, target)
		}
	}
}

// FuzzParse holds Parse against the standard library's reader: what Parse accepts, that one reads in
// the same way.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F&client_id=",
		"resource=https://management.azure.com/&api-version=2018-02-01",
		"clientid=x&clientid=y", "a;b", "%", "resource=%00", "=", "&&", "resource=a+b&x=%zz",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		q, refusal := Parse(encoded)
		if refusal != nil {
			return
		}
		values, err := url.ParseQuery(encoded)
		if err != nil {
			t.Fatalf("Parse(%q) accepted what is not well-formed: %v", encoded, err)
		}
		if got, want := q.Resource, values.Get("resource"); got != want {
			t.Errorf("Parse(%q).Resource = %q, want %q", encoded, got, want)
		}
		if got, want := q.APIVersion, values.Get("api-version"); got != want {
			t.Errorf("Parse(%q).APIVersion = %q, want %q", encoded, got, want)
		}
		if q.by != unselected && q.id == "" {
			t.Errorf("Parse(%q) selects by an empty id", encoded)
		}
		target, refusal := q.target()
		if refusal != nil {
			return
		}
		if scope := target.Scope; scope != q.Resource && scope != q.Resource+"/.default" || len(strings.Fields(scope)) != 1 {
			t.Errorf("target of resource %q = %q, want one scope that begins with it", q.Resource, scope)
		}
	})
}
