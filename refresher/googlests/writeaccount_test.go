package googlests_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google/externalaccount"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
	"github.com/wisp-sidecar/wisp/refresher/execsource"
	"github.com/wisp-sidecar/wisp/refresher/googlests"
)

// written are documents that are in testdata, byte by byte.
var written = map[string]googlests.ExternalAccount{
	"file": {
		Options: googlests.Options{Audience: audience, SubjectTokenType: refresher.TypeJWT},
		Source:  googlests.CredentialSource{File: &googlests.SubjectFile{Path: "/var/run/secrets/token"}},
	},
	"file_json": {
		Options: googlests.Options{Audience: audience, SubjectTokenType: refresher.TypeIDToken},
		Source:  googlests.CredentialSource{File: &googlests.SubjectFile{Path: "/var/run/secrets/token.json", Field: "id_token"}},
	},
	"impersonation": {
		Options: googlests.Options{Audience: audience, SubjectTokenType: refresher.TypeJWT, ServiceAccount: account, Scopes: []string{"https://scopes.example/are-not-written"}},
		Source:  googlests.CredentialSource{File: &googlests.SubjectFile{Path: "/token"}},
	},
	"impersonation_lifetime": {
		Options: googlests.Options{
			Audience: audience, SubjectTokenType: refresher.TypeJWT, ServiceAccount: account, Lifetime: 2 * time.Hour, QuotaProject: "acme-billing",
		},
		Source: googlests.CredentialSource{File: &googlests.SubjectFile{Path: "/token"}},
	},
	"url": {
		Options: googlests.Options{Audience: audience, SubjectTokenType: refresher.TypeJWT},
		Source: googlests.CredentialSource{URL: &googlests.SubjectURL{
			URL: "http://127.0.0.1:9911/subject/reports?a=b&c=d", Headers: map[string]refresher.Secret{"Authorization": "Bearer Zm9yIHRlc3Rz"},
		}},
	},
	"url_json": {
		Options: googlests.Options{Audience: audience, SubjectTokenType: refresher.TypeSAML2},
		Source: googlests.CredentialSource{URL: &googlests.SubjectURL{
			URL: "http://127.0.0.1:9911/subject/reports", Headers: map[string]refresher.Secret{"Metadata": "True", "Authorization": "Bearer Zm9yIHRlc3Rz"}, Field: "access_token",
		}},
	},
	"executable": {
		Options: googlests.Options{Audience: audience, SubjectTokenType: refresher.TypeJWT, ServiceAccount: account},
		Source: googlests.CredentialSource{Executable: &googlests.SubjectExecutable{
			Command: "/usr/local/bin/wisp executable reports", OutputFile: "/run/wisp/reports.json",
		}},
	},
	"executable_timeout": {
		Options: googlests.Options{Audience: audience, SubjectTokenType: refresher.TypeSAML2},
		Source:  googlests.CredentialSource{Executable: &googlests.SubjectExecutable{Command: "/usr/local/bin/wisp executable reports", Timeout: 5 * time.Second}},
	},
	"workforce": {
		Options: googlests.Options{Audience: workforce, SubjectTokenType: refresher.TypeIDToken, UserProject: "987654321"},
		Source:  googlests.CredentialSource{File: &googlests.SubjectFile{Path: "/token"}},
	},
	"universe": {
		Options: googlests.Options{Audience: audience, SubjectTokenType: refresher.TypeJWT, UniverseDomain: "cloud.example", ServiceAccount: account},
		Source:  googlests.CredentialSource{File: &googlests.SubjectFile{Path: "/token"}},
	},
	"mtls": {
		Options: googlests.Options{Audience: audience, SubjectTokenType: refresher.TypeJWT, TokenURL: "https://sts.mtls.googleapis.com/v1/token"},
		Source:  googlests.CredentialSource{File: &googlests.SubjectFile{Path: "/token"}},
	},
	"token_url_of_another_form": {
		Options: googlests.Options{Audience: audience, SubjectTokenType: refresher.TypeJWT, TokenURL: "https://sts.googleapis.com/v2/exchange"},
		Source:  googlests.CredentialSource{File: &googlests.SubjectFile{Path: "/token"}},
	},
}

func TestMarshalExternalAccount(t *testing.T) {
	for name, account := range written {
		t.Run(name, func(t *testing.T) {
			got, err := account.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			checkGolden(t, "written_"+name, got)

			// What is written is what is read, except for defaults, which are written out.
			back, problems := googlests.FromExternalAccount(got)
			if len(problems) > 0 {
				t.Fatalf("what is written is refused: %v", problems)
			}
			again, err := back.Marshal()
			if err != nil || !bytes.Equal(got, again) {
				t.Errorf("once around (-before +after), %v:\n%s", err, gocmp.Diff(string(got), string(again)))
			}
			if e := account.Source.Executable; e != nil && e.Timeout == 0 {
				back.Source.Executable.Timeout = 0
			}
			if diff := gocmp.Diff(reveal(account.Source), reveal(back.Source)); diff != "" {
				t.Errorf("source (-written +read):\n%s", diff)
			}
		})
	}
}

// reveal makes differences between headers visible.
func reveal(s googlests.CredentialSource) any {
	if s.URL == nil {
		return s
	}
	headers := map[string]string{}
	for name, value := range s.URL.Headers {
		headers[name] = value.Reveal()
	}
	return []any{s.URL.URL, s.URL.Field, headers}
}

// gcloud's own documents come out as they went in.
func TestMarshalAsGcloudDoes(t *testing.T) {
	for _, name := range []string{"impersonation", "azure", "url"} {
		text, err := os.ReadFile(filepath.Join("testdata", "external_account_"+name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		account, problems := googlests.FromExternalAccount(text)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		got, err := account.Marshal()
		if diff := gocmp.Diff(strings.TrimSpace(string(text)), strings.TrimSpace(string(got))); err != nil || diff != "" {
			t.Errorf("%s: %v (-gcloud +written):\n%s", name, err, diff)
		}
	}
}

func TestMarshalExternalAccountRefuses(t *testing.T) {
	const secret = "Zm9yIHRlc3Rz"
	exchange := func(change func(*googlests.Options)) googlests.ExternalAccount {
		a := written["file"]
		change(&a.Options)
		return a
	}
	source := func(s googlests.CredentialSource) googlests.ExternalAccount {
		return googlests.ExternalAccount{Options: written["file"].Options, Source: s}
	}
	command := func(command string) googlests.ExternalAccount {
		return source(googlests.CredentialSource{Executable: &googlests.SubjectExecutable{Command: command}})
	}
	from := func(url string, headers map[string]refresher.Secret) googlests.ExternalAccount {
		return source(googlests.CredentialSource{URL: &googlests.SubjectURL{URL: url, Headers: headers}})
	}
	const url = "http://127.0.0.1:9911/subject/reports"
	var texts bytes.Buffer
	for _, test := range []struct {
		name    string
		account googlests.ExternalAccount
	}{
		{"nothing", googlests.ExternalAccount{}},
		{"no token type", exchange(func(o *googlests.Options) { o.SubjectTokenType = "" })},
		{"a signed AWS request", exchange(func(o *googlests.Options) { o.SubjectTokenType = refresher.TypeAWSRequest })},
		{"an access token", exchange(func(o *googlests.Options) { o.SubjectTokenType = refresher.TypeAccessToken })},
		{"delegates", exchange(func(o *googlests.Options) { o.ServiceAccount, o.Delegates = account, []string{middle} })},
		{"a client", exchange(func(o *googlests.Options) { o.Audience, o.ClientID, o.ClientSecret = workforce, "app", secret })},
		{"what the exchange would refuse", exchange(func(o *googlests.Options) { o.Audience, o.Lifetime = "x", time.Hour })},
		{"no source", source(googlests.CredentialSource{})},
		{"two sources", source(googlests.CredentialSource{File: &googlests.SubjectFile{Path: "/t"}, URL: &googlests.SubjectURL{URL: url}})},
		{"AWS", source(googlests.CredentialSource{AWS: &googlests.SubjectAWS{}})},
		{"a relative file", source(googlests.CredentialSource{File: &googlests.SubjectFile{Path: "token"}})},
		{"a URL of files", from("file:///token", nil)},
		{"a URL without a host", from("http:///token", nil)},
		{"a URL with user information", from("http://a:b@127.0.0.1/token", nil)},
		{"a URL that is none", from("http://127.0.0.1\n/token", nil)},
		{"a header with a line break", from(url, map[string]refresher.Secret{"Authorization": "Bearer " + secret + "\r\nX: y"})},
		{"a header without a name", from(url, map[string]refresher.Secret{"": secret})},
		{"no command", command("")},
		{"a relative command", command("wisp executable reports")},
		{"a path with a blank, quoted", command(`"/opt/my tools/wisp" executable reports`)},
		{"an argument in single quotes", command(`/bin/wisp executable 'reports'`)},
		{"two blanks", command("/bin/wisp  executable")},
		{"a tab", command("/bin/wisp\texecutable")},
		{"a no-break space", command("/bin/wisp\u00a0executable")},
		{"a blank at the end", command("/bin/wisp ")},
		{"too little time", source(googlests.CredentialSource{Executable: &googlests.SubjectExecutable{Command: "/bin/wisp", Timeout: time.Second}})},
		{"a relative output file", source(googlests.CredentialSource{Executable: &googlests.SubjectExecutable{Command: "/bin/wisp", OutputFile: "out"}})},
	} {
		got, err := test.account.Marshal()
		if err == nil {
			t.Errorf("%s: Marshal = %s, want an error", test.name, got)
			continue
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows the secret: %v", test.name, err)
		}
		fmt.Fprintf(&texts, "%s\n\t%s\n", test.name, strings.ReplaceAll(err.Error(), "\n", "\n\t"))
	}
	checkGolden(t, "written_refusals", texts.Bytes())
}

func TestCommandLine(t *testing.T) {
	if got, err := googlests.CommandLine("/usr/bin/wisp", "executable", "--config=/etc/wisp.yaml", "reports"); err != nil || got != "/usr/bin/wisp executable --config=/etc/wisp.yaml reports" {
		t.Errorf("CommandLine = %q, %v", got, err)
	}
	for _, argument := range []string{"", " ", "a b", "a\tb", "a\n", "\u00a0", "\u2003", `"a"`, `a"`, "it's", "a\x00"} {
		if got, err := googlests.CommandLine("/usr/bin/wisp", argument); err == nil {
			t.Errorf("CommandLine with %q = %q, want an error", argument, got)
		}
	}
}

// FuzzCommandLine: what is joined splits into the same parts, by the rules of Go and Python, and of Java.
func FuzzCommandLine(f *testing.F) {
	f.Add("/bin/wisp", "reports")
	f.Add("/opt/my tools", `"`)
	f.Add("", "\u3000")
	f.Fuzz(func(t *testing.T, program, argument string) {
		got, err := googlests.CommandLine(program, argument)
		if err != nil {
			return
		}
		want := []string{program, argument}
		for name, parts := range map[string][]string{"Go": strings.Fields(got), "Java": strings.Split(got, " ")} {
			if diff := gocmp.Diff(want, parts); diff != "" {
				t.Errorf("%q as %s splits it (-want +got):\n%s", got, name, diff)
			}
		}
	})
}

// Google's library for Go does with the documents what they are for.
func TestXOAuth2TakesWhatIsWritten(t *testing.T) {
	w := newWorld(t, newIssuer())
	token := w.mint(cloudtest.TokenOptions{})
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(token.Raw.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	w.net.Handle("127.0.0.1", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer s" {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprintf(rw, `{"access_token":%q}`, token.Raw.Reveal())
	}))
	cat, err := exec.LookPath("cat")
	if err != nil {
		t.Fatal(err)
	}
	printed, err := execsource.Response{Token: token.Raw, TokenType: refresher.TypeJWT, Expires: time.Now().Add(time.Hour)}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "printed"), printed, 0o600); err != nil {
		t.Fatal(err)
	}
	command, err := googlests.CommandLine(cat, filepath.Join(dir, "printed"))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(execsource.EnvAllowExecutables, "1")

	for name, source := range map[string]googlests.CredentialSource{
		"file":       {File: &googlests.SubjectFile{Path: file}},
		"URL":        {URL: &googlests.SubjectURL{URL: "http://127.0.0.1:9911/", Headers: map[string]refresher.Secret{"Authorization": "Bearer s"}, Field: "access_token"}},
		"executable": {Executable: &googlests.SubjectExecutable{Command: command}},
	} {
		for _, serviceAccount := range []string{"", account} {
			t.Run(name+" "+serviceAccount, func(t *testing.T) {
				text, err := googlests.ExternalAccount{
					Options: googlests.Options{Audience: audience, SubjectTokenType: refresher.TypeJWT, ServiceAccount: serviceAccount},
					Source:  source,
				}.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				var document struct {
					Audience         string                            `json:"audience"`
					SubjectTokenType string                            `json:"subject_token_type"`
					TokenURL         string                            `json:"token_url"`
					TokenInfoURL     string                            `json:"token_info_url"`
					ImpersonationURL string                            `json:"service_account_impersonation_url"`
					Source           *externalaccount.CredentialSource `json:"credential_source"`
				}
				if err := json.Unmarshal(text, &document); err != nil {
					t.Fatal(err)
				}
				ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: w.net})
				tokens, err := externalaccount.NewTokenSource(ctx, externalaccount.Config{
					Audience: document.Audience, SubjectTokenType: document.SubjectTokenType, TokenURL: document.TokenURL,
					TokenInfoURL: document.TokenInfoURL, ServiceAccountImpersonationURL: document.ImpersonationURL,
					CredentialSource: document.Source, Scopes: []string{googlests.CloudPlatform},
				})
				if err != nil {
					t.Fatal(err)
				}
				got, err := tokens.Token()
				if err != nil {
					t.Fatal(err)
				}
				want := workload
				if serviceAccount != "" {
					want = "serviceAccount:" + serviceAccount
				}
				if principal, valid := w.google.Principal(got.AccessToken); !valid || principal != want {
					t.Errorf("the token is that of %q, %v, want %q", principal, valid, want)
				}
			})
		}
	}
}
