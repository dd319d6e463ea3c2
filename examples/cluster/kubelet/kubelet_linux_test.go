package kubelet_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/wisp-sidecar/wisp/examples/cluster/kubelet"
)

func TestMain(m *testing.M) {
	kubelet.Main()
	os.Exit(m.Run())
}

// start runs a Pod whose image app is command look.
func start(t *testing.T, spec string) (*kubelet.Pod, error) {
	t.Helper()
	if err := kubelet.Able(); err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	look := filepath.Join(dir, "look")
	build := exec.Command("go", "build", "-o", look, "../look")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pod := &corev1.Pod{}
	pod.Name, pod.UID = "pod", "1234"
	pod.Status.PodIP = "127.0.0.7"
	if err := yaml.UnmarshalStrict([]byte(spec), &pod.Spec); err != nil {
		t.Fatal(err)
	}
	node := &kubelet.Node{Dir: filepath.Join(dir, "node"), Images: map[string]kubelet.Image{
		"app": {Files: map[string]string{"/look": look}, Entrypoint: []string{"/look"}, UID: 1000, GID: 1000},
	}}
	p, err := node.Start(t.Context(), pod, kubelet.PodOptions{})
	if err == nil {
		t.Cleanup(func() {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	return p, err
}

// What a container's process is allowed and sees is what its Pod says.
func TestContainers(t *testing.T) {
	p, err := start(t, `
securityContext: {fsGroup: 3000, sysctls: [{name: net.ipv4.ip_unprivileged_port_start, value: "80"}]}
volumes: [{name: shared, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]
containers:
  - name: bare
    image: app
    env: [{name: WHO, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}]
  - name: strict
    image: app
    securityContext:
      {runAsUser: 65532, runAsGroup: 65532, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: shared, mountPath: /shared, readOnly: true}]
  - name: network
    image: app
    securityContext: {runAsUser: 0, capabilities: {drop: [ALL], add: [NET_ADMIN]}}
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct{ container, at, text string }{
		{"bare", "$WHO", "1234"},
		{"bare", "/shared", "no such file"},
		{"bare", "</proc/sys/net/ipv4/ip_unprivileged_port_start", ": 80\n"},
		{"bare", "</proc/self/status", "\nUid:\t1000\t1000\t1000\t1000\n"},
		{"bare", "</proc/self/status", "\nNoNewPrivs:\t0\n"},
		{"bare", "</proc/self/status", "\nPid:\t1\n"},
		{"strict", "/shared", "an empty directory"},
		{"strict", "</proc/self/status", "\nUid:\t65532\t65532\t65532\t65532\n"},
		{"strict", "</proc/self/status", "\nGroups:\t3000 \n"},
		{"strict", "</proc/self/status", "\nNoNewPrivs:\t1\n"},
		{"strict", "</proc/self/status", "\nCapBnd:\t0000000000000000\n"},
		{"strict", "</proc/self/mountinfo", " / ro,"},
		{"strict", "</proc/self/mountinfo", " /shared ro,"},
		{"network", "</proc/self/status", "\nCapEff:\t0000000000001000\n"},
		{"network", "</proc/self/mountinfo", " / rw,"},
	} {
		out, err := p.Exec(t.Context(), want.container, "", "/look", want.at)
		if err != nil || !strings.Contains(out, want.text) {
			t.Errorf("container %s, %s: %v, want %q in\n%s", want.container, want.at, err, want.text, out)
		}
	}
	// More than a pipe takes, for one who reads nothing.
	if out, err := p.Exec(t.Context(), "bare", strings.Repeat("x", 1<<20), "/look", "$WHO"); err != nil || !strings.Contains(out, "1234") {
		t.Errorf("a program that ends without reading its input: %v\n%s", err, out)
	}
}

// Init containers end before the next container begins, and one that fails is the end of the Pod.
func TestStartFails(t *testing.T) {
	for name, pod := range map[string]struct{ spec, wanted string }{
		"an init container fails": {`
initContainers: [{name: first, image: app, command: [/none]}]
containers: [{name: app, image: app}]`, "init container first: exit status 127"},
		"root, where root is not wanted": {`
securityContext: {runAsNonRoot: true, runAsUser: 0}
containers: [{name: app, image: app}]`, "container app: runAsNonRoot"},
		"a sidecar ends before it is ready": {`
initContainers: [{name: wisp, image: app, restartPolicy: Always, startupProbe: {httpGet: {port: 9910}}}]
containers: [{name: app, image: app}]`, "ended before its startup probe succeeded"},
		"a volume of an unknown kind": {`
volumes: [{name: node, hostPath: {path: /}}]
containers: [{name: app, image: app}]`, "volume node is of a kind"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := start(t, pod.spec); err == nil || !strings.Contains(err.Error(), pod.wanted) {
				t.Errorf("Start = %v, want %s", err, pod.wanted)
			}
		})
	}
}
