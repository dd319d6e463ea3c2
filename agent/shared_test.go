package agent_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/agent/admin"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// What applications that run as other users find in a volume which they mount besides wisp: secrets
// to read and a socket to ask, and nothing to change but by what the volume itself, an emptyDir, permits.
func TestSharedDirectory(t *testing.T) {
	if shared := os.Getenv("WISP_TEST_SHARED"); shared != "" {
		useShared(t, shared)
		return
	}
	dir, err := os.MkdirTemp("", "wisp") // names of sockets have to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	shared := filepath.Join(dir, "run")
	if err := errors.Join(os.Mkdir(shared, 0o700), os.Chmod(shared, 0o777), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	_, outlets, _ := net.SplitHostPort(freeAddress(t))
	_, probes, _ := net.SplitHostPort(freeAddress(t))
	c, _, err := agent.Detect(environment(with(irsa, aks, pod, map[string]string{
		"WISP_SHARED": shared, "WISP_OUTLETS": "awsContainer,appService", "WISP_PORT": outlets, "WISP_HEALTH_PORT": probes, "WISP_POD_IP": "127.0.0.1",
	}), nil))
	if err != nil {
		t.Fatal(err)
	}
	c.Through(cloudtest.NewNetwork()) // there is no cloud, and nobody needs one here
	a, err := agent.New(c, agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t}
	w.run(a)
	eventually(t, "the socket", func() bool {
		_, err := admin.NewClient(filepath.Join(shared, "admin.sock")).Status(t.Context())
		return err == nil
	})
	for path, want := range map[string]fs.FileMode{
		"secrets":       fs.ModeDir | 0o755,
		"secrets/aws":   0o444,
		"secrets/azure": 0o444,
		"admin.sock":    fs.ModeSocket | 0o666,
	} {
		info, err := os.Stat(filepath.Join(shared, path))
		if err != nil || info.Mode() != want {
			t.Errorf("%s has the mode %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	if got := w.get("127.0.0.1:"+probes, "/readyz").status; got != 503 {
		t.Errorf("readiness before there was any credential is %d, want 503", got)
	}

	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("only root can play another user")
		}
		t.Skip("only root can play another user")
	}
	self := filepath.Join(dir, "self") // the test's own binary is where others cannot go
	text, err := os.ReadFile(os.Args[0])
	if err := errors.Join(err, os.WriteFile(self, text, 0o755)); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.v", "-test.run=^"+t.Name()+"$")
	child.Dir, child.Env = "/", []string{"WISP_TEST_SHARED=" + shared}
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("another user: %v\n%s", err, out)
	}
}

// useShared is what an application of another user does.
func useShared(t *testing.T, shared string) {
	for _, name := range []string{"aws", "azure"} {
		path := filepath.Join(shared, "secrets", name)
		if secret, err := os.ReadFile(path); len(secret) != 43 || err != nil {
			t.Errorf("the secret for %s has %d characters, %v", name, len(secret), err)
		}
		if err := os.WriteFile(path, nil, 0o600); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("the secret for %s can be written: %v", name, err)
		}
		if err := os.Remove(path); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("the secret for %s can be removed: %v", name, err)
		}
	}
	status, err := admin.NewClient(filepath.Join(shared, "admin.sock")).Status(t.Context())
	if err != nil || fmt.Sprint(status.Identities[0].Name, status.Identities[1].Name) != "awsazure" {
		t.Errorf("the status is %+v, %v", status, err)
	}
}
