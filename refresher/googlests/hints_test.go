package googlests_test

import (
	"strings"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
)

func TestHintsShowWhatGoogleCompares(t *testing.T) {
	tests := []struct {
		name       string
		token, iam answer
		want       []string
	}{
		{
			name:  "wrong audience",
			token: answer{status: 400, body: oauthError("invalid_grant", "The audience in ID Token does not match.")},
			want:  []string{`aud="https://kubernetes.default.svc"`, audience},
		},
		{
			name:  "attribute condition",
			token: answer{status: 400, body: oauthError("unauthorized_client", "rejected")},
			want:  []string{`sub="system:serviceaccount:reports:runner"`, `iss="https://oidc.example"`},
		},
		{
			name:  "binding missing",
			token: answer{status: 200, body: tokenAnswer},
			iam:   answer{status: 403, body: apiError(403, "PERMISSION_DENIED", "denied", "")},
			want: []string{account, "roles/iam.workloadIdentityUser",
				`"principal://iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/clusters/subject/system:serviceaccount:reports:runner"`},
		},
		{
			name:  "API disabled",
			token: answer{status: 200, body: tokenAnswer},
			iam:   answer{status: 403, body: apiError(403, "PERMISSION_DENIED", "not used", `{"reason":"SERVICE_DISABLED"}`)},
			want:  []string{"enable iamcredentials.googleapis.com in the project acme-billing"},
		},
		{
			name:  "API of the token service disabled",
			token: answer{status: 403, body: apiError(403, "PERMISSION_DENIED", "not used", `{"reason":"SERVICE_DISABLED"}`)},
			want:  []string{"enable sts.googleapis.com in the project"},
		},
		{
			name:  "quota project",
			token: answer{status: 200, body: tokenAnswer},
			iam:   answer{status: 403, body: apiError(403, "PERMISSION_DENIED", "no", `{"reason":"USER_PROJECT_DENIED"}`)},
			want:  []string{"acme-billing", "roles/serviceusage.serviceUsageConsumer", "/subject/system:serviceaccount:reports:runner"},
		},
		{
			name:  "project that nobody configured",
			token: answer{status: 403, body: apiError(403, "PERMISSION_DENIED", "no", `{"reason":"CONSUMER_INVALID"}`)},
			want:  []string{"the project that is billed", "roles/serviceusage.serviceUsageConsumer"},
		},
		{
			name:  "client",
			token: answer{status: 401, body: oauthError("invalid_client", "The OAuth client was not found.")},
			want:  []string{"clientId", "clientSecret"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := newGoogle()
			g.token, g.iam = test.token, test.iam
			_, err := exchanger(t, g, impersonating, func(o *googlests.Options) { o.QuotaProject = "acme-billing" }).
				Exchange(t.Context(), subject, refresher.Target{})
			checkHint(t, err, test.want)
		})
	}
}

func TestHintsSayWhatGoogleHasAgainstAToken(t *testing.T) {
	for name, test := range map[string]struct {
		token refresher.Secret
		want  string // "" means nothing
	}{
		"nothing":           {token: subject.Raw},
		"a day":             {token: refresher.Secret(jwt(`{"iat":1000000,"exp":1086400}`))},
		"more than a day":   {token: refresher.Secret(jwt(`{"iat":1000000,"exp":1086401}`)), want: "it lives for 24h0m1s, Google takes at most 24h0m0s"},
		"no time of issue":  {token: refresher.Secret(jwt(`{"exp":1086400}`)), want: "iat"},
		"another algorithm": {token: "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjEsImV4cCI6Mn0.c2ln", want: `signed with "HS256", Google takes RS256 and ES256 only`},
	} {
		g := newGoogle()
		g.token = answer{status: 400, body: oauthError("invalid_grant", "Hmm.")}
		_, err := exchanger(t, g).Exchange(t.Context(), refresher.Token{Raw: test.token}, refresher.Target{})
		_, objection, _ := strings.Cut(refresher.AsError(err).Hint, "aud=")
		if _, objection, _ = strings.Cut(objection, "; "); test.want == "" && objection != "" || !strings.Contains(objection, test.want) {
			t.Errorf("%s: the hint ends in %q, want %q", name, objection, test.want)
		}
	}
}

func TestHintNamesTheChainOfDelegates(t *testing.T) {
	g := newGoogle()
	g.iam = answer{status: 403, body: apiError(403, "PERMISSION_DENIED", "denied", "")}
	x := exchanger(t, g, impersonating, func(o *googlests.Options) { o.Delegates = []string{middle} })
	_, err := x.Exchange(t.Context(), subject, refresher.Target{})
	checkHint(t, err, []string{middle + " > " + account, "roles/iam.serviceAccountTokenCreator", "/subject/"})
}

func TestHintForALongLifetime(t *testing.T) {
	refused := answer{status: 400, body: apiError(400, "INVALID_ARGUMENT", "lifetime", "")}
	for _, test := range []struct {
		name     string
		lifetime time.Duration
		target   refresher.Target
		want     bool // that the hint names the policy
	}{
		{"an access token of two hours", 2 * time.Hour, refresher.Target{}, true},
		{"an access token of an hour", time.Hour, refresher.Target{}, false},
		{"an ID token, which is not asked to live longer", 2 * time.Hour, refresher.Target{Audience: "https://app.example"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGoogle()
			g.iam, g.id = refused, refused
			x := exchanger(t, g, impersonating, func(o *googlests.Options) { o.Lifetime = test.lifetime })
			_, err := x.Exchange(t.Context(), subject, test.target)
			hint := refresher.AsError(err).Hint
			if got := strings.Contains(hint, "iam.allowServiceAccountCredentialLifetimeExtension"); got != test.want {
				t.Errorf("hint = %q, names the organization policy: %v, want %v", hint, got, test.want)
			}
		})
	}
}

// TestSubjectTokensThatAreNoJWTs holds that the same refusal is judged by what was shown, and that
// nothing of it is taken for claims.
func TestSubjectTokensThatAreNoJWTs(t *testing.T) {
	saml := refresher.Token{Raw: "PHNhbWw+", Type: refresher.TypeSAML2}
	aws := refresher.Token{Raw: "%7B%22url%22%3A%22PHNh%22%7D", Type: refresher.TypeAWSRequest}
	opaque := refresher.Token{Raw: "PHNh", Type: refresher.TypeJWT}
	tests := []struct {
		name    string
		subject refresher.Token
		text    string // of invalid_grant
		class   refresher.Class
		hints   []string
	}{
		{"assertion, expired", saml, "The assertion has expired.", refresher.SubjectToken, []string{"renews", "clock"}},
		{"assertion, too early", saml, "The NotBefore of the Conditions is in the future.", refresher.SubjectToken, []string{"renews", "clock"}},
		{"assertion for somebody else", saml, "The AudienceRestriction does not match.", refresher.Denied, []string{"AudienceRestriction", audience}},
		{"assertion of another provider", saml, "The Issuer does not match.", refresher.SubjectToken, []string{"entity id", "certificates", "Issuer"}},
		{"assertion refused in words nobody has seen", saml, "Hmm.", refresher.SubjectToken, []string{"entity id"}},

		{"request too old", aws, "The header x-amz-date is not within the last 15 minutes.", refresher.SubjectToken, []string{"15 minutes", "clock"}},
		{"request with expired keys", aws, "Received invalid AWS response of type: ExpiredToken with error message: The security token included in the request is expired", refresher.SubjectToken, []string{"keys are renewed"}},
		{"request that AWS refuses", aws, "Received invalid AWS response of type: SignatureDoesNotMatch", refresher.SubjectToken, []string{"keys", "clock"}},
		{"request for another provider", aws, "The header x-goog-cloud-target-resource does not name the provider.", refresher.Denied, []string{"another provider", audience}},
		{"request of another account", aws, "The AWS account does not match the one of the identity provider.", refresher.Denied, []string{"account", "role"}},
		{"AWS unreachable", aws, "Error connecting to the given credential's issuer.", refresher.Transient, []string{"could not ask AWS"}},

		{"not a JWT", opaque, "expired", refresher.SubjectToken, []string{"not a JWT"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := newGoogle()
			g.token = answer{status: 400, body: oauthError("invalid_grant", test.text)}
			_, err := exchanger(t, g).Exchange(t.Context(), test.subject, refresher.Target{})
			check(t, err, test.class, "invalid_grant", "token exchange")
			checkHint(t, err, test.hints)
		})
	}
	for _, test := range []struct {
		name    string
		subject refresher.Token
		want    []string
	}{
		{"assertion", saml, []string{"principal://", "/subject/", "NameID"}},
		{"request", aws, []string{"principal://", "/subject/", "ARN"}},
		{"not a JWT", opaque, []string{"not a JWT"}},
	} {
		t.Run(test.name+" without a binding", func(t *testing.T) {
			g := newGoogle()
			g.iam = answer{status: 403, body: apiError(403, "PERMISSION_DENIED", "no", "")}
			_, err := exchanger(t, g, impersonating).Exchange(t.Context(), test.subject, refresher.Target{})
			checkHint(t, err, test.want)
		})
	}
}

func checkHint(t *testing.T, err error, wants []string) {
	t.Helper()
	hint := refresher.AsError(err).Hint
	for _, want := range wants {
		if !strings.Contains(hint, want) {
			t.Errorf("hint = %q, want it to hold %q", hint, want)
		}
	}
	for _, never := range []string{"PHNh", `iss=""`} {
		if strings.Contains(hint, never) {
			t.Errorf("hint = %q, want nothing of the token", hint)
		}
	}
}
