package clients_test

import (
	"encoding/json"
	"testing"
)

// The external_account files of the stage, by which Google's libraries exchange a subject token of wisp's themselves.
const (
	accountExecutable = "executable.json"
	accountOutput     = "executable-output.json"
)

// writeAccounts writes them.
func (s *stage) writeAccounts(t *testing.T, program string) {
	t.Helper()
	run := program + " executable google-subject --config " + s.dir + "/wisp.yaml"
	for name, source := range map[string]map[string]any{
		accountExecutable: {"executable": map[string]any{"command": run, "timeout_millis": 10_000}},
		accountOutput:     {"executable": map[string]any{"command": run, "timeout_millis": 10_000, "output_file": s.dir + "/output"}},
	} {
		text, err := json.MarshalIndent(map[string]any{
			"type":                              "external_account",
			"audience":                          "//iam.googleapis.com/" + googleProvider,
			"subject_token_type":                "urn:ietf:params:oauth:token-type:jwt",
			"token_url":                         s.urls.googleTLS + "/v1/token",
			"service_account_impersonation_url": s.urls.googleTLS + "/v1/projects/-/serviceAccounts/" + googleReports + ":generateAccessToken",
			"credential_source":                 source,
		}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		s.write(t, name, string(text))
	}
}

// account is the environment of a library with one of these files.
func account(name string) map[string]string {
	env := map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "{dir}/" + name, "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES": "1", "GOOGLE_CLOUD_PROJECT": googleProject}
	for name, value := range trust {
		env[name] = value
	}
	return env
}
