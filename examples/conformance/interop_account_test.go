package conformance_test

import "github.com/wisp-sidecar/wisp/refresher"

// impersonationRows are about service accounts.
var impersonationRows = []row{
	{name: "impersonation: allowed", set: account(reports), want: gets(impersonated)},
	{
		name: "impersonation: scope of one API",
		set:  both(account(reports), func(s *stage) { s.scopes = []string{storage} }), want: gets(impersonated),
		also: func(s *stage, g grant) { s.scoped(g, storage) },
	},
	{
		name: "impersonation: scope that is none",
		set:  both(account(reports), func(s *stage) { s.scopes = []string{"cloud-platform"} }),
		want: refuses("400 INVALID_ARGUMENT", "scope", refresher.Denied),
	},
	{
		name: "impersonation: not allowed", set: account(payroll),
		want: refuses("403 PERMISSION_DENIED", "'iam.serviceAccounts.getAccessToken' denied", refresher.Settling),
	},
	{
		name: "impersonation: unknown account", set: account("nobody@shop-prod.iam.gserviceaccount.com"),
		want: refuses("404 NOT_FOUND", "nobody@", refresher.Settling),
	},
	{
		name: "impersonation: an account that cannot be", set: account("reports@example.com"),
		want: refuses("404 NOT_FOUND", "reports@", refresher.Settling), wisp: rejects("serviceAccount"), differs: becauseForeseen,
	},
	{
		name: "impersonation: a project's id in the URL", set: func(s *stage) {
			s.document["service_account_impersonation_url"] = s.door.URL + accountPath("shop-prod", reports)
		},
		want: refuses("400 INVALID_ARGUMENT", "Invalid form of account ID", refresher.Denied), wisp: rejects("service_account_impersonation_url"),
		differs: becauseForeseen,
	},
	{
		name: "impersonation: over http, on the network",
		set:  with("service_account_impersonation_url", "http://iam.example"+accountPath("-", reports)),
		want: gets(impersonated), wisp: rejects("impersonationUrl"),
		differs: becauseUnsafe,
	},
	{
		name: "impersonation: for 30 minutes", set: lasting(reports, 1800),
		want: gets(impersonated), also: func(s *stage, g grant) { s.lasts(g, 1800) },
	},
	{
		name: "impersonation: for 12 hours, which the account may", set: lasting(nightly, 43200),
		want: gets("serviceAccount:" + nightly), also: func(s *stage, g grant) { s.lasts(g, 43200) },
	},
	{
		name: "impersonation: for 12 hours, which the account may not", set: lasting(reports, 43200),
		want: refuses("400 INVALID_ARGUMENT", "cannot exceed 3600 seconds", refresher.Denied),
	},
	{
		name: "impersonation: for 12 hours and a second", set: lasting(nightly, 43201),
		want: refuses("400 INVALID_ARGUMENT", "cannot exceed 43200 seconds", refresher.Denied), wisp: rejects("token_lifetime_seconds: 43201"),
		differs: becauseLimits,
	},
	{
		name: "impersonation: for 5 minutes",
		set:  lasting(reports, 300), want: gets(impersonated), wisp: rejects("token_lifetime_seconds: 300"),
		also: func(s *stage, g grant) { s.lasts(g, 300) }, differs: becauseLimits,
	},
	{
		name: "impersonation: a quota project",
		set:  both(account(reports), with("quota_project_id", shopping)), want: gets(impersonated),
		also:    func(s *stage, _ grant) { s.billed(shopping) },
		differs: becauseBilled,
	},
	{
		name: "impersonation: somebody else's quota project",
		set:  both(account(reports), with("quota_project_id", somebody)), want: gets(impersonated),
		wisp:    refuses("403 PERMISSION_DENIED", "to use project "+somebody, refresher.Settling),
		differs: becauseBilled,
	},
	{name: "document: somebody else's quota project", set: with("quota_project_id", somebody), want: gets(federated)},
}

// account has the document impersonate a service account.
func account(email string) func(*stage) {
	return func(s *stage) {
		host := s.door.URL
		if s.genuine {
			host = "https://iamcredentials.googleapis.com"
		}
		s.document["service_account_impersonation_url"] = host + accountPath("-", email)
	}
}

func accountPath(project, email string) string {
	return "/v1/projects/" + project + "/serviceAccounts/" + email + ":generateAccessToken"
}

func lasting(email string, seconds int) func(*stage) {
	return both(account(email), with("service_account_impersonation", map[string]int{"token_lifetime_seconds": seconds}))
}

// workforceRows are about people's pools, which belong to no project.
var workforceRows = []row{
	{
		name: "workforce: a project to bill", set: workforce("workforce_pool_user_project", shopping), want: gets(staffMember),
		also: func(s *stage, _ grant) {
			if got, want := s.door.asked()[0].options, `{"userProject":"`+shopping+`"}`; got != want {
				s.Errorf("options = %s, want %s", got, want)
			}
		},
	},
	{
		name: "workforce: somebody else's project", set: workforce("workforce_pool_user_project", somebody),
		want: refuses("403 PERMISSION_DENIED", "to use project "+somebody, refresher.Settling),
	},
	{
		name: "workforce: no project", set: workforce(),
		want: refuses("400 invalid_request", "must name a userProject", refresher.Denied),
	},
	{
		name: "workforce: a client, whose project counts",
		set:  workforce("client_id", appClient, "client_secret", appSecret, "workforce_pool_user_project", shopping), want: gets(staffMember),
		also: func(s *stage, _ grant) {
			if got := s.door.asked()[0].options; got != "" {
				s.Errorf("options = %s, want none", got)
			}
		},
	},
	{
		name: "workforce: the project of a pool that is none", set: with("workforce_pool_user_project", shopping),
		want: rejects("workforce_pool_user_project: is for"),
	},
	{
		name: "workforce: a token for a workload pool",
		set:  both(workforce("workforce_pool_user_project", shopping), func(s *stage) { s.holds(s.good()) }),
		want: refusesUse("audience"),
	},
}

// workforce is a document of the workforce pool, with further members.
func workforce(pairs ...any) func(*stage) {
	return both(with(append(pairs, "audience", "//iam.googleapis.com/"+staff+"/providers/okta", "subject_token_type", refresher.TypeIDToken)...),
		func(s *stage) { s.holds(s.mint(audience(staffApp))) })
}
