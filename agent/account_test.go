package agent

import "testing"

// What clients call a Google identity: gcloud keeps credentials by this name.
func TestAccountNames(t *testing.T) {
	const workload = "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/shop/providers/cluster"
	for _, test := range []struct{ name, serviceAccount, audience, want string }{
		{"a service account", "reports@shop-prod.iam.gserviceaccount.com", workload, "reports@shop-prod.iam.gserviceaccount.com"},
		{"a workload pool", "", workload, "reports@shop.global.123456789.workload.id.goog"},
		{"a workforce pool", "", "//iam.googleapis.com/locations/global/workforcePools/people/providers/okta", "reports@people.global.workforce.id.goog"},
		{"a fleet", "", "identitynamespace:shop.svc.id.goog:https://gkehub.googleapis.com/projects/shop/locations/global/memberships/a", "shop.svc.id.goog"},
	} {
		x := &googleExchange{ServiceAccount: test.serviceAccount, Audience: test.audience}
		if got := x.account("reports"); got != test.want {
			t.Errorf("%s: account = %q, want %q", test.name, got, test.want)
		}
	}
}
