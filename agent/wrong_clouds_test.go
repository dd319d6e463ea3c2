package agent_test

import (
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

const (
	wrongToEntra = `entra: {tenantId: 11111111-2222-3333-4444-555555555555, clientId: 66666666-7777-8888-9999-000000000000}`
	wrongToOAuth = `oauthSTS: {tokenUrl: "https://sts.example/token", audience: ["https://reports.example"], clientId: wisp, clientSecretFile: "${DIR}/client-secret"}`

	wrongOAuthSecret = "a secret that the client has been given"
)

// wrongClouds are the four, and the audience that each wants.
var wrongClouds = []struct{ name, exchange, audience string }{
	{"aws", wrongToAWS, "sts.amazonaws.com"},
	{"google", wrongToGoogle, "https:" + wrongPool + "/providers/kubernetes"},
	{"entra", wrongToEntra, "api://AzureADTokenExchange"},
	{"oauthSTS", wrongToOAuth, "https://reports.example"},
}

// tokenFile writes a good token for a cloud, and what else the cloud's exchange reads.
func tokenFile(audience string) func(*wrongWorld) {
	return func(w *wrongWorld) {
		w.file("token", w.token(audience, cloudtest.TokenOptions{}))
		w.file("client-secret", w.secret(wrongOAuthSecret))
	}
}

// wrongTokens are tokens that a cloud does not take, and files without one.
func wrongTokens() []wrongInput {
	var list []wrongInput
	for _, cloud := range wrongClouds {
		for _, token := range []struct {
			name, audience string
			cloudtest.TokenOptions
		}{
			{"expired", cloud.audience, cloudtest.TokenOptions{Lifetime: time.Hour, Issued: time.Date(1999, 12, 31, 22, 0, 0, 0, time.UTC)}},
			{"wrong audience", "https://kubernetes.default.svc", cloudtest.TokenOptions{}},
			{"wrong issuer", cloud.audience, cloudtest.TokenOptions{Claims: map[string]any{"iss": "https://other.example"}}},
			{"unknown signing key", cloud.audience, cloudtest.TokenOptions{KeyID: "unknown"}},
			{"forged", cloud.audience, cloudtest.TokenOptions{WrongKey: true}},
		} {
			list = append(list, wrongInput{cloud.name + ": " + token.name, wrongFile, cloud.exchange, "", func(w *wrongWorld) {
				tokenFile(token.audience)(w)
				w.file("token", w.token(token.audience, token.TokenOptions))
			}})
		}
	}
	for _, cloud := range []int{0, 2} { // Google and the other authorization server trust all of the issuer's
		list = append(list, wrongInput{wrongClouds[cloud].name + ": wrong subject", wrongFile, wrongClouds[cloud].exchange, "", func(w *wrongWorld) {
			w.file("token", w.token(wrongClouds[cloud].audience, cloudtest.TokenOptions{Claims: map[string]any{"sub": "system:serviceaccount:shop:archive"}}))
		}})
	}
	for name, text := range map[string]string{
		"file: empty":     "\n",
		"file: not a JWT": "there is no token yet",
		"file: UTF-16":    "\xff\xfee\x00y\x00J\x00",
		"file: too large": strings.Repeat("A", 1<<20),
	} {
		list = append(list, wrongInput{name, wrongFile, wrongToAWS, "", func(w *wrongWorld) { w.file("token", text) }})
	}
	return append(list, wrongInput{"file: missing", wrongFile, wrongToAWS, "", nil})
}

// wrongChains are identities that are built on something that does not work.
func wrongChains() []wrongInput {
	below := func(source, exchange string) string {
		return "\n- name: below\n  source: {" + source + "}\n  exchange: {" + exchange + "}"
	}
	const toKubernetes = `aws: {roleArn: "arn:aws:iam::123456789012:role/google", region: eu-west-1}`
	return []wrongInput{
		{"identity: the other one fails", `identity: {name: below, audience: sts.amazonaws.com}`, toKubernetes, below(wrongFile, wrongToGoogle), func(w *wrongWorld) {
			w.file("token", w.token("https://kubernetes.default.svc", cloudtest.TokenOptions{}))
		}},
		{"identity: the other one has no token", `identity: {name: below, audience: sts.amazonaws.com}`, toKubernetes, below(wrongFile, wrongToGoogle), nil},
		{"identity: an opaque token shown as jwt", `identity: {name: below, type: jwt}`, toKubernetes, below(wrongFile, wrongToGoogle),
			tokenFile(wrongClouds[1].audience)},
		{"awsCallerIdentity: the other identity fails", `awsCallerIdentity: {identity: below}`, wrongToAmazon, below(wrongFile, wrongToAWS), func(w *wrongWorld) {
			w.file("token", w.token("https://kubernetes.default.svc", cloudtest.TokenOptions{}))
		}},
	}
}

// wrongRoles are what AWS does not allow.
func wrongRoles() []wrongInput {
	chain := func(hops string) string {
		return strings.TrimSuffix(wrongToAWS, "}") + ", chain: [" + hops + "]}"
	}
	// The owner of the archive wants to see an external id.
	const archive = `{roleArn: "arn:aws:iam::210987654321:role/archive", externalId: `
	good := tokenFile("sts.amazonaws.com")
	with := func(role cloudtest.Role) func(*wrongWorld) {
		return func(w *wrongWorld) { w.AWS.PutRole(role); good(w) }
	}
	const ledger = "arn:aws:iam::210987654321:role/ledger"
	return []wrongInput{
		{"aws: the role does not exist", wrongFile, `aws: {roleArn: "arn:aws:iam::123456789012:role/misspelt", region: eu-west-1}`, "", good},
		{"aws: the role's sessions are shorter", wrongFile, strings.TrimSuffix(wrongToAWS, "}") + ", duration: 12h}", "", good},
		{"aws chain: wrong external id", wrongFile, chain(archive + `bazaar}`), "", good},
		{"aws chain: no external id", wrongFile, chain(`{roleArn: "arn:aws:iam::210987654321:role/archive"}`), "", good},
		{"aws chain: the role does not trust", wrongFile, chain(`{roleArn: "` + ledger + `"}`), "",
			with(cloudtest.Role{ARN: ledger, TrustedAccounts: []string{"999999999999"}})},
		{"aws chain: the second role does not trust", wrongFile, chain(archive + `shop}, {roleArn: "` + ledger + `"}`), "",
			with(cloudtest.Role{ARN: ledger, TrustedAccounts: []string{"999999999999"}})},
		{"aws chain: tags are not allowed", wrongFile, chain(archive + `shop, tags: {team: reports}}`), "", good},
		{"aws chain: a source identity is not allowed", wrongFile, chain(archive + `shop, sourceIdentity: reports}`), "", good},
		{"aws: the account is not the expected one", wrongFile,
			`aws: {roleArn: "arn:aws:iam::123456789012:role/kubernetes", endpoint: "https://minio.example", expectedAccount: "123456789012"}`, "", func(w *wrongWorld) {
				good(w)
				w.answer("minio.example", 200, "text/xml", assumedElsewhere)
			}},
		{"aws: the service is not there", wrongFile, wrongToAWS, "", func(w *wrongWorld) {
			good(w)
			w.network.Handle("sts.eu-west-1.amazonaws.com", nil)
		}},
		{"aws: a proxy answers", wrongFile, wrongToAWS, "", func(w *wrongWorld) {
			good(w)
			w.answer("sts.eu-west-1.amazonaws.com", 403, "text/html", "<html>Blocked by policy</html>")
		}},
		{"aws: throttled", wrongFile, wrongToAWS, "", func(w *wrongWorld) {
			good(w)
			w.AWS.Inject(cloudtest.Fault{Throttle: true})
		}},
	}
}

// assumedElsewhere is a session of a role in another account than the one that was asked for.
const assumedElsewhere = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <AssumedRoleUser><Arn>arn:aws:sts::999999999999:assumed-role/kubernetes/shop</Arn><AssumedRoleId>AROA:shop</AssumedRoleId></AssumedRoleUser>
    <Credentials><AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>wJalrXUtnFEMI</SecretAccessKey>
      <SessionToken>AQoDYXdzEJr</SessionToken><Expiration>2000-01-01T01:00:00Z</Expiration></Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>`

// wrongGoogle are what Google does not know or allow.
func wrongGoogle() []wrongInput {
	to := func(provider, options string) string {
		return `google: {audience: "` + provider + `"` + options + `}`
	}
	const (
		kubernetes = wrongPool + "/providers/kubernetes"
		account    = ", serviceAccount: reports@shop-prod.iam.gserviceaccount.com"
		workforce  = "locations/global/workforcePools/shop-staff/providers/cluster"
	)
	good := tokenFile("https:" + kubernetes)
	provider := func(p cloudtest.PoolProvider) func(*wrongWorld) {
		return func(w *wrongWorld) {
			p.Name, p.Issuer = strings.TrimPrefix(wrongPool, "//iam.googleapis.com/")+"/providers/other", w.Kubernetes.URL()
			w.Google.PutProvider(p)
			tokenFile("https:" + wrongPool + "/providers/other")(w)
		}
	}
	return []wrongInput{
		{"google: the provider is unknown", wrongFile, to(wrongPool+"/providers/misspelt", account), "", good},
		{"google: the provider is disabled", wrongFile, to(wrongPool+"/providers/other", account), "", provider(cloudtest.PoolProvider{Disabled: true})},
		{"google: the attribute condition", wrongFile, to(wrongPool+"/providers/other", account), "",
			provider(cloudtest.PoolProvider{Condition: func(map[string]any) bool { return false }})},
		{"google: the subject is too long", wrongFile, to(wrongPool+"/providers/other", account), "",
			provider(cloudtest.PoolProvider{Subject: func(map[string]any) string { return strings.Repeat("subject", 20) }})},
		{"google: the service account is unknown", wrongFile, to(kubernetes, ", serviceAccount: misspelt@shop-prod.iam.gserviceaccount.com"), "", good},
		{"google: the service account is not for this workload", wrongFile, to(kubernetes, ", serviceAccount: ledger@shop-prod.iam.gserviceaccount.com"), "", func(w *wrongWorld) {
			w.Google.PutServiceAccount(cloudtest.ServiceAccount{Email: "ledger@shop-prod.iam.gserviceaccount.com"})
			good(w)
		}},
		{"google: the delegate may not", wrongFile, to(kubernetes, account+", delegates: [ledger@shop-prod.iam.gserviceaccount.com]"), "", good},
		{"google: more than an hour without the policy", wrongFile, to(kubernetes, account+", lifetime: 2h"), "", good},
		{"google: a scope that does not exist", wrongFile, to(kubernetes, account+", scopes: [cloud-platform]"), "", good},
		{"google: a workforce without a project", wrongFile, to("//iam.googleapis.com/"+workforce, ""), "", func(w *wrongWorld) {
			w.Google.PutProvider(cloudtest.PoolProvider{Name: workforce, Issuer: w.Kubernetes.URL(), AllowedAudiences: []string{"shop"}})
			tokenFile("shop")(w)
		}},
		{"google: a proxy answers", wrongFile, wrongToGoogle, "", func(w *wrongWorld) {
			good(w)
			w.answer("sts.googleapis.com", 403, "text/html", "<html>Blocked by policy</html>")
		}},
		{"google: throttled", wrongFile, wrongToGoogle, "", func(w *wrongWorld) {
			good(w)
			w.Google.Inject(cloudtest.Fault{Throttle: true, RetryAfter: time.Minute})
		}},
	}
}

// wrongEntra are what Entra does not know.
func wrongEntra() []wrongInput {
	const client = "66666666-7777-8888-9999-000000000000"
	good := tokenFile("api://AzureADTokenExchange")
	to := func(tenant, client, options string) string {
		return "entra: {tenantId: " + tenant + ", clientId: " + client + options + "}"
	}
	const tenant = "11111111-2222-3333-4444-555555555555"
	return []wrongInput{
		{"entra: the tenant is not the expected one", wrongFile, to(tenant, client, ", expectedTenantId: 99999999-9999-4999-8999-999999999999"), "", good},
		{"entra: the application is unknown", wrongFile, to(tenant, "99999999-9999-4999-8999-999999999999", ""), "", good},
		{"entra: the tenant is unknown", wrongFile, to("99999999-9999-4999-8999-999999999999", client, ""), "", good},
		{"entra: the resource is unknown", wrongFile, to(tenant, client, `, resource: "https://misspelt.azure.net"`), "", good},
		{"entra: the application has no federated credential", wrongFile, to(tenant, "88888888-8888-4888-8888-888888888888", ""), "", func(w *wrongWorld) {
			w.Entra.PutApp(cloudtest.App{TenantID: tenant, ClientID: "88888888-8888-4888-8888-888888888888"})
			good(w)
		}},
		{"entra: the issuer cannot be reached", wrongFile, wrongToEntra, "", func(w *wrongWorld) {
			good(w)
			w.Kubernetes.Refuse(true)
		}},
	}
}

// wrongOAuth are what an authorization server does not take, and what wisp does not take of it.
func wrongOAuth() []wrongInput {
	good := tokenFile("https://reports.example")
	answers := func(body string) func(*wrongWorld) {
		return func(w *wrongWorld) {
			good(w)
			w.secret("opaque-but-secret")
			w.answer("sts.example", 200, "application/json", body)
		}
	}
	return []wrongInput{
		{"oauthSTS: the client's secret is wrong", wrongFile, wrongToOAuth, "", func(w *wrongWorld) {
			good(w)
			w.file("client-secret", w.secret("a secret of last year"))
		}},
		{"oauthSTS: the file with the client's secret is missing", wrongFile, strings.Replace(wrongToOAuth, "client-secret", "missing", 1), "", good},
		{"oauthSTS: the client is unknown", wrongFile, strings.Replace(wrongToOAuth, "wisp", "misspelt", 1), "", good},
		{"oauthSTS: the target is unknown", wrongFile, strings.Replace(wrongToOAuth, `["https://reports.example"]`, `["https://misspelt.example"]`, 1), "", good},
		{"oauthSTS: the scope is unknown", wrongFile, strings.TrimSuffix(wrongToOAuth, "}") + ", scopes: [read]}", "", good},
		{"oauthSTS: the path is wrong", wrongFile, strings.Replace(wrongToOAuth, "/token", "/oauth/token", 1), "", good},
		{"oauthSTS: a token of a type that cannot be handed out", wrongFile, wrongToOAuth, "",
			answers(`{"access_token":"opaque-but-secret","token_type":"DPoP","expires_in":300}`)},
		{"oauthSTS: nobody says how long the token lives", wrongFile, wrongToOAuth, "",
			answers(`{"access_token":"opaque-but-secret","token_type":"Bearer"}`)},
		{"oauthSTS: the answer has no token", wrongFile, wrongToOAuth, "", answers(`{"token":"opaque-but-secret"}`)},
		{"oauthSTS: the client may not exchange tokens", wrongFile, strings.Replace(wrongToOAuth, "clientId: wisp", "clientId: reader", 1), "", func(w *wrongWorld) {
			w.OAuth.PutClient(cloudtest.OAuthClient{ID: "reader", Auth: "client_secret_basic", Secret: wrongOAuthSecret, NoExchange: true})
			good(w)
		}},
	}
}
