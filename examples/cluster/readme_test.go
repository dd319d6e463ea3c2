package cluster_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/examples/cluster/control"
)

// readmeBlock is what the README has for a shell in a cluster.
var readmeBlock = regexp.MustCompile("(?s)<!-- test: cluster -->\n```sh\n(.*?)```")

// The README's commands do what it says: each block ends with one that shows the sidecar.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	must(t, err)
	blocks := readmeBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Fatal("the README has no commands for a cluster")
	}
	c := clusterOf(t, policyMode)
	programs, err := images()
	must(t, err)
	kubectl, err := control.Tool(t.Context(), "apiserver", "kubectl")
	must(t, err)
	path := t.TempDir()
	for name, program := range map[string]string{"helm": c.helm, "kubectl": kubectl, "wisp": programs["wisp"]} {
		must(t, os.Symlink(program, filepath.Join(path, name)))
	}
	c.install(t, tableValues(t))
	c.uninstall(t)
	c.namespace(t, "default", nil)
	for _, block := range blocks {
		last := ""
		for _, command := range commands(block[1]) {
			shell := exec.CommandContext(t.Context(), "sh", "-euc", command)
			shell.Dir = "../.."
			shell.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"), "KUBECONFIG="+c.kubeconfig, "HOME="+path)
			out, err := shell.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", command, err, out)
			}
			last = string(out)
			if strings.HasPrefix(command, "helm install ") {
				// A reader is not as fast as this test.
				c.await(t, "the release to take effect", func(ctx context.Context) error {
					made, err := c.create(ctx, "canary", canary())
					if err == nil && sidecar(made) == "" {
						err = fmt.Errorf("the canary has no sidecar")
					}
					return err
				})
			}
		}
		if !strings.HasPrefix(last, "wisp\n") {
			t.Errorf("the block ends with\n%s\nwhich does not begin with wisp:\n%s", last, block[1])
		}
	}
	c.uninstall(t)
}

// commands are those of a script, one by one.
func commands(script string) []string {
	var all []string
	for line := range strings.Lines(strings.ReplaceAll(script, "\\\n", " ")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}
