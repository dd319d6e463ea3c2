package conformance_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A command is a client that people use in a shell. These have env.sh to judge; which client gets on with which
// outlet is the matter of package clients.
type command struct {
	name   string
	script string
	needs  string // a command that fails if the client is not there
	check  func(t *testing.T, stdout string)
	shows  int // how many different outputs it has to show over several lifetimes; 0: it is not run that long
}

var commands = []command{
	{
		name: "aws sts get-caller-identity", script: "aws sts get-caller-identity --output text --query Arn",
		needs: "aws --version", check: equals(awsARN), shows: 1,
	},
	{
		name: "gcloud auth print-access-token", script: "gcloud auth print-access-token",
		needs: "gcloud --version", check: googleKnows, shows: atLeast,
	},
	{
		name: "gcloud auth print-identity-token", script: "gcloud auth print-identity-token --audiences=https://app.example",
		needs: "gcloud --version", check: func(t *testing.T, token string) { googleVouches(t, token, "https://app.example") },
	},
	{
		name: "gcloud's account and project", script: "gcloud config get account; gcloud config get project",
		needs: "gcloud --version", check: equals(googleAccount + "\n" + googleProject),
	},
	{
		name:   "curl of the container credentials",
		script: `curl -sSf -H "Authorization: $(cat "$AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")" "$AWS_CONTAINER_CREDENTIALS_FULL_URI"`,
		needs:  "curl --version", check: func(t *testing.T, out string) {
			fields(t, out, "AccessKeyId", "SecretAccessKey", "Token", "Expiration")
		},
	},
	{
		name:   "curl of GCE metadata",
		script: `curl -sSf -H "Metadata-Flavor: Google" "http://$GCE_METADATA_HOST/computeMetadata/v1/instance/service-accounts/default/token"`,
		needs:  "curl --version", check: func(t *testing.T, out string) { googleKnows(t, fields(t, out, "access_token", "token_type")) },
	},
	{
		name: "curl of App Service",
		script: `curl -sSf -H "X-IDENTITY-HEADER: $IDENTITY_HEADER" --get --data-urlencode resource=` + vault + ` \
			"$IDENTITY_ENDPOINT?api-version=2019-08-01"`,
		needs: "curl --version", check: func(t *testing.T, out string) { entraKnows(t, fields(t, out, "access_token", "expires_on"), vault) },
	},
	{
		name:   "curl of App Service's older form",
		script: `curl -sSf -H "secret: $MSI_SECRET" "$MSI_ENDPOINT?api-version=2017-09-01&resource=` + vault + `"`,
		needs:  "curl --version", check: func(t *testing.T, out string) { entraKnows(t, fields(t, out, "access_token", "expires_on"), vault) },
	},
	{
		name: "curl of Azure's metadata service",
		script: `curl -sSf -H "Metadata: true" \
			"$AZURE_POD_IDENTITY_AUTHORITY_HOST/metadata/identity/oauth2/token?api-version=2018-02-01&resource=` + arm + `&client_id=$AZURE_CLIENT_ID"`,
		needs: "curl --version", check: func(t *testing.T, out string) { entraKnows(t, fields(t, out, "access_token", "expires_on"), arm) },
	},
}

func TestCommands(t *testing.T) {
	for _, c := range commands {
		t.Run(c.name, func(t *testing.T) {
			c.mustBeThere(t)
			c.check(t, c.run(t))
		})
	}
}

// mustBeThere skips the test of a client that this machine does not have, or fails it in CI.
func (c command) mustBeThere(t *testing.T) {
	t.Helper()
	if err := exec.Command("sh", "-c", c.needs+" >/dev/null 2>&1").Run(); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("this machine has no %s, and CI has to have it", c.name)
	}
	t.Skipf("this machine has no %s", c.name)
}

// run runs the command in a shell of the developer, who sources env.sh first.
func (c command) run(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-euc", `. "$1/env.sh"; eval "$2"`, "sh", play.dir, c.script)
	shell.Env = append(os.Environ(), settings(play.env["HOME"])...)
	var stdout, stderr bytes.Buffer
	shell.Stdout, shell.Stderr = &stdout, &stderr
	if err := shell.Run(); err != nil {
		t.Fatalf("%s: %v, stderr %q", c.name, err, &stderr)
	}
	return strings.TrimSpace(stdout.String())
}

func equals(want string) func(*testing.T, string) {
	return func(t *testing.T, got string) {
		t.Helper()
		if got != want {
			t.Errorf("it prints %q, want %q", got, want)
		}
	}
}

// fields checks that a JSON object has members, and returns its access token.
func fields(t *testing.T, text string, names ...string) string {
	t.Helper()
	token := ""
	for _, name := range names {
		value, err := member([]byte(text), name)
		if err != nil {
			t.Error(err)
		}
		if name == "access_token" {
			token = value
		}
	}
	return token
}
