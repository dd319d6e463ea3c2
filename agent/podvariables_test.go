package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/agent"
)

// What the variables of the Pod are for a whole document: it comes first.
func TestPodVariablesWithADocument(t *testing.T) {
	const identity = `
identities:
  - name: aws
    source: {file: {path: /tokens/aws}}
    exchange: {aws: {roleArn: "arn:aws:iam::123456789012:role/reports", region: eu-west-1}}
outlets: [{identity: aws, awsContainer: {secretFile: /run/wisp/secrets/aws}}]
`
	const (
		outlet      = "outlet awsContainer: aws, http://127.0.0.1:9911/aws/aws, secret in /run/wisp/secrets/aws"
		anyone      = "admin socket: /run/wisp/admin.sock, for anyone who can reach it\n"
		sharedStart = outlet + " (mode 0444)\n"
	)
	for _, test := range []struct {
		name      string
		document  string // besides the identity
		variables map[string]string
		want      string // the summary without the identity, or the problems
	}{
		{"nothing is set", "", nil, outlet + "\nprobes and metrics: http://127.0.0.1:9910\n"},
		{"all that injection sets", "", pod, sharedStart + "probes and metrics: http://10.0.0.7:9910, lenient readiness\n" + anyone + "log level: debug\ndrain: at least 5s\n"},
		{"the document says it all", `
health: {listen: "127.0.0.1:8080"}
log: {level: warn}
drain: {min: 0s}
shared: ""
`, pod, outlet + "\nprobes and metrics: http://127.0.0.1:8080\nlog level: warn\n"},
		{"strict readiness", "health: {readiness: strict}\n", with(pod, map[string]string{"WISP_SHARED": "", "WISP_LOG_LEVEL": "", "WISP_DRAIN_MIN": ""}),
			outlet + "\nprobes and metrics: http://10.0.0.7:9910\n"},
		{"no address of the Pod", "", map[string]string{"WISP_HEALTH_PORT": "8000"}, outlet + "\nprobes and metrics: http://0.0.0.0:8000, lenient readiness\n"},
		{"a document with shared", "shared: /run/wisp\n", nil, sharedStart + "probes and metrics: http://127.0.0.1:9910\n" + anyone},
		{"shared, and another socket", "admin: {socket: /run/other.sock}\n", map[string]string{"WISP_SHARED": "/run/wisp"},
			sharedStart + "probes and metrics: http://127.0.0.1:9910\nadmin socket: /run/other.sock\n"},
		{"shared, and no socket", "admin: {socket: off}\n", map[string]string{"WISP_SHARED": "/run/wisp"}, sharedStart + "probes and metrics: http://127.0.0.1:9910\n"},
		{"shared, and some users", "admin: {uids: [1000]}\n", map[string]string{"WISP_SHARED": "/run/wisp"},
			sharedStart + "probes and metrics: http://127.0.0.1:9910\nadmin socket: /run/wisp/admin.sock\n"},
		{"shared, and not for anyone", "admin: {anyone: false}\n", map[string]string{"WISP_SHARED": "/run/wisp"},
			sharedStart + "probes and metrics: http://127.0.0.1:9910\nadmin socket: /run/wisp/admin.sock\n"},
		{"a neighbour of shared", "shared: /run/wis\n", nil, outlet + "\nprobes and metrics: http://127.0.0.1:9910\nadmin socket: /run/wis/admin.sock, for anyone who can reach it\n"},
		{"a longer drain", "drain: {max: 1m}\n", map[string]string{"WISP_DRAIN_MIN": "30s"}, outlet + "\nprobes and metrics: http://127.0.0.1:9910\ndrain: at least 30s\n"},
		{"a drain that is too long", "", map[string]string{"WISP_DRAIN_MIN": "30s"}, "FILE: WISP_DRAIN_MIN: is more than drain.max, 5s"},
		{"bad values", "", map[string]string{"WISP_HEALTH_PORT": "-1", "WISP_SHARED": "wisp", "WISP_LOG_LEVEL": "all", "WISP_DRAIN_MIN": "soon"},
			`FILE: WISP_DRAIN_MIN: must be a duration such as "5s", not "soon"
FILE: WISP_HEALTH_PORT: must be a port from 1 to 65535, not "-1"
FILE: WISP_LOG_LEVEL: must be one of debug, info, warn, error, not "all"
FILE: WISP_SHARED: must be the absolute path of a directory, and not the root`},
		{"a bad address of the Pod", "", map[string]string{"WISP_HEALTH_PORT": "9910", "WISP_POD_IP": "10.0.0"}, `FILE: WISP_POD_IP: must be an IP address, not "10.0.0"`},
		{"values that the document makes idle", "log: {level: info}\n", map[string]string{"WISP_LOG_LEVEL": "all", "WISP_OUTLETS": "all", "WISP_PORT": "all", "WISP_LINK_LOCAL": "all"},
			outlet + "\nprobes and metrics: http://127.0.0.1:9910\nlog level: info\n"},
		{"a bad path in the document", "shared: /\n", nil, "FILE: line 6: shared: must be the absolute path of a directory, and not the root"},
		{"another name of the root", "", map[string]string{"WISP_SHARED": "/run/.."}, "FILE: WISP_SHARED: must be the absolute path of a directory, and not the root"},
		{"the port of the outlets for the probes of all addresses", "", map[string]string{"WISP_HEALTH_PORT": "9911"},
			"FILE: line 5: outlets[0].awsContainer.listen: 127.0.0.1:9911 is where probes are answered; they need a listener of their own"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "wisp.yaml")
			text := []byte(identity[1:] + test.document)
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
			var got string
			c, err := agent.LoadIn(environment(test.variables, nil), path)
			if err != nil {
				got = strings.ReplaceAll(configError(t, err).Error(), path, "FILE")
			} else {
				var b strings.Builder
				c.Summary(&b)
				_, got, _ = strings.Cut(b.String(), "\n")
				alone, err := agent.Parse("wisp.yaml", text)
				if err != nil || c.Digest() != alone.Digest() {
					t.Errorf("the digest is another one than the document's: %v", err)
				}
			}
			if got != test.want {
				t.Errorf("Load:\n%s\nwant\n%s", got, test.want)
			}
		})
	}
}
