package clients_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The external_account files of the stage, by which Google's libraries exchange a subject token of wisp's themselves.
const (
	accountFile       = "account-file.json"
	accountURL        = "account-url.json"
	accountWrong      = "account-wrong.json"   // of the latter with another secret
	accountMissing    = "account-missing.json" // and without one
	accountExecutable = "account-executable.json"
	accountOutput     = "account-output.json" // of the latter with an output file, which all clients share

	accountOther       = "account-other.json" // of a provider that wisp's configuration does not know
	accountOtherOutput = "account-other-output.json"
)

// writeAccounts has wisp adc write them.
func (s *stage) writeAccounts(t *testing.T, program string) {
	t.Helper()
	for name, flags := range map[string][]string{
		accountFile:       {"--from=file"},
		accountURL:        {"--from=url"},
		accountExecutable: {"--from=executable"},
		accountOutput:     {"--from=executable", "--output-file=" + filepath.Join(s.dir, "executable-output")},
	} {
		path := filepath.Join(s.dir, name)
		args := append([]string{"adc", "google-itself", "--config=" + filepath.Join(s.dir, "wisp.yaml"), "--output=" + path}, flags...)
		if err := command(s.dir, program, args...); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// wisp talks to the fake by http, which not all libraries do.
		s.write(t, name, strings.ReplaceAll(string(text), s.urls.google, s.urls.googleTLS))
	}
	for other, name := range map[string]string{accountOther: accountExecutable, accountOtherOutput: accountOutput} {
		text, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		s.write(t, other, strings.NewReplacer(googleProvider, googleProvider+"-of-others", "executable-output", "other-output").Replace(string(text)))
	}
	text, err := os.ReadFile(filepath.Join(s.dir, accountURL))
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, accountWrong, strings.ReplaceAll(string(text), s.secret("subject.secret"), "wrong"))
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	delete(document["credential_source"].(map[string]any), "headers")
	if text, err = json.Marshal(document); err != nil {
		t.Fatal(err)
	}
	s.write(t, accountMissing, string(text))
}

// account is the environment of a library with one of these files.
func account(name string) map[string]string {
	env := maps.Clone(trust)
	env["GOOGLE_APPLICATION_CREDENTIALS"] = "{dir}/" + name
	env["GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES"] = "1"
	env["GOOGLE_CLOUD_PROJECT"] = googleProject
	return env
}
