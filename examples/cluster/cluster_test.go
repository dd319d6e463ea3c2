package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/wisp-sidecar/wisp/examples/cluster/control"
)

// The release, and the labels that the chart goes by.
const (
	release          = "wisp"
	releaseNamespace = "wisp-system"
	prefix           = "wisp-sidecar.github.io/"
	injectLabel      = prefix + "inject"
	identityLabel    = prefix + "identity"
	refusal          = "wisp cannot be injected: "
)

// A cluster is an API server on which the chart is installed in one mode.
type cluster struct {
	*control.Server
	mode, dir, helm, kubeconfig string
	client                      *kubernetes.Clientset
	quiet                       *rest.Config // without warnings
	warnings                    *warnings
	webhook                     *webhook // nil until it is installed, and in mode policy
	revision                    int      // of the release: what the image's tag says
}

func newCluster(mode, dir, helm string, server *control.Server) (*cluster, error) {
	c := &cluster{Server: server, mode: mode, dir: dir, helm: helm, kubeconfig: filepath.Join(dir, "kubeconfig"), warnings: &warnings{}}
	c.quiet = rest.CopyConfig(server.Config)
	c.quiet.WarningHandler = rest.NoWarnings{}
	config := rest.CopyConfig(server.Config)
	config.WarningHandler = c.warnings
	var err error
	if c.client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	return c, writeKubeconfig(c.kubeconfig, server.Config, server.Config.BearerToken)
}

// writeKubeconfig writes a file by which to reach the server with a token.
func writeKubeconfig(path string, server *rest.Config, token string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["it"] = &clientcmdapi.Cluster{Server: server.Host, CertificateAuthority: server.CAFile}
	config.AuthInfos["it"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["it"] = &clientcmdapi.Context{Cluster: "it", AuthInfo: "it"}
	config.CurrentContext = "it"
	return clientcmd.WriteToFile(*config, path)
}

// values are those of the chart.
type values map[string]any

// install installs the chart, or upgrades it, with values, and returns when they have taken effect, with the image that
// the sidecar has from then on.
func (c *cluster) install(t *testing.T, v values) (image string) {
	t.Helper()
	image = c.deploy(t, v)
	c.await(t, "the values to take effect", func(ctx context.Context) error { return c.injectsWith(ctx, image) })
	c.await(t, "refusals to take effect", c.refuses)
	c.await(t, "warnings to take effect", c.warns)
	return image
}

// deploy is install that does not wait for the effect.
func (c *cluster) deploy(t *testing.T, v values) (image string) {
	t.Helper()
	c.revision++
	v = maps.Clone(v)
	tag := fmt.Sprintf("r%d", c.revision)
	ours := map[string]any{"repository": "wisp", "tag": tag, "digest": ""}
	if given, ok := v["image"].(map[string]any); ok {
		maps.Copy(given, ours)
		ours = given
	}
	v["image"] = ours
	v["mode"] = c.mode
	if c.mode == webhookMode {
		c.prepareWebhook(t, v)
	}
	c.runHelm(t, "upgrade", "--install", release, "../../charts/wisp", "--values", c.write(t, "values.json", v))
	if c.mode == webhookMode {
		c.startWebhook(t)
	}
	c.namespace(t, "canary", nil)
	return "wisp:" + tag
}

// injectsWith is an error unless Pods get a sidecar of this image.
func (c *cluster) injectsWith(ctx context.Context, image string) error {
	made, err := c.create(ctx, "canary", canary())
	if err == nil && sidecar(made) != image {
		err = fmt.Errorf("the sidecar's image is %q, want %q", sidecar(made), image)
	}
	return err
}

// refuses is an error unless Pods are refused for what is wrong with them: the policy that does that is another object than
// the one that injects, and takes its own time.
func (c *cluster) refuses(ctx context.Context) error {
	misspelled := strings.Replace(string(canary()), prefix+"aws-region", prefix+"aws-regoin", 1)
	if _, err := c.create(ctx, "canary", []byte(misspelled)); !strings.HasPrefix(sentence(err), refusal) {
		return fmt.Errorf("a misspelled annotation is answered with %v", err)
	}
	return nil
}

// warns is an error unless Pods are admitted with warnings, which are a third policy's.
func (c *cluster) warns(ctx context.Context) error {
	c.warnings.take()
	own := strings.Replace(string(canary()), `"image": "app"`, `"image": "app", "env": [{"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "own"}]`, 1)
	if _, err := c.create(ctx, "canary", []byte(own)); err != nil {
		return err
	}
	if len(c.warnings.take()) == 0 {
		return errors.New("a variable of its own is not warned of")
	}
	return nil
}

// uninstall removes the release.
func (c *cluster) uninstall(t *testing.T) {
	t.Helper()
	c.runHelm(t, "uninstall", release)
	if c.webhook != nil {
		c.webhook.stop()
		c.webhook = nil
	}
}

func (c *cluster) runHelm(t *testing.T, args ...string) {
	t.Helper()
	c.namespace(t, releaseNamespace, nil)
	helm := exec.Command(c.helm, append(args, "--namespace", releaseNamespace, "--kubeconfig", c.kubeconfig)...)
	helm.Env = append(os.Environ(), "HELM_CACHE_HOME="+c.dir, "HELM_CONFIG_HOME="+c.dir, "HELM_DATA_HOME="+c.dir)
	if out, err := helm.CombinedOutput(); err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// write writes a file of the cluster in JSON, which is YAML, too.
func (c *cluster) write(t *testing.T, name string, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// namespace makes one, or gives it other labels, with the account default, which a controller would make.
func (c *cluster) namespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	_, err := c.client.CoreV1().Namespaces().Create(t.Context(), object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = c.client.CoreV1().Namespaces().Update(t.Context(), object, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	c.account(t, name, "default", nil)
}

// account makes a ServiceAccount that the policy sees, or gives it other annotations.
func (c *cluster) account(t *testing.T, namespace, name string, annotations map[string]string) {
	t.Helper()
	object := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
		Name: name, Annotations: annotations, Labels: map[string]string{identityLabel: "true"},
	}}
	_, err := c.client.CoreV1().ServiceAccounts(namespace).Create(t.Context(), object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = c.client.CoreV1().ServiceAccounts(namespace).Update(t.Context(), object, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// create asks the server what a Pod would become, JSON for JSON; nothing is made.
func (c *cluster) create(ctx context.Context, namespace string, pod []byte) ([]byte, error) {
	result := c.client.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").
		VersionedParams(&metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}, metav1.ParameterCodec).
		SetHeader("Content-Type", "application/json").Body(pod).Do(ctx)
	if err := result.Error(); err != nil {
		return nil, err // with the server's words, which Raw leaves out
	}
	return result.Raw()
}

// await tries until there is no error: what is new takes a moment to reach the server's caches. Nothing takes as long as
// it waits at most.
func (c *cluster) await(t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	last := try(t.Context())
	if last == nil {
		return
	}
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 2*time.Minute, false, func(ctx context.Context) (bool, error) {
		if now := try(ctx); ctx.Err() == nil {
			last = now
		}
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("waiting for %s: %v", what, last)
	}
}

// canary is a Pod that says itself who it is.
func canary() []byte {
	return []byte(`{"apiVersion": "v1", "kind": "Pod", "metadata": {
		"name": "canary", "labels": {"` + injectLabel + `": "true"}, "annotations": {"` + prefix + `aws-role-arn": "` + awsRole + `", "` + prefix + `aws-region": "` + region + `"}
	}, "spec": {"containers": [{"name": "app", "image": "app"}]}}`)
}

// sidecar is the image of wisp in a Pod; empty if it has none.
func sidecar(pod []byte) string {
	var parsed corev1.Pod
	if json.Unmarshal(pod, &parsed) != nil {
		return ""
	}
	for _, container := range slices.Concat(parsed.Spec.InitContainers, parsed.Spec.Containers) {
		if container.Name == "wisp" {
			return container.Image
		}
	}
	return ""
}

// warnings are those that the server has sent since they were last taken.
type warnings struct {
	mu   sync.Mutex
	text []string
}

// HandleWarningHeader is for client-go.
func (w *warnings) HandleWarningHeader(_ int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, text)
}

// take returns wisp's sentences, sorted, whichever way they have come.
func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var sentences []string
	for _, text := range w.text {
		if strings.HasPrefix(text, "would violate PodSecurity") {
			continue // is not ours
		}
		if _, after, policy := strings.Cut(text, "' with binding '"+release+"-warnings': "); policy {
			sentences = append(sentences, strings.Split(after, "; ")...)
			continue
		}
		sentences = append(sentences, text)
	}
	w.text = nil
	slices.Sort(sentences)
	return slices.Compact(sentences)
}

// sentence is what wisp says in a refusal.
func sentence(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if at := strings.Index(text, "wisp "); at >= 0 {
		return text[at:]
	}
	return text
}

// compact is JSON without what is different each time.
func compact(t *testing.T, pod []byte) []byte {
	t.Helper()
	var parsed map[string]any
	if err := json.Unmarshal(pod, &parsed); err != nil {
		t.Fatal(err)
	}
	delete(parsed, "status")
	metadata := parsed["metadata"].(map[string]any)
	if metadata["generateName"] != nil {
		delete(metadata, "name")
	}
	for _, key := range []string{"uid", "creationTimestamp", "managedFields", "namespace", "resourceVersion", "generation"} {
		delete(metadata, key)
	}
	text, err := json.MarshalIndent(parsed, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return apiVolume.ReplaceAllLiteral(text, []byte("kube-api-access"))
}
