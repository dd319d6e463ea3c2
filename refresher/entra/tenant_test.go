package entra_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/entra"
)

const otherTenant = "99999999-2222-3333-4444-555555555555"

func TestExpectedTenant(t *testing.T) {
	ofTenant := func(id string) string { return jwt(`{"tid":"` + id + `","exp":1893553445}`).Reveal() }
	tests := []struct {
		name  string
		token string
		code  string // "" means accepted
		hint  []string
	}{
		{"the tenant", ofTenant(tenant), "", nil},
		{"the tenant in upper case", ofTenant(strings.ToUpper(tenant)), "", nil},
		{"another tenant", ofTenant(otherTenant), entra.CodeTenantMismatch, []string{tenant, otherTenant}},
		{"another tenant that writes into the terminal", ofTenant(`\u001b[2J`), entra.CodeTenantMismatch, []string{tenant}},
		{"no tenant", jwt(`{"exp":1893553445}`).Reveal(), entra.CodeTenantUnknown, []string{tenant}},
		{"a tenant that is a number", jwt(`{"tid":1}`).Reveal(), entra.CodeTenantUnknown, []string{tenant}},
		{"an opaque token", "opaque", entra.CodeTenantUnknown, []string{tenant}},
		{"an encrypted token", "a.b.c.d.e", entra.CodeTenantUnknown, []string{tenant}},
		{"claims that are no JSON", "a.b.c", entra.CodeTenantUnknown, []string{tenant}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := &microsoft{status: 200, body: fmt.Sprintf(`{"token_type":"Bearer","expires_in":3600,"access_token":%q}`, test.token)}
			c, err := exchanger(t, m, func(o *entra.Options) { o.ExpectedTenantID = tenant }).
				Exchange(t.Context(), subject, refresher.Target{})
			if test.code == "" {
				if err != nil || c.Value == nil {
					t.Fatalf("Exchange = %v, %v, want a credential", c, err)
				}
				return
			}
			e := refresher.AsError(err)
			if e == nil || e.Class != refresher.Denied || e.Code != test.code || c.Value != nil {
				t.Fatalf("Exchange = %v, %v, want denied %s", c.Value, err, test.code)
			}
			for _, want := range test.hint {
				if !strings.Contains(e.Hint, want) {
					t.Errorf("hint = %q, want it to name %q", e.Hint, want)
				}
			}
			if text := e.Error() + e.Hint; strings.Contains(text, test.token) || strings.Contains(text, "\x1b") {
				t.Errorf("error shows the token: %q", text)
			}

			// Nobody asked for the guard: the token is none of our business.
			if _, err := exchanger(t, m).Exchange(t.Context(), subject, refresher.Target{}); err != nil {
				t.Errorf("without an expected tenant: %v", err)
			}
		})
	}
}
