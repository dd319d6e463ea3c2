package format_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/endpoints/format"
	"github.com/wisp-sidecar/wisp/refresher"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// expires is neither in UTC nor a whole second.
var expires = time.Date(2030, 1, 2, 5, 4, 5, 999_999_999, time.FixedZone("", 2*60*60))

func accessKey(id string, secret, session refresher.Secret, account string) refresher.Credential {
	return refresher.Credential{
		Value:   refresher.AccessKey{ID: id, Secret: secret, SessionToken: session, AccountID: account},
		Expires: expires,
	}
}

func bearer(token refresher.Secret, tokenType string) refresher.Credential {
	return refresher.Credential{Value: refresher.Bearer{Token: token, Type: tokenType}, Expires: expires}
}

var (
	exampleKey    = accessKey("ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjE<&>+/==", "123456789012")
	exampleBearer = bearer("ya29.c.b0Aaekm1-example_token", refresher.TypeAccessToken)
)

// process is what awsConfig needs.
var process = format.Process{Executable: "/usr/local/bin/wisp-1.2_3", Identity: "reports", Config: "/etc/wisp/config.yaml"}

// exampleKeyInShells has the characters of real ones only, which mean nothing to shells.
var exampleKeyInShells = accessKey("ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "IQoJb3JpZ2luX2VjE//+/==", "123456789012")

func undatedBareKey() refresher.Credential {
	c := accessKey("ASIAX", "s", "t", "")
	c.Expires = time.Time{}
	return c
}

func TestEncodeGolden(t *testing.T) {
	undated := exampleKey
	undated.Expires = time.Time{}
	for _, test := range []struct {
		golden, format string
		credential     refresher.Credential
		options        format.Options
	}{
		{"token", "token", exampleBearer, format.Options{}},
		{"token_saml", "token", bearer("PHNhbWw6QXNzZXJ0aW9uLz4=", refresher.TypeSAML2), format.Options{}},
		{"shared_credentials", "awsSharedCredentials", exampleKey, format.Options{}},
		{"shared_credentials_profile", "awsSharedCredentials", exampleKey, format.Options{Profile: "team/reports@eu"}},
		{"shared_credentials_bare", "awsSharedCredentials", accessKey("ASIAX", "s", "t", ""), format.Options{}},
		{"credential_process", "credentialProcess", exampleKey, format.Options{}},
		{"credential_process_bare", "credentialProcess", accessKey("ASIAX", "s", "t", ""), format.Options{}},
		{"aws_config", "awsConfig", exampleKey, format.Options{Process: process}},
		{"aws_config_profile", "awsConfig", exampleKey, format.Options{Profile: "team/reports@eu", Region: "eu-west-1", Process: process}},
		{"aws_config_default", "awsConfig", exampleKey, format.Options{Profile: "default", Process: format.Process{Executable: "/usr/bin/wisp", Identity: "aws"}}},
		{"env", "env", exampleKeyInShells, format.Options{Region: "eu-west-1"}},
		{"env_bare", "env", undatedBareKey(), format.Options{}},
		{"json_access_key", "json", exampleKey, format.Options{}},
		{"json_access_key_undated", "json", undated, format.Options{}},
		{"json_bearer", "json", exampleBearer, format.Options{}},
	} {
		t.Run(test.golden, func(t *testing.T) {
			got, err := format.Formats[test.format].Encode(test.credential, test.options)
			if err != nil {
				t.Fatal(err)
			}
			goldenFile(t, test.golden, got)
		})
	}
}

// goldenFile compares what was encoded with a file.
func goldenFile(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s changed (-want +got):\n%s", path, diff)
	}
}

// atHand are options with which every format has what it needs.
var atHand = format.Options{
	Cluster: "prod", STSHost: "sts.eu-west-1.amazonaws.com", STSRegion: "eu-west-1", Process: process,
	Now: func() time.Time { return expires.Add(-time.Hour) },
}

// A format encodes exactly the shapes that its row of the table claims.
func TestFormatsAcceptWhatTheySay(t *testing.T) {
	for name, f := range format.Formats {
		for _, test := range []struct {
			what       string
			credential refresher.Credential
			accepted   bool
		}{
			{"an access key", exampleKeyInShells, f.AccessKey},
			{"a bearer", bearer("a.b.c", refresher.TypeJWT), f.Bearer},
			{"nothing", refresher.Credential{}, f.Public},
		} {
			if _, err := f.Encode(test.credential, atHand); (err == nil) != test.accepted {
				t.Errorf("%s: Encode(%s) = %v, accepted should be %t", name, test.what, err, test.accepted)
			}
		}
	}
}

func TestEncodeRefusesValuesThatCouldBreakOut(t *testing.T) {
	const hidden = "hunter2"
	for name, value := range map[string]string{
		"empty":             "",
		"line feed inside":  hidden + "\naws_access_key_id = AKIAEVIL",
		"line feed at end":  hidden + "\n",
		"carriage return":   hidden + "\r",
		"NUL":               hidden + "\x00",
		"space at the end":  hidden + " ",
		"blank and comment": hidden + " # " + hidden,
		"DEL":               hidden + "\x7f",
		"no-break space":    hidden + "\u00a0",
		"line separator":    hidden + "\u2028",
		"invalid UTF-8":     hidden + "\xff",
	} {
		credentials := map[string]refresher.Credential{
			"secret":  accessKey("ASIAX", refresher.Secret(value), "t", ""),
			"session": accessKey("ASIAX", "s", refresher.Secret(value), ""),
			"id":      accessKey(value, "s", "t", ""),
			"token":   bearer(refresher.Secret(value), refresher.TypeJWT),
		}
		if value != "" {
			credentials["account"] = accessKey("ASIAX", "s", "t", value)
		}
		for which, credential := range credentials {
			for formatName, f := range format.Formats {
				got, err := f.Encode(credential, atHand)
				if f.Public && !strings.Contains(string(got), hidden) {
					continue // it does not show the value at all
				}
				if err == nil {
					t.Errorf("%s: Encode with %s in %s = %q, want an error", formatName, name, which, got)
				} else if strings.Contains(err.Error(), hidden) {
					t.Errorf("%s: the error shows the value: %v", formatName, err)
				}
			}
		}
	}
}

func TestCheck(t *testing.T) {
	const badName = "must consist of letters, digits and any of _ - / . % @ : +"
	for _, test := range []struct {
		name, format, profile string
		want                  []refresher.FieldError
	}{
		{"a format alone", "token", "", nil},
		{"a profile", "awsSharedCredentials", "reports", nil},
		{"a profile where there is none", "json", "reports", []refresher.FieldError{{Field: "profile", Problem: "has a meaning for the formats awsSharedCredentials and awsConfig only"}}},
		{"a profile of the config file", "awsConfig", "reports", nil},
		{"a bracket in a profile", "awsSharedCredentials", "a]b", []refresher.FieldError{{Field: "profile", Problem: badName}}},
		{"a line break in a profile", "awsSharedCredentials", "a\n", []refresher.FieldError{{Field: "profile", Problem: badName}}},
		{"the prefix of the config file", "awsSharedCredentials", "profile x", []refresher.FieldError{{Field: "profile", Problem: badName}}},
		{"what is printed only", "executable", "", []refresher.FieldError{{Field: "format", Problem: `must be one of awsConfig, awsSharedCredentials, credentialProcess, env, json, token, not "executable"`}}},
		{"an unknown format", "yaml", "", []refresher.FieldError{{Field: "format", Problem: `must be one of awsConfig, awsSharedCredentials, credentialProcess, env, json, token, not "yaml"`}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := format.Check(test.format, format.Options{Profile: test.profile})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Check(%q, %q) (-want +got):\n%s", test.format, test.profile, diff)
			}
		})
	}
	if _, err := format.Formats["awsSharedCredentials"].Encode(exampleKey, format.Options{Profile: "a]\n[b"}); err == nil {
		t.Error("Encode with a profile that nobody checked: no error")
	}
}

// Whatever the values are, each stays in its place.
func FuzzEncode(f *testing.F) {
	f.Add("ASIAIOSFODNN7EXAMPLE", "wJalr/+=", "IQoJ==", "123456789012", "default")
	f.Add("A", "s\n[evil]", "t", "", "p]")
	f.Add("A", "s", "t\r", "\"", "p\n")
	f.Add("A\u2028", "\x00", "\xff", "</script>", "")
	f.Fuzz(func(t *testing.T, id, secret, session, account, profile string) {
		options := format.Options{Profile: profile}
		key := accessKey(id, refresher.Secret(secret), refresher.Secret(session), account)

		if got, err := format.Formats["token"].Encode(bearer(refresher.Secret(secret), ""), options); err == nil {
			if string(got) != secret || bytes.ContainsAny(got, "\r\n") {
				t.Errorf("token: Encode(%q) = %q", secret, got)
			}
		}
		if got, err := format.Formats["awsSharedCredentials"].Encode(key, options); err == nil {
			want := map[string]string{"aws_access_key_id": id, "aws_secret_access_key": secret, "aws_session_token": session}
			if account != "" {
				want["aws_account_id"] = account
			}
			if profile == "" {
				profile = "default"
			}
			if diff := cmp.Diff(want, section(t, got, profile)); diff != "" {
				t.Errorf("awsSharedCredentials (-want +got):\n%s", diff)
			}
		}
		for _, name := range []string{"json", "credentialProcess"} {
			got, err := format.Formats[name].Encode(key, options)
			if err != nil {
				continue
			}
			if bytes.Count(got, []byte("\n")) != 1 || !bytes.HasSuffix(got, []byte("}\n")) {
				t.Errorf("%s: Encode = %q, want one line", name, got)
			}
			var document map[string]any
			if err := json.Unmarshal(got, &document); err != nil {
				t.Fatal(err)
			}
			for member, want := range map[string]string{"secretaccesskey": secret, "sessiontoken": session, "accesskeyid": id} {
				for have, value := range document {
					if strings.EqualFold(have, member) && value != want {
						t.Errorf("%s: %s = %q, want %q", name, have, value, want)
					}
				}
			}
		}
	})
}

// section reads a shared credentials file as strictly as the strictest parser: one comment line, one
// section, keys and values.
func section(t *testing.T, text []byte, profile string) map[string]string {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) < 2 || lines[0] != "# expires 2030-01-02T03:04:05Z" || lines[1] != "["+profile+"]" {
		t.Fatalf("unexpected start of file: %q", text)
	}
	values := map[string]string{}
	for _, line := range lines[2:] {
		key, value, found := strings.Cut(line, " = ")
		if !found || strings.ContainsAny(value, " \r") {
			t.Fatalf("unexpected line %q", line)
		}
		values[key] = value
	}
	return values
}

// ParseJSON reads what the format "json" writes, and nothing that it would not write.
func TestParseJSON(t *testing.T) {
	for _, c := range []refresher.Credential{exampleKey, exampleBearer, accessKey("ASIAX", "s", "t", "")} {
		text, err := format.Formats["json"].Encode(c, format.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c.Expires = c.Expires.UTC().Truncate(time.Second)
		got, err := format.ParseJSON(text)
		if diff := cmp.Diff(c, got); diff != "" || err != nil {
			t.Errorf("ParseJSON (-want +got), %v:\n%s", err, diff)
		}
	}
}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(`{"type":"bearer","token":"hunter2","expiresAt":"2030-01-02T03:04:05Z"}`))
	f.Add([]byte(`{"type":"awsAccessKey","accessKeyId":"a","secretAccessKey":"hunter2","sessionToken":"c"}`))
	f.Add([]byte(`{"type":"bearer","token":"hunter2\n"}`))
	f.Add([]byte(`{"type":"bearer","token":"hunter2","expiresAt":"hunter2"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := format.ParseJSON(text)
		if err != nil {
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret: %v", err)
			}
			return
		}
		if _, err := format.Formats["json"].Encode(c, format.Options{}); err != nil {
			t.Errorf("%q is read as what cannot be written: %v", text, err)
		}
	})
}
