package format_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints/format"
	"github.com/wisp-sidecar/wisp/refresher"
)

// A command that some SDK would read in another way is none.
func TestCredentialProcessCommands(t *testing.T) {
	long := "/opt/" + strings.Repeat("x", 200) + "/wisp"
	for _, test := range []struct {
		name    string
		process format.Process
		good    bool
	}{
		{"with a configuration", process, true},
		{"without one", format.Process{Executable: "/usr/bin/wisp", Identity: "aws"}, true},
		{"a long path", format.Process{Executable: long, Identity: "aws"}, true},
		{"all the characters", format.Process{Executable: "/a-Z_0.9+b@c,d:e/wisp", Identity: "a-1"}, true},
		{"nothing", format.Process{}, false},
		{"no identity", format.Process{Executable: "/usr/bin/wisp"}, false},
		{"a relative program", format.Process{Executable: "wisp", Identity: "aws"}, false},
		{"a relative configuration", format.Process{Executable: "/usr/bin/wisp", Identity: "aws", Config: "config.yaml"}, false},
		{"a blank in the program", format.Process{Executable: "/opt/my tools/wisp", Identity: "aws"}, false},
		{"a blank in the configuration", format.Process{Executable: "/usr/bin/wisp", Identity: "aws", Config: "/etc/my wisp.yaml"}, false},
		{"a tab", format.Process{Executable: "/opt/a\tb/wisp", Identity: "aws"}, false},
		{"a line break", format.Process{Executable: "/usr/bin/wisp", Identity: "aws", Config: "/etc/a\n[profile b]"}, false},
		{"an apostrophe", format.Process{Executable: "/home/o'neill/wisp", Identity: "aws"}, false},
		{"a quotation mark", format.Process{Executable: `/home/"x"/wisp`, Identity: "aws"}, false},
		{"a backslash", format.Process{Executable: `/home/a\b/wisp`, Identity: "aws"}, false},
		{"a variable", format.Process{Executable: "/home/$USER/wisp", Identity: "aws"}, false},
		{"a second command", format.Process{Executable: "/usr/bin/wisp;rm", Identity: "aws"}, false},
		{"a wildcard", format.Process{Executable: "/usr/bin/wis*", Identity: "aws"}, false},
		{"the home directory", format.Process{Executable: "/usr/bin/wisp", Identity: "aws", Config: "/etc/~x"}, false},
		{"a comment", format.Process{Executable: "/usr/bin/wisp#1", Identity: "aws"}, false},
		{"a letter beyond ASCII", format.Process{Executable: "/home/j\u00fcrgen/wisp", Identity: "aws"}, false},
		{"invalid UTF-8", format.Process{Executable: "/home/\xff/wisp", Identity: "aws"}, false},
		{"a blank in the identity", format.Process{Executable: "/usr/bin/wisp", Identity: "aws x"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.process.Check()
			if (err == nil) != test.good {
				t.Errorf("Check = %v, good should be %t", err, test.good)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has several lines: %v", err)
			}
			if _, encoding := format.Formats["awsConfig"].Encode(exampleKey, format.Options{Process: test.process}); (encoding == nil) != test.good {
				t.Errorf("Encode = %v, good should be %t", encoding, test.good)
			}
		})
	}
}

// What some parser of AWS's files takes in another way than others is not in them.
func TestAWSFilesAreForEveryParser(t *testing.T) {
	for _, name := range []string{"awsSharedCredentials", "awsConfig", "env"} {
		text, err := format.Formats[name].Encode(exampleKeyInShells, format.Options{Region: "eu-west-1", Process: process})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(string(text), "\n") || strings.ContainsAny(string(text), "\r\ufeff\"'\t;") {
			t.Errorf("%s: %q has quotes, a mark, or other ends of lines", name, text)
		}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(line, "=")
			switch key = strings.TrimSpace(key); {
			case line == "\n", strings.HasPrefix(line, " "):
				t.Errorf("%s: the line %q is empty, or goes on with the one before", name, line)
			case strings.Contains(value, "#"):
				t.Errorf("%s: the line %q ends with a comment", name, line)
			case key == "aws_security_token", key == "AWS_SECURITY_TOKEN":
				t.Errorf("%s: %s outranks the session token, and is old", name, key)
			case name != "env" && key != strings.ToLower(key) && !strings.HasPrefix(line, "#"):
				t.Errorf("%s: the key %s is not in lower case", name, key)
			}
		}
	}
}

// What is written for a region and a profile that nobody checked does not break out.
func TestAWSConfigRefusesWhatCouldBreakOut(t *testing.T) {
	for _, options := range []format.Options{
		{Process: process, Region: "eu-west-1\ncredential_process = /bin/evil"},
		{Process: process, Region: "eu west"},
		{Process: process, Profile: "a]\n[b"},
		{Process: process, Profile: "profile a"},
	} {
		if got, err := format.Formats["awsConfig"].Encode(exampleKey, options); err == nil {
			t.Errorf("Encode with %+v = %q, want an error", options, got)
		}
	}
}

// A credential shows in no public format.
func TestPublicFormatsShowNoCredential(t *testing.T) {
	for name, f := range format.Formats {
		if !f.Public {
			continue
		}
		text, err := f.Encode(exampleKey, format.Options{Process: process})
		if err != nil {
			t.Fatal(err)
		}
		key := exampleKey.Value.(refresher.AccessKey)
		for _, value := range []string{key.ID, key.Secret.Reveal(), key.SessionToken.Reveal(), key.AccountID} {
			if strings.Contains(string(text), value) {
				t.Errorf("%s shows %q", name, value)
			}
		}
	}
}

// Docker takes a line as it is and a shell reads it; both have to see the same values.
func TestEnvRefusesWhatAShellWouldRead(t *testing.T) {
	for _, value := range []string{"a'b", `a"b`, "a$b", "a`b", "a;b", "a&b", "a|b", "a(b", "a#b", "#ab", "~/a", "a:~b", `a\b`, "a*b", "a%b", "a!b", "a{b,c}", "a\u00e4"} {
		for name, key := range map[string]refresher.Credential{
			"id": accessKey(value, "s", "t", ""), "secret": accessKey("A", refresher.Secret(value), "t", ""),
			"session": accessKey("A", "s", refresher.Secret(value), ""), "account": accessKey("A", "s", "t", value),
		} {
			if got, err := format.Formats["env"].Encode(key, format.Options{}); err == nil {
				t.Errorf("Encode with %q as %s = %q, want an error", value, name, got)
			}
		}
		if got, err := format.Formats["env"].Encode(exampleKeyInShells, format.Options{Region: value}); err == nil {
			t.Errorf("Encode with the region %q = %q, want an error", value, got)
		}
	}
}

// The variables as a real shell sees them.
func TestEnvInAShell(t *testing.T) {
	text, err := format.Formats["env"].Encode(exampleKeyInShells, format.Options{Region: "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	script := string(text) + `printf '%s\n' "AWS_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY" "AWS_SESSION_TOKEN=$AWS_SESSION_TOKEN" \
		"AWS_REGION=$AWS_REGION" "AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION" "AWS_ACCOUNT_ID=$AWS_ACCOUNT_ID" "AWS_CREDENTIAL_EXPIRATION=$AWS_CREDENTIAL_EXPIRATION"`
	got, err := exec.Command("/bin/sh", "-c", script).CombinedOutput()
	if err != nil || string(got) != string(text) {
		t.Errorf("the shell sees %q, %v, want %q", got, err, text)
	}
}

// Whatever there is, each line is one setting, of a name that was meant.
func FuzzLines(f *testing.F) {
	f.Add("ASIAIOSFODNN7EXAMPLE", "wJalr/+=", "IQoJ==", "123456789012", "eu-west-1", "reports", "/usr/bin/wisp", "/etc/wisp.yaml")
	f.Add("A", "s\nB=c", "t", "", "eu\nx", "a]", "/a b", "/c'd")
	f.Add("A", "$(id)", "`id`", "\"", "", "profile x", "/\xff", "relative")
	f.Fuzz(func(t *testing.T, id, secret, session, account, region, profile, executable, config string) {
		key := accessKey(id, refresher.Secret(secret), refresher.Secret(session), account)
		options := format.Options{Profile: profile, Region: region, Process: format.Process{Executable: executable, Identity: "aws", Config: config}}
		settings := func(name, separator string) map[string]string {
			text, err := format.Formats[name].Encode(key, options)
			if err != nil {
				return nil
			}
			values := map[string]string{}
			for line := range strings.Lines(string(text)) {
				if strings.HasPrefix(line, "[") {
					continue
				}
				key, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), separator)
				if _, twice := values[key]; !found || twice || value == "" || strings.ContainsAny(value, "\r'\"\\$`;|&<>*?#~") {
					t.Errorf("%s: line %q", name, line)
				}
				values[key] = value
			}
			return values
		}
		if got := settings("env", "="); got != nil {
			want := map[string]string{
				"AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": session, "AWS_ACCOUNT_ID": account,
				"AWS_REGION": region, "AWS_DEFAULT_REGION": region, "AWS_CREDENTIAL_EXPIRATION": "2030-01-02T03:04:05Z",
			}
			for name, value := range want {
				if got[name] != value {
					t.Errorf("env: %s = %q, want %q", name, got[name], value)
				}
			}
			if len(got) > len(want) {
				t.Errorf("env: %v", got)
			}
		}
		options.Region = "" // which is not what a command is made of
		if got := settings("awsConfig", " = "); got != nil {
			want := executable + " credential-process aws"
			if config != "" {
				want += " --config " + config
			}
			if len(got) != 1 || got["credential_process"] != want || len(strings.Fields(want)) != map[bool]int{true: 3, false: 5}[config == ""] {
				t.Errorf("awsConfig: %v, want the command %q", got, want)
			}
		}
	})
}
