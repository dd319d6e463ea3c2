package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/wisp-sidecar/wisp/examples/cluster/kubelet"
)

// images are the programs in containers: wisp as make build builds it; clients, which are the clouds' SDKs as the
// conformance suite uses them; look.
var images = sync.OnceValues(func() (map[string]string, error) {
	built := map[string]string{}
	for name, build := range map[string]struct {
		dir  string
		args []string
	}{
		"wisp":    {"../..", []string{"make", "--silent", "build", "OUT=" + all.dir}},
		"clients": {"../conformance", []string{"go", "build", "-o", filepath.Join(all.dir, "clients"), "./clients/driver"}},
		"look":    {".", []string{"go", "build", "-o", filepath.Join(all.dir, "look"), "./look"}},
	} {
		command := exec.CommandContext(all.ctx, build.args[0], build.args[1:]...)
		command.Dir = build.dir
		command.Env = append(os.Environ(), "CGO_ENABLED=0") // there are no libraries in the containers
		if out, err := command.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
		built[name] = filepath.Join(all.dir, name)
	}
	return built, nil
})

// runValues are those of the release on which Pods are run.
func runValues() values {
	return values{
		"aws": map[string]any{"region": region}, "google": map[string]any{"audience": "//iam.googleapis.com/" + googleProvider},
		"azure": map[string]any{"tenantId": entraTenant}, "linkLocal": true,
	}
}

// annotations of ServiceAccounts, by cloud.
var annotations = map[string]map[string]string{
	"aws":    {"eks.amazonaws.com/role-arn": awsRole},
	"google": {"iam.gke.io/gcp-service-account": googleAccount},
	"entra":  {"azure.workload.identity/client-id": entraClient},
}

// A running Pod, and the clouds that it speaks to.
type running struct {
	*kubelet.Pod
	cluster *cluster
	clouds  *clouds
	proxy   *proxy // nil: the clouds' names have addresses
	object  *corev1.Pod
}

// runPod creates a Pod of testdata/pods whose account is of these clouds, and runs it until the test ends.
func (c *cluster) runPod(t *testing.T, image, file string, of ...string) *running {
	t.Helper()
	if err := kubelet.Able(); err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	programs, err := images()
	must(t, err)
	namespace := "run-" + strings.ReplaceAll(strings.ToLower(strings.TrimSuffix(file, ".yaml")), "_", "-")
	c.namespace(t, namespace, nil)
	merged := map[string]string{}
	for _, cloud := range of {
		for key, value := range annotations[cloud] {
			merged[key] = value
		}
	}
	c.account(t, namespace, "reports", merged)
	// A controller's, of which there are none.
	_, err = c.client.CoreV1().ConfigMaps(namespace).Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-root-ca.crt"}, Data: map[string]string{"ca.crt": "none"},
	}, metav1.CreateOptions{})
	must(t, err)
	text, err := os.ReadFile(filepath.Join("testdata", "pods", file))
	must(t, err)
	var pod corev1.Pod
	must(t, yaml.UnmarshalStrict(text, &pod))
	r := &running{cluster: c}
	var made *corev1.Pod
	c.await(t, "the Pod", func(ctx context.Context) error {
		made, err = c.client.CoreV1().Pods(namespace).Create(ctx, &pod, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
		return err
	})
	made.Status.PodIP, made.Status.HostIP = "127.0.0.7", "192.0.2.10"
	made.Status.PodIPs, made.Status.HostIPs = []corev1.PodIP{{IP: made.Status.PodIP}}, []corev1.HostIP{{IP: made.Status.HostIP}}
	r.object, err = c.client.CoreV1().Pods(namespace).UpdateStatus(t.Context(), made, metav1.UpdateOptions{})
	must(t, err)

	transport, err := c.Transport()
	must(t, err)
	r.clouds = newClouds(t, c.Issuer, transport, namespace)
	serve, hosts := r.clouds.serve, r.clouds.hosts()
	if pod.Labels["behind"] == "a-proxy" {
		serve, hosts = func(t *testing.T, listen func(string) (net.Listener, error)) (err error) {
			r.proxy, err = r.clouds.serveProxy(t, listen)
			return err
		}, nil
	}
	node := &kubelet.Node{
		Client: c.client, Dir: t.TempDir(), Hosts: hosts, CA: r.clouds.ca,
		Images: map[string]kubelet.Image{
			image: {Files: map[string]string{"/wisp": programs["wisp"], "/look": programs["look"]}, Entrypoint: []string{"/wisp"}, UID: 65532, GID: 65532},
			"app": {
				Files: map[string]string{"/clients": programs["clients"], "/look": programs["look"], "/wisp": programs["wisp"]},
				UID:   1000, GID: 1000,
			},
		},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	r.Pod, err = node.Start(ctx, r.object, kubelet.PodOptions{
		Input:  "get\n",
		Listen: func(listen func(string) (net.Listener, error)) error { return serve(t, listen) },
	})
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() && r.Container("wisp") != nil {
			t.Logf("wisp's log:\n%s", r.Container("wisp").Output())
		}
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// client has one of the clouds' SDKs get a credential in a container, and returns whom the cloud takes it for.
func (r *running) client(t *testing.T, container, name string) (who string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := r.Exec(ctx, container, "get\n", "/clients", name)
	if err != nil {
		return "", err
	}
	return answer(out)
}

// answer is what a client has said, after that it is ready.
func answer(out string) (who string, err error) {
	var said struct{ Who, Error string }
	for line := range strings.Lines(out) {
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			return "", fmt.Errorf("not an answer: %s", out)
		}
	}
	if said.Error != "" {
		return "", fmt.Errorf("the client: %s", said.Error)
	}
	return said.Who, nil
}

// The clients of each cloud, and whom it has to take them for.
var clients = map[string]struct{ name, who string }{
	"aws":    {"aws-sdk", "arn:aws:sts::" + awsAccount + ":assumed-role/reports/"},
	"google": {"auth", "serviceAccount:" + googleAccount},
	"entra":  {"azidentity", "client " + entraClient},
}

// gets insists on that the clouds' SDKs get credentials in a container.
func (r *running) gets(t *testing.T, container string, of ...string) {
	t.Helper()
	for _, cloud := range of {
		who, err := r.client(t, container, clients[cloud].name)
		if err != nil || !strings.HasPrefix(who, clients[cloud].who) {
			t.Errorf("%s in container %s = %q, %v; want %s", clients[cloud].name, container, who, err, clients[cloud].who)
		}
	}
}

// sees insists on what a container sees: see command look.
func (r *running) sees(t *testing.T, container string, want map[string]string) {
	t.Helper()
	for at, wanted := range want {
		out, err := r.Exec(t.Context(), container, "", "/look", at)
		if got := strings.TrimSpace(strings.TrimPrefix(out, at+": ")); err != nil || !strings.Contains(got, wanted) {
			t.Errorf("container %s, %s = %q, %v; want %q", container, at, got, err, wanted)
		}
	}
}
