package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	shell := c.shell(t)
	c.install(t, tableValues(t))
	c.uninstall(t)
	c.namespace(t, "default", nil)
	for _, block := range blocks {
		last := ""
		for _, command := range commands(block[1]) {
			last = shell(command)
			// A reader is not as fast as this test.
			switch {
			case strings.HasPrefix(command, "kubectl label serviceaccount reports "):
				c.await(t, "the account to be seen", func(ctx context.Context) error {
					_, err := c.create(ctx, "default", plainPod("reports"))
					return err
				})
			case strings.HasPrefix(command, "helm install "):
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

// chartBlock is what the chart's README has for a shell.
var chartBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// The commands of the chart's README: an installation in each mode, and what an application needs.
func TestChartREADME(t *testing.T) {
	text, err := os.ReadFile("../../charts/wisp/README.md")
	must(t, err)
	blocks := chartBlock.FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 3 {
		t.Fatalf("the README has %d blocks of commands, want 3", len(blocks))
	}
	c := clusterOf(t, policyMode)
	shell := c.shell(t)
	c.install(t, tableValues(t))
	c.uninstall(t)
	c.namespace(t, "shop", nil)
	_, err = c.client.CoreV1().ServiceAccounts("shop").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "reports"}}, metav1.CreateOptions{})
	must(t, err)
	shell("kubectl create deployment reports -n shop --image app")
	shell(`kubectl patch deployment reports -n shop -p '{"spec":{"template":{"spec":{"serviceAccountName":"reports"}}}}'`)

	shell(blocks[1][1]) // by webhook, of which nobody runs the Pods
	shell("helm uninstall wisp -n wisp-system")
	shell(blocks[0][1])
	shell(blocks[2][1])
	deployment, err := c.client.AppsV1().Deployments("shop").Get(t.Context(), "reports", metav1.GetOptions{})
	must(t, err)
	pod := corev1.Pod{ObjectMeta: deployment.Spec.Template.ObjectMeta, Spec: deployment.Spec.Template.Spec}
	pod.Name = "reports"
	asJSON, err := json.Marshal(pod)
	must(t, err)
	c.await(t, "the Deployment's Pod", func(ctx context.Context) error {
		made, err := c.create(ctx, "shop", asJSON)
		if err == nil && variable(t, made, "WISP_OUTLETS") != "awsContainer,gceMetadata,appService" {
			err = fmt.Errorf("wisp is not for three clouds:\n%s", made)
		}
		return err
	})
	shell("helm uninstall wisp -n wisp-system")
}

// shell returns what runs commands as a reader would, at the top of the repository, and returns what they print.
func (c *cluster) shell(t *testing.T) func(commands string) string {
	t.Helper()
	programs, err := images()
	must(t, err)
	kubectl, err := control.Tool(t.Context(), "apiserver", "kubectl")
	must(t, err)
	path := t.TempDir()
	for name, program := range map[string]string{"helm": c.helm, "kubectl": kubectl} {
		must(t, os.Symlink(program, filepath.Join(path, name)))
	}
	return func(commands string) string {
		t.Helper()
		commands = strings.ReplaceAll(commands, "dist/wisp", programs["wisp"]) // which make build makes
		shell := exec.CommandContext(t.Context(), "sh", "-euc", commands)
		shell.Dir = "../.."
		shell.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"), "KUBECONFIG="+c.kubeconfig, "HOME="+path)
		out, err := shell.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", commands, err, out)
		}
		return string(out)
	}
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
