package entra_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher/entra"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		name   string
		change func(*entra.Options)
		field  string // "" means accepted
	}{
		{"two ids", func(*entra.Options) {}, ""},
		{"tenant by domain", func(o *entra.Options) { o.TenantID = "contoso.onmicrosoft.com" }, ""},
		{"no tenant", func(o *entra.Options) { o.TenantID = "" }, "tenantId"},
		{"tenant that leaves its path", func(o *entra.Options) { o.TenantID = "../common" }, "tenantId"},
		{"tenant that stands for many", func(o *entra.Options) { o.TenantID = "common" }, "tenantId"},
		{"tenant with a path", func(o *entra.Options) { o.TenantID = "contoso.com/x" }, "tenantId"},
		{"tenant of dots", func(o *entra.Options) { o.TenantID = ".." }, "tenantId"},
		{"tenant with a newline", func(o *entra.Options) { o.TenantID += "\n" }, "tenantId"},
		{"no client", func(o *entra.Options) { o.ClientID = "" }, "clientId"},
		{"client that is a name", func(o *entra.Options) { o.ClientID = "my-app" }, "clientId"},
		{"client in braces", func(o *entra.Options) { o.ClientID = "{" + client + "}" }, "clientId"},
		{"authority of a known cloud with slashes", func(o *entra.Options) { o.Authority = "https://login.microsoftonline.us//" }, ""},
		{"authority as a bare host", func(o *entra.Options) { o.Authority = "login.partner.microsoftonline.cn" }, ""},
		{"authority of no known cloud", func(o *entra.Options) { o.Authority = "https://login.sovcloud-identity.de" }, "resource"},
		{"authority of no known cloud, with a resource", func(o *entra.Options) {
			o.Authority, o.Resource = "https://login.sovcloud-identity.de", "https://arm.example/"
		}, ""},
		{"authority without TLS", func(o *entra.Options) { o.Authority = "http://login.microsoftonline.com" }, "authorityHost"},
		{"authority on loopback, not allowed", func(o *entra.Options) { o.Authority = "http://127.0.0.1:80" }, "authorityHost"},
		{"authority with user information", func(o *entra.Options) { o.Authority = "https://login.microsoftonline.com@evil.example" }, "authorityHost"},
		{"authority with a tenant", func(o *entra.Options) { o.Authority = "https://login.microsoftonline.com/common/" }, "authorityHost"},
		{"authority with a query", func(o *entra.Options) { o.Authority = "https://login.microsoftonline.com?x" }, "authorityHost"},
		{"authority that is a file", func(o *entra.Options) { o.Authority = "file:///etc/passwd" }, "authorityHost"},
		{"tenant that is expected", func(o *entra.Options) { o.ExpectedTenantID = tenant }, ""},
		{"tenant that is expected by its domain", func(o *entra.Options) { o.ExpectedTenantID = "contoso.onmicrosoft.com" }, "expectedTenantId"},
		{"resource of two", func(o *entra.Options) { o.Resource = "https://a https://b" }, "resource"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := entra.Options{TenantID: tenant, ClientID: client}
			test.change(&o)
			problems := o.Check()
			var fields []string
			for _, problem := range problems {
				fields = append(fields, problem.Field)
			}
			var want []string
			if test.field != "" {
				want = []string{test.field}
			}
			if !slices.Equal(fields, want) {
				t.Errorf("Check() = %v, want problems with %q", problems, want)
			}
		})
	}
}

func TestNewReportsAllProblemsAtOnce(t *testing.T) {
	_, err := entra.New(entra.Options{Authority: "ftp://login.example"})
	if err == nil {
		t.Fatal("New succeeded")
	}
	for _, want := range []string{"tenantId", "clientId", "authorityHost"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error = %q, want it to name %s", err, want)
		}
	}
}
