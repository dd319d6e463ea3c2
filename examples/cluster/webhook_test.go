package cluster_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wisp-sidecar/wisp/endpoints/endpointstest/reserve"
	"github.com/wisp-sidecar/wisp/examples/cluster/control"
)

// A webhook is wisp-webhook as a process. It has what its Deployment would give it: the policy of the ConfigMap, the
// certificate of the Secret, a token of its ServiceAccount.
type webhook struct {
	listen, health string // addresses
	process        *exec.Cmd
	ended          <-chan struct{} // closed
}

// buildWebhook builds the program.
var buildWebhook = sync.OnceValues(func() (string, error) {
	program := filepath.Join(all.dir, "injector")
	build := exec.CommandContext(all.ctx, "go", "build", "-o", program, "./cmd/wisp-webhook")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build wisp-webhook: %w\n%s", err, out)
	}
	return program, nil
})

// prepareWebhook puts into the values where the webhook is going to be.
func (c *cluster) prepareWebhook(t *testing.T, v values) {
	t.Helper()
	if c.webhook == nil {
		c.webhook = &webhook{listen: freeAddress(t), health: freeAddress(t)}
	}
	// A machine may be slow: how long the API server waits is not what these tests are about.
	own := map[string]any{"url": "https://" + c.webhook.listen + "/inject", "timeoutSeconds": 30}
	if given, ok := v["webhook"].(map[string]any); ok {
		maps.Copy(own, given)
	}
	v["webhook"] = own
}

// startWebhook starts it with what the chart has installed, in place of the one that runs.
func (c *cluster) startWebhook(t *testing.T) {
	t.Helper()
	program, err := buildWebhook()
	if err != nil {
		t.Fatal(err)
	}
	w := c.webhook
	w.stop()
	name := release + "-webhook"
	deployment, err := c.client.AppsV1().Deployments(releaseNamespace).Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	pod := deployment.Spec.Template.Spec
	var config *corev1.ConfigMap
	var secret *corev1.Secret
	for _, volume := range pod.Volumes {
		switch volume.Name {
		case "policy":
			config, err = c.client.CoreV1().ConfigMaps(releaseNamespace).Get(t.Context(), volume.ConfigMap.Name, metav1.GetOptions{})
		case "tls":
			secret, err = c.client.CoreV1().Secrets(releaseNamespace).Get(t.Context(), volume.Secret.SecretName, metav1.GetOptions{})
		}
		must(t, err)
	}
	token, err := c.client.CoreV1().ServiceAccounts(releaseNamespace).CreateToken(t.Context(), pod.ServiceAccountName,
		&authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(t, err)
	dir := filepath.Join(c.dir, "webhook")
	must(t, os.MkdirAll(dir, 0o700))
	for file, text := range map[string][]byte{
		"policy.json": []byte(config.Data["policy.json"]), "tls.crt": secret.Data["tls.crt"], "tls.key": secret.Data["tls.key"],
	} {
		must(t, os.WriteFile(filepath.Join(dir, file), text, 0o600))
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	must(t, writeKubeconfig(kubeconfig, c.Config, token.Status.Token))

	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer log.Close()
	process := exec.Command(program, "run", "--policy", filepath.Join(dir, "policy.json"), "--tls-dir", dir,
		"--listen", w.listen, "--health", w.health, "--kubeconfig", kubeconfig, "--drain", "0s")
	process.Stdout, process.Stderr = log, log
	w.ended, err = control.Spawn(process, func(error) {})
	must(t, err)
	w.process = process
	c.await(t, "the webhook", func(ctx context.Context) error {
		answer, err := http.Get("http://" + w.health + "/readyz")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("/readyz: %s", answer.Status)
		}
		return nil
	})
}

// stop ends the process if there is one.
func (w *webhook) stop() {
	if w.process == nil {
		return
	}
	_ = w.process.Process.Signal(syscall.SIGTERM)
	<-w.ended
	w.process = nil
}

// freeAddress is an address of loopback that is kept for who listens there, until the tests end.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, release, err := reserve.Address()
	must(t, err)
	context.AfterFunc(all.ctx, release)
	return address
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
