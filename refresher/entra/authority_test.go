package entra_test

import (
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/entra"
)

// TestAuthorities holds that however AZURE_AUTHORITY_HOST is spelt, the request goes to the same place,
// and resource and audience are those of its cloud.
func TestAuthorities(t *testing.T) {
	const (
		public = "https://login.microsoftonline.com"
		arm    = "https://management.azure.com/"
		normal = "api://AzureADTokenExchange"
	)
	tests := []struct {
		authority, host, resource, audience string
	}{
		{"", public, arm, normal},
		{" ", public, arm, normal},
		{"/", public, arm, normal},
		{"https://login.microsoftonline.com/", public, arm, normal}, // as AKS sets it
		{"https://login.microsoftonline.com", public, arm, normal},
		{"https://login.microsoftonline.com//", public, arm, normal},
		{" https://login.microsoftonline.com/ \n", public, arm, normal},
		{"login.microsoftonline.com", public, arm, normal},
		{"login.microsoftonline.com/", public, arm, normal},
		{"HTTPS://LOGIN.MicrosoftOnline.com/", "https://LOGIN.MicrosoftOnline.com", arm, normal},
		{"login.microsoftonline.com:443", public + ":443", arm, normal},
		{"https://login.microsoftonline.us/", "https://login.microsoftonline.us", "https://management.usgovcloudapi.net/", normal + "USGov"},
		{"login.microsoftonline.us", "https://login.microsoftonline.us", "https://management.usgovcloudapi.net/", normal + "USGov"},
		{"https://login.partner.microsoftonline.cn/", "https://login.partner.microsoftonline.cn", "https://management.chinacloudapi.cn/", normal + "China"},
		{"https://login.chinacloudapi.cn/", "https://login.chinacloudapi.cn", "https://management.chinacloudapi.cn/", normal + "China"},
		{"http://127.0.0.1:8080/", "http://127.0.0.1:8080", arm, normal},
	}
	for _, test := range tests {
		t.Run(test.authority, func(t *testing.T) {
			m := &microsoft{status: 200, body: tokenAnswer}
			x := exchanger(t, m, func(o *entra.Options) { o.Authority = test.authority })
			if _, err := x.Exchange(t.Context(), subject, refresher.Target{}); err != nil {
				t.Fatal(err)
			}
			if got, want := m.requests[0].url, test.host+"/"+tenant+"/oauth2/v2.0/token"; got != want {
				t.Errorf("request to %s, want %s", got, want)
			}
			if got, want := x.DefaultScope(), test.resource+"/.default"; got != want {
				t.Errorf("DefaultScope() = %q, want %q", got, want)
			}
			if got := entra.Audience(test.authority); got != test.audience {
				t.Errorf("Audience(%q) = %q, want %q", test.authority, got, test.audience)
			}
		})
	}
}

// Of sovereign clouds that are not known, the audience is a guess, the resource has to be given.
func TestUnknownAuthorities(t *testing.T) {
	for _, authority := range []string{
		"https://login.sovcloud-identity.fr", "https://login.sovcloud-identity.de/", "login.sovcloud-identity.sg",
	} {
		o := entra.Options{TenantID: tenant, ClientID: client, Authority: authority}
		if problems := o.Check(); len(problems) != 1 || problems[0].Field != "resource" {
			t.Errorf("Check() of %q = %v, want the resource to be required", authority, problems)
		}
		if got, want := entra.Audience(authority), "api://AzureADTokenExchange"; got != want {
			t.Errorf("Audience(%q) = %q, want %q", authority, got, want)
		}
	}
	if got := entra.Audience("ftp://x"); !strings.HasPrefix(got, "api://") {
		t.Errorf("Audience of what is no authority = %q, want the public cloud's", got)
	}
}
