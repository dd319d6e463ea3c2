package agent_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/agent"
)

// put opens a session with the imds outlet, for ten minutes.
func (w *world) put(fields ...string) (status int, token string) {
	w.Helper()
	r, err := http.NewRequest(http.MethodPut, "http://"+w.urls["OUTLETS"]+"/latest/api/token", nil)
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("X-aws-ec2-metadata-token-ttl-seconds", "600")
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	if response.StatusCode == http.StatusOK {
		w.secret(string(body))
	}
	return response.StatusCode, string(body)
}

// An SDK on what it takes for an EC2 instance: a session, the role, its credentials, the region.
func TestIMDS(t *testing.T) {
	w := newWorld(t)
	w.run(w.agent(w.document(awsIdentity+googleIdentity, `
outlets:
- identity: aws
  imds: {listen: "${OUTLETS}", region: eu-west-1}
- identity: google
  gceMetadata: {listen: "${OUTLETS}"}
`), agent.Options{}))
	w.started()
	status, token := w.put()
	if status != http.StatusOK {
		t.Fatalf("PUT = %d %s", status, token)
	}
	session := "X-aws-ec2-metadata-token: " + token
	const roles = "/latest/meta-data/iam/security-credentials/"
	for path, want := range map[string]string{
		roles: "reports",
		"/latest/meta-data/placement/availability-zone/":          "eu-west-1a",
		"//latest/dynamic/instance-identity/document":             `{"accountId":"123456789012","availabilityZone":"eu-west-1a","region":"eu-west-1"}`,
		"/latest/meta-data/iam/":                                  "info\nsecurity-credentials/",
		"/computeMetadata/v1/instance/service-accounts/":          "default/\n" + googleAccount + "/\n",
		"/computeMetadata/v1/instance/service-accounts/default/x": "there is nothing at this path\n",
	} {
		if got := w.get(w.urls["OUTLETS"], path, session, "Metadata-Flavor: Google"); got.body != want {
			t.Errorf("GET %s = %d %q, want %q", path, got.status, got.body, want)
		}
	}
	var info struct{ InstanceProfileArn string }
	if err := json.Unmarshal([]byte(w.get(w.urls["OUTLETS"], "/latest/meta-data/iam/info", session).body), &info); err != nil || info.InstanceProfileArn != "arn:aws:iam::123456789012:instance-profile/reports" {
		t.Errorf("the profile is %q, %v", info.InstanceProfileArn, err)
	}

	got := w.get(w.urls["OUTLETS"], roles+"reports", session)
	var key struct{ Code, AccessKeyID, SecretAccessKey, Token, AccountID string }
	if err := json.Unmarshal([]byte(got.body), &key); err != nil || got.status != http.StatusOK || key.Code != "Success" || key.AccountID != "123456789012" {
		t.Fatalf("credentials: %d %v", got.status, err)
	}
	w.secret(key.SecretAccessKey, key.Token)
	if _, valid := w.aws.Principal(key.AccessKeyID, key.SecretAccessKey, key.Token); !valid {
		t.Error("AWS does not know the key")
	}

	for _, fields := range [][]string{nil, {"X-aws-ec2-metadata-token: x"}} {
		for _, path := range []string{roles, roles + "reports", "/latest/user-data"} {
			if got := w.get(w.urls["OUTLETS"], path, fields...); got.status != http.StatusUnauthorized {
				t.Errorf("GET %s with %q = %d, want 401", path, fields, got.status)
			}
		}
	}
	if status, _ := w.put("X-Forwarded-For: 10.0.0.1"); status != http.StatusForbidden {
		t.Errorf("PUT through a proxy = %d, want 403", status)
	}
}

// Version 1 is there for who asks for it.
func TestIMDSVersion1(t *testing.T) {
	w := newWorld(t)
	w.run(w.agent(w.document(awsIdentity, `
outlets: [{identity: aws, imds: {listen: "${OUTLETS}", allowV1: true}}]
`), agent.Options{}))
	w.started()
	const roles = "/latest/meta-data/iam/security-credentials/"
	if got := w.get(w.urls["OUTLETS"], roles); got.status != http.StatusOK || got.body != "reports" {
		t.Errorf("without a token: %d %q, want 200", got.status, got.body)
	}
	if got := w.get(w.urls["OUTLETS"], roles, "X-aws-ec2-metadata-token: x"); got.status != http.StatusUnauthorized {
		t.Errorf("with a wrong token: %d, want 401", got.status)
	}
	// The STS of this world is named by its endpoint, and the document names no region.
	if got := w.get(w.urls["OUTLETS"], "/latest/meta-data/placement/region"); got.status != http.StatusNotFound {
		t.Errorf("the region: %d %q, want 404", got.status, got.body)
	}
}

// On the node's network everybody could ask, so there everybody has to know a secret.
func TestHostNetworkIsForOutletsWithASecret(t *testing.T) {
	w := newWorld(t)
	for outlet, admitted := range map[string]bool{
		`{identity: aws, imds: {}}`:           false,
		`{identity: aws, awsContainer: {}}`:   false,
		`{identity: google, gceMetadata: {}}`: false,
		`{identity: azure, azureIMDS: {}}`:    false,
		`{identity: azure, appService: {secretFile: "${DIR}/secrets/s", cloudShell: true}}`: false,
		`{identity: aws, awsContainer: {secretFile: "${DIR}/secrets/s"}}`:                   true,
		`{identity: azure, appService: {secretFile: "${DIR}/secrets/s"}}`:                   true,
		`{identity: google, bearer: {secretFile: "${DIR}/secrets/s"}}`:                      true,
		`{identity: itself, subjectToken: {secretFile: "${DIR}/secrets/s"}}`:                true,
		`{identity: google, file: {path: "${DIR}/out/token", format: token}}`:               true,
	} {
		c, err := agent.Parse("config.yaml", w.document(awsIdentity+googleIdentity+entraIdentity+subjectIdentity, "\noutlets: ["+outlet+"]\n"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = agent.New(c, agent.Options{HostNetwork: true})
		e, refused := errors.AsType[*agent.ConfigError](err)
		if admitted && err != nil || !admitted && (!refused || !strings.Contains(e.Error(), "answers without a secret")) {
			t.Errorf("%s: New = %v, want it admitted: %v", outlet, err, admitted)
		}
	}
}

// After a chain the credentials are those of its last role, and the outlets call them that.
func TestOutletsNameTheLastRole(t *testing.T) {
	w := newWorld(t)
	w.run(w.agent(w.document(strings.Replace(awsIdentity, "roleArn:", `chain: [{roleArn: "`+awsArchive+`"}], roleArn:`, 1), `
outlets:
- identity: aws
  awsContainer: {listen: "${OUTLETS}"}
- identity: aws
  imds: {listen: "${OUTLETS}", region: eu-west-1, allowV1: true}
`), agent.Options{}))
	w.started()
	for path, want := range map[string]string{
		"/aws/aws": `"AccountId":"210987654321","RoleArn":"` + awsArchive + `"`,
		"/latest/meta-data/iam/security-credentials/": "archive",
		"/latest/meta-data/iam/info":                  `"InstanceProfileArn":"arn:aws:iam::210987654321:instance-profile/teams/archive"`,
		"/latest/dynamic/instance-identity/document":  `"accountId":"210987654321"`,
	} {
		if got := w.get(w.urls["OUTLETS"], path); !strings.Contains(got.body, want) {
			t.Errorf("GET %s = %d, want %s in it", path, got.status, want)
		}
	}
}

// A copy of the token is as good as the token: an SDK that is told to read it at its web-identity path
// goes to STS itself with it.
func TestWebIdentityTokenFile(t *testing.T) {
	w := newWorld(t)
	w.run(w.agent(w.document(`
- name: token
  source: {file: {path: "${DIR}/tokens/aws"}}
  exchange: {subject: {}}
`, `
outlets: [{identity: token, file: {path: "${DIR}/out/token", format: token}}]
`), agent.Options{}))
	w.started()
	token, err := os.ReadFile(filepath.Join(w.dir, "out", "token")) // AWS_WEB_IDENTITY_TOKEN_FILE
	if err != nil {
		t.Fatal(err)
	}
	// The SDKs but Ruby's send what they read, to the last byte.
	if strings.ContainsFunc(string(token), func(r rune) bool { return r <= ' ' || r > '~' }) {
		t.Error("the file has more than the token in it")
	}
	response, err := http.PostForm(w.urls["AWS"], url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"},
		"RoleArn": {awsRole}, "RoleSessionName": {"app"}, "WebIdentityToken": {string(token)},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), "<SessionToken>") {
		t.Errorf("STS answers %d, %v", response.StatusCode, err)
	}
}

// Files for what knows files only: a profile that runs wisp, and variables.
func TestAWSFiles(t *testing.T) {
	w := newWorld(t)
	config := filepath.Join(w.dir, "config.yaml")
	document := w.document(strings.Replace(awsIdentity, "roleArn:", "region: eu-west-1, roleArn:", 1), `
outlets:
- identity: aws
  file: {path: "${DIR}/out/config", format: awsConfig, profile: reports, mode: 0644, cleanup: never}
- identity: aws
  file: {path: "${DIR}/out/env", format: env, cleanup: never}
`)
	if err := os.WriteFile(config, document, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := agent.Load(config)
	if err != nil {
		t.Fatal(err)
	}
	a, err := agent.New(c, agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.run(a)
	w.started()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want := "[profile reports]\nregion = eu-west-1\ncredential_process = " + executable + " credential-process aws --config " + config + "\n"
	if got, err := os.ReadFile(filepath.Join(w.dir, "out", "config")); err != nil || string(got) != want {
		t.Errorf("the config file is %q, %v, want %q", got, err, want)
	}
	text, err := os.ReadFile(filepath.Join(w.dir, "out", "env"))
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		env[name] = value
	}
	w.secret(env["AWS_SECRET_ACCESS_KEY"], env["AWS_SESSION_TOKEN"])
	if _, valid := w.aws.Principal(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], env["AWS_SESSION_TOKEN"]); !valid {
		t.Error("AWS does not know the key of the env file")
	}
	if env["AWS_REGION"] != "eu-west-1" || env["AWS_DEFAULT_REGION"] != "eu-west-1" || env["AWS_ACCOUNT_ID"] != "123456789012" || env["AWS_CREDENTIAL_EXPIRATION"] == "" || len(env) != 7 {
		t.Errorf("the env file names %d variables, region %q", len(env), env["AWS_REGION"])
	}
}

// A profile whose command some SDK would read in another way is refused before anything runs.
func TestAWSConfigInABadPlace(t *testing.T) {
	w := newWorld(t)
	document := w.document(awsIdentity, `
outlets: [{identity: aws, file: {path: "${DIR}/out/config", format: awsConfig}}]
`)
	for name, good := range map[string]bool{"config.yaml": true, "my config.yaml": false, "it's.yaml": false, "$config.yaml": false} {
		path := filepath.Join(w.dir, name)
		if err := os.WriteFile(path, document, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := agent.Load(path)
		if (err == nil) != good {
			t.Errorf("%s: Load = %v, good should be %t", name, err, good)
		}
		if err != nil {
			if p := configError(t, err).Problems; len(p) != 1 || !strings.Contains(p[0].String(), "outlets[0].file.format: a credential_process cannot have") {
				t.Errorf("%s: Load = %v", name, err)
			}
		}
	}
}
