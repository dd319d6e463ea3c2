package googlests_test

import (
	"bytes"
	"fmt"
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
	const metadata = "http://169.254.169.254/"
	direct := func(o googlests.Options) googlests.Options {
		o.Audience, o.TokenURL, o.UniverseDomain = audience, "https://sts.googleapis.com/v1/token", "googleapis.com"
		return o
	}
	tests := []struct {
		document string // in testdata, as gcloud writes it
		options  googlests.Options
		source   googlests.CredentialSource
	}{
		{
			document: "direct",
			options:  direct(googlests.Options{SubjectTokenType: refresher.TypeJWT}),
			source:   googlests.CredentialSource{File: &googlests.SubjectFile{Path: "/var/run/secrets/token"}},
		},
		{
			document: "impersonation",
			options: direct(googlests.Options{
				SubjectTokenType: refresher.TypeIDToken,
				ServiceAccount:   account, ImpersonationURL: "https://iamcredentials.googleapis.com",
				Lifetime: 2 * time.Hour, QuotaProject: "acme-billing",
			}),
			source: googlests.CredentialSource{File: &googlests.SubjectFile{Path: "/var/run/secrets/token.json", Field: "access_token"}},
		},
		{
			document: "workforce",
			options: googlests.Options{
				Audience: workforce, SubjectTokenType: refresher.TypeSAML2,
				TokenURL: "https://sts.googleapis.com/v1/token", UserProject: "987654321",
			},
			source: googlests.CredentialSource{File: &googlests.SubjectFile{Path: "assertion"}},
		},
		{
			document: "workforce_client",
			options: googlests.Options{
				Audience: workforce, SubjectTokenType: refresher.TypeIDToken,
				ClientID: "app", ClientSecret: "open sesame",
			},
			source: googlests.CredentialSource{Executable: &googlests.SubjectExecutable{
				Command: "/usr/bin/sign-in --quiet", Timeout: 5 * time.Second, OutputFile: "/run/sign-in.json",
			}},
		},
		{
			document: "azure",
			options:  direct(googlests.Options{SubjectTokenType: refresher.TypeJWT}),
			source: googlests.CredentialSource{URL: &googlests.SubjectURL{
				URL:     metadata + "metadata/identity/oauth2/token?api-version=2018-02-01&resource=api://acme",
				Headers: map[string]refresher.Secret{"Metadata": "True"},
				Field:   "access_token",
			}},
		},
		{
			document: "url",
			options:  direct(googlests.Options{SubjectTokenType: refresher.TypeJWT}),
			source:   googlests.CredentialSource{URL: &googlests.SubjectURL{URL: "http://127.0.0.1:5000/token"}},
		},
		{
			document: "executable",
			options: direct(googlests.Options{
				SubjectTokenType: refresher.TypeSAML2,
				ServiceAccount:   account, ImpersonationURL: "https://iamcredentials.googleapis.com",
			}),
			source: googlests.CredentialSource{Executable: &googlests.SubjectExecutable{
				Command: "/usr/bin/sign-in", Timeout: 30 * time.Second,
			}},
		},
		{
			document: "aws",
			options:  direct(googlests.Options{SubjectTokenType: refresher.TypeAWSRequest}),
			source: googlests.CredentialSource{AWS: &googlests.SubjectAWS{
				RegionURL:       metadata + "latest/meta-data/placement/availability-zone",
				CredentialsURL:  metadata + "latest/meta-data/iam/security-credentials",
				VerificationURL: "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
				SessionTokenURL: metadata + "latest/api/token",
			}},
		},
		{
			document: "aws_environment",
			options:  direct(googlests.Options{SubjectTokenType: refresher.TypeAWSRequest}),
			source:   googlests.CredentialSource{AWS: &googlests.SubjectAWS{}},
		},
	}
	for _, test := range tests {
		t.Run(test.document, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", "external_account_"+test.document+".json"))
			if err != nil {
				t.Fatal(err)
			}
			account, problems := googlests.FromExternalAccount(text)
			if problems = append(problems, account.Options.Check()...); len(problems) > 0 {
				t.Fatalf("problems: %v", problems)
			}
			if diff := cmp.Diff(test.options, account.Options, cmpopts.IgnoreFields(googlests.Options{}, "Transport")); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.source, account.Source); diff != "" {
				t.Errorf("source (-want +got):\n%s", diff)
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

// source is a document with this source only.
func source(members string) string {
	return strings.Replace(document(`"quota_project_id": ""`), `"file": "/token"`, members, 1)
}

// awsSource is the same for signed AWS requests.
func awsSource(members string) string {
	return strings.Replace(source(members), refresher.TypeJWT, refresher.TypeAWSRequest, 1)
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
		{"client without a secret", document(`"client_id": "x"`), []string{"client_id"}},
		{"secret without a client", document(`"client_secret": "secret"`), []string{"client_id"}},
		{"secret that is no string", document(`"client_id": "x", "client_secret": ["secret"]`), []string{"client_secret"}},
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
		{"no source", strings.Replace(document(`"quota_project_id": ""`), "credential_source", "other", 1), []string{"credential_source"}},
		{"an empty source", source(``), []string{"credential_source"}},
		{"an empty file", source(`"file": ""`), []string{"credential_source"}},
		{"a file and a URL", source(`"file": "/token", "url": "http://127.0.0.1/token"`), []string{"credential_source"}},
		{"a file and an executable", source(`"file": "/token", "executable": {"command": "/bin/x"}`), []string{"credential_source"}},
		{"a URL and a certificate", source(`"url": "http://127.0.0.1/token", "certificate": {}`), []string{"credential_source"}},
		{"AWS and a file", awsSource(`"environment_id": "aws1", "file": "/token"`), []string{"credential_source"}},
		{"a certificate", source(`"certificate": {"use_default_certificate_config": true}`), []string{"credential_source.certificate"}},
		{"headers that are a list", source(`"url": "http://127.0.0.1/token", "headers": ["secret"]`), []string{"credential_source.headers"}},
		{"a header that is a number", source(`"url": "http://127.0.0.1/token", "headers": {"secret": 1}`), []string{"credential_source.headers"}},
		{"an executable without a command", source(`"executable": {"timeout_millis": 5000}`), []string{"credential_source.executable.command"}},
		{"a command of blanks", source(`"executable": {"command": " "}`), []string{"credential_source.executable.command"}},
		{"an executable with too little time", source(`"executable": {"command": "/bin/x", "timeout_millis": 4999}`), []string{"credential_source.executable.timeout_millis"}},
		{"an executable with no time", source(`"executable": {"command": "/bin/x", "timeout_millis": 0}`), []string{"credential_source.executable.timeout_millis"}},
		{"an executable with too much time", source(`"executable": {"command": "/bin/x", "timeout_millis": 120001}`), []string{"credential_source.executable.timeout_millis"}},
		{"an executable with more time than there is", source(`"executable": {"command": "/bin/x", "timeout_millis": 9223372036854775807}`), []string{"credential_source.executable.timeout_millis"}},
		{"an executable's time in words", source(`"executable": {"command": "/bin/x", "timeout_millis": "30s"}`), []string{"credential_source.executable.timeout_millis"}},
		{"AWS of another version", awsSource(`"environment_id": "aws2"`), []string{"credential_source.environment_id"}},
		{"AWS of no version", awsSource(`"environment_id": "aws"`), []string{"credential_source.environment_id"}},
		{"another cloud", awsSource(`"environment_id": "azure1"`), []string{"credential_source.environment_id"}},
		{"AWS for a JWT", source(`"environment_id": "aws1"`), []string{"subject_token_type"}},
		{"an AWS request in a file", awsSource(`"file": "/token"`), []string{"subject_token_type"}},
		{"a certificate's token type", document(`"subject_token_type": "urn:ietf:params:oauth:token-type:mtls"`), []string{"subjectTokenType"}},
		{"an unknown format", document(`"credential_source": {"format": {"type": "xml"}}`), []string{"credential_source.format.type"}},
		{"JSON without a field", document(`"credential_source": {"format": {"type": "json"}}`), []string{"credential_source.format.subject_token_field_name"}},
	}
	var texts bytes.Buffer
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			account, problems := googlests.FromExternalAccount([]byte(test.document))
			if problems == nil {
				problems = account.Options.Check()
			}
			fmt.Fprintf(&texts, "%s\n", test.name)
			var fields []string
			for _, problem := range problems {
				fmt.Fprintf(&texts, "\t%v\n", problem)
				fields = append(fields, problem.Field)
				if strings.Contains(problem.Error(), "secret\"") {
					t.Errorf("problem %q quotes the document", problem)
				}
			}
			if !slices.Equal(fields, test.fields) {
				t.Errorf("problems = %v, want them with %q", problems, test.fields)
			}
		})
	}
	checkGolden(t, "external_account_refusals", texts.Bytes())
}

// FuzzFromExternalAccount holds that no document, whatever is in it, sends tokens to a host outside
// the universe it names, and that what is accepted has exactly one source.
func FuzzFromExternalAccount(f *testing.F) {
	documents, err := filepath.Glob("testdata/external_account_*.json")
	if err != nil || len(documents) == 0 {
		f.Fatalf("documents = %v, %v", documents, err)
	}
	for _, document := range documents {
		text, err := os.ReadFile(document)
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
		account, problems := googlests.FromExternalAccount(text)
		if len(problems) > 0 {
			return
		}
		o, s := account.Options, account.Source
		sources := 0
		for _, set := range []bool{s.File != nil, s.URL != nil, s.Executable != nil, s.AWS != nil} {
			if set {
				sources++
			}
		}
		if sources != 1 {
			t.Errorf("accepted %q with %d sources", text, sources)
		}
		if e := s.Executable; e != nil && (e.Command == "" || e.Timeout < 5*time.Second || e.Timeout > 2*time.Minute) {
			t.Errorf("accepted %q with %+v", text, e)
		}
		if o.Transport = transport; o.Check() != nil {
			return
		}
		if again, err := account.Marshal(); err == nil {
			if _, problems := googlests.FromExternalAccount(again); len(problems) > 0 {
				t.Errorf("accepted %q, and refuses what is written of it: %v", text, problems)
			}
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
