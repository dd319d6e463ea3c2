package googlests_test

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

func TestFromExternalAccount(t *testing.T) {
	tests := []struct {
		document string // in testdata, as gcloud writes it
		options  googlests.Options
		file     googlests.SubjectFile
	}{
		{
			document: "external_account_direct.json",
			options: googlests.Options{
				Audience: audience, SubjectTokenType: refresher.TypeJWT,
				TokenURL: "https://sts.googleapis.com/v1/token", UniverseDomain: "googleapis.com",
			},
			file: googlests.SubjectFile{Path: "/var/run/secrets/token"},
		},
		{
			document: "external_account_impersonation.json",
			options: googlests.Options{
				Audience: audience, SubjectTokenType: refresher.TypeIDToken,
				TokenURL:       "https://sts.googleapis.com/v1/token",
				ServiceAccount: account, ImpersonationURL: "https://iamcredentials.googleapis.com",
				Lifetime: 2 * time.Hour, QuotaProject: "acme-billing", UniverseDomain: "googleapis.com",
			},
			file: googlests.SubjectFile{Path: "/var/run/secrets/token.json", Field: "access_token"},
		},
		{
			document: "external_account_workforce.json",
			options: googlests.Options{
				Audience:         "//iam.googleapis.com/locations/global/workforcePools/staff-pool/providers/okta",
				SubjectTokenType: refresher.TypeSAML2,
				TokenURL:         "https://sts.googleapis.com/v1/token", QuotaProject: "987654321",
			},
			file: googlests.SubjectFile{Path: "assertion"},
		},
	}
	for _, test := range tests {
		t.Run(test.document, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", test.document))
			if err != nil {
				t.Fatal(err)
			}
			o, file, problems := googlests.FromExternalAccount(text)
			if problems = append(problems, o.Check()...); len(problems) > 0 {
				t.Fatalf("problems: %v", problems)
			}
			if diff := cmp.Diff(test.options, o, cmpopts.IgnoreFields(googlests.Options{}, "Transport")); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
			if file != test.file {
				t.Errorf("file = %+v, want %+v", file, test.file)
			}
		})
	}
}

// document is a good one with one member replaced or added.
func document(member string) string {
	return `{
		"type": "external_account",
		"audience": "` + audience + `",
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
		"token_url": "https://sts.googleapis.com/v1/token",
		"credential_source": {"file": "/token"},
		` + member + `
	}`
}

func TestExternalAccountsThatAreRefused(t *testing.T) {
	const iam = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
	tests := []struct {
		name, document string
		fields         []string
	}{
		{"not JSON", `type: external_account`, []string{"document"}},
		{"an array", `[]`, []string{"document"}},
		{"two documents", document(`"quota_project_id": ""`) + "{}", []string{"document"}},
		{"a service account's key", `{"type":"service_account","private_key":"secret"}`, []string{"type"}},
		{"no type", `{}`, []string{"type"}},
		{"a member of the wrong type", document(`"audience": 5`), []string{"audience"}},
		{"a nested member of the wrong type", document(`"credential_source": {"file": true}`), []string{"credential_source.file"}},
		{"no token type", document(`"subject_token_type": ""`), []string{"subject_token_type"}},
		{"client authentication", document(`"client_id": "x"`), []string{"client_id"}},
		{"workforce project of a workload pool", document(`"workforce_pool_user_project": "123"`), []string{"workforce_pool_user_project"}},
		{"impersonation of another form", document(`"service_account_impersonation_url": "` + iam + account + `:signBlob"`), []string{"service_account_impersonation_url"}},
		{"impersonation of an account that leaves its path", document(`"service_account_impersonation_url": "` + iam + `a@b/../../x:generateAccessToken"`), []string{"service_account_impersonation_url"}},
		{"impersonation of no account", document(`"service_account_impersonation_url": "` + iam + `me@example.com:generateAccessToken"`), []string{"serviceAccount"}},
		{"impersonation at another host", document(`"service_account_impersonation_url": "https://evil.example/v1/projects/-/serviceAccounts/` + account + `:generateAccessToken"`), []string{"impersonationUrl"}},
		{"impersonation without TLS", document(`"service_account_impersonation_url": "http://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/` + account + `:generateAccessToken"`), []string{"impersonationUrl"}},
		{"lifetime without impersonation", document(`"service_account_impersonation": {"token_lifetime_seconds": 900}`), []string{"service_account_impersonation"}},
		{"lifetime that overflows", document(`"service_account_impersonation_url": "` + iam + account + `:generateAccessToken", "service_account_impersonation": {"token_lifetime_seconds": 9223372036854775807}`), []string{"service_account_impersonation.token_lifetime_seconds"}},
		{"token URL without TLS", document(`"token_url": "http://sts.googleapis.com/v1/token"`), []string{"tokenUrl"}},
		{"token URL of somebody else", document(`"token_url": "https://sts.googleapis.com.evil.example/v1/token"`), []string{"tokenUrl"}},
		{"token URL with user information", document(`"token_url": "https://x@evil"`), []string{"tokenUrl"}},
		{"token URL that is a file", document(`"token_url": "file:///token"`), []string{"tokenUrl"}},
		{"an empty source", `{"type":"external_account","audience":"` + audience + `","subject_token_type":"urn:ietf:params:oauth:token-type:jwt","credential_source":{}}`, []string{"credential_source.file"}},
		{"a URL", document(`"credential_source": {"url": "http://127.0.0.1/token"}`), []string{"credential_source.url"}},
		{"an executable", document(`"credential_source": {"executable": {"command": "/bin/x"}}`), []string{"credential_source.executable"}},
		{"AWS", document(`"credential_source": {"environment_id": "aws1", "url": "http://169.254.169.254/", "region_url": "http://169.254.169.254/"}`), []string{"credential_source.environment_id"}},
		{"a certificate", document(`"credential_source": {"certificate": {"use_default_certificate_config": true}}`), []string{"credential_source.certificate"}},
		{"an unknown format", document(`"credential_source": {"format": {"type": "xml"}}`), []string{"credential_source.format.type"}},
		{"JSON without a field", document(`"credential_source": {"format": {"type": "json"}}`), []string{"credential_source.format.subject_token_field_name"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o, _, problems := googlests.FromExternalAccount([]byte(test.document))
			if problems == nil {
				problems = o.Check()
			}
			var fields []string
			for _, problem := range problems {
				fields = append(fields, problem.Field)
				if strings.Contains(problem.Error(), "secret") {
					t.Errorf("problem %q quotes the document", problem)
				}
			}
			if !slices.Equal(fields, test.fields) {
				t.Errorf("problems = %v, want them with %q", problems, test.fields)
			}
		})
	}
}

// FuzzFromExternalAccount holds that no document, whatever is in it, sends tokens to a host outside
// the universe it names.
func FuzzFromExternalAccount(f *testing.F) {
	for _, name := range []string{"direct", "impersonation", "workforce"} {
		text, err := os.ReadFile(filepath.Join("testdata", "external_account_"+name+".json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(document(`"token_url": "https://sts.googleapis.com@evil.example"`)))
	transport, err := upstream.New(upstream.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o, file, problems := googlests.FromExternalAccount(text)
		if len(problems) > 0 {
			return
		}
		if file.Path == "" {
			t.Errorf("accepted %q without a file", text)
		}
		if o.Transport = transport; o.Check() != nil {
			return
		}
		if _, err := googlests.New(o); err != nil {
			t.Errorf("New refuses what Check accepts: %v", err)
		}
		for _, raw := range []string{o.TokenURL, o.ImpersonationURL} {
			u, err := url.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			host := strings.ToLower(u.Host)
			if raw != "" && (u.Scheme != "https" || !strings.Contains(host, ".googleapis.com") && !strings.Contains(host, "."+o.UniverseDomain)) {
				t.Errorf("accepted %q, which sends tokens to %q", text, raw)
			}
		}
	})
}
