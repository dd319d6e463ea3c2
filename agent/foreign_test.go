package agent_test

import (
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/agent"
)

// wisp often has the environment of the application that it serves. It must not ask itself.
func TestVariablesThatLeadToOwnOutletsAreUnset(t *testing.T) {
	const document = `
health: {listen: off}
identities:
- name: aws
  source: {file: {path: /token}}
  exchange: {aws: {roleArn: "arn:aws:iam::123456789012:role/reports", region: eu-west-1}}
- name: google
  source: {awsCallerIdentity: {credentials: container, region: eu-west-1}}
  exchange: {google: {audience: //iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/amazon}}
outlets:
- identity: aws
  awsContainer: {listen: "127.0.0.1:9911"}
- identity: aws
  awsContainer: {listen: "169.254.170.2:80"}
`
	for _, test := range []struct {
		uri string
		own bool
	}{
		{"http://127.0.0.1:9911/aws/aws", true},
		{"http://localhost:9911/aws/aws", true},
		{"http://127.0.0.1:9912/v1/credentials", false},
		{"http://169.254.170.2/aws/aws", true},
		{"http://169.254.170.2:80/aws/aws", true},
		{"http://169.254.170.2:8080/aws/aws", false},
		{"http://169.254.170.23/v1/credentials", false},
	} {
		t.Run(test.uri, func(t *testing.T) {
			c, err := agent.Parse("config.yaml", []byte(document))
			if err != nil {
				t.Fatal(err)
			}
			_, err = agent.New(c, agent.Options{Getenv: func(name string) string {
				return map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": test.uri}[name]
			}})
			switch {
			case !test.own && err != nil:
				t.Errorf("New: %v, want nothing", err)
			case test.own && (err == nil || !strings.Contains(configError(t, err).Error(), "AWS_CONTAINER_CREDENTIALS_FULL_URI is set")):
				t.Errorf("New: %v, want that no container endpoint is set", err)
			}
		})
	}
}

// Whoever asks for one identity also needs those that it is built on, and no other.
func TestOnlyKeepsTheChain(t *testing.T) {
	for name, want := range map[string][]string{
		"entra-by-google": {"url", "entra-by-google", "google-by-aws"},
		"vm-google":       {"vm-google"},
		"nobody":          nil,
	} {
		c, err := agent.Parse("every_source.yaml", documents(t, "good/every_source.yaml")["testdata/config/good/every_source.yaml"])
		if err != nil {
			t.Fatal(err)
		}
		c = c.Only(name)
		var b strings.Builder
		c.Summary(&b)
		for line := range strings.Lines(b.String()) {
			kept, _, _ := strings.Cut(strings.TrimPrefix(line, "identity "), ":")
			if strings.HasPrefix(line, "identity ") && (len(want) == 0 || kept != want[0]) {
				t.Errorf("Only(%s) keeps %s, want %v", name, kept, want)
			} else if strings.HasPrefix(line, "identity ") {
				want = want[1:]
			}
		}
		if len(want) > 0 {
			t.Errorf("Only(%s) drops %v", name, want)
		}
	}
}
