package admin_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"log/slog"

	"github.com/wisp-sidecar/wisp/agent/admin"
)

// stranger is a user that this process is not.
const stranger = 54321

// Other users are let in only if they are listed, or all are. The kernel says who they are: a process of
// another user tries.
func TestPeers(t *testing.T) {
	if socket := os.Getenv("WISP_TEST_SOCKET"); socket != "" {
		answer, err := readAll(socket)
		fmt.Printf("answer %q, %v\n", answer, err)
		return
	}
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("only root can play another user")
		}
		t.Skip("only root can play another user")
	}
	for _, test := range []struct {
		name    string
		options admin.SocketOptions
		chmod   bool
		served  bool
	}{
		{"nobody else", admin.SocketOptions{}, true, false},
		{"another one", admin.SocketOptions{UIDs: []int{stranger + 1}}, false, false},
		{"this one", admin.SocketOptions{UIDs: []int{stranger}}, false, true},
		{"anyone", admin.SocketOptions{Anyone: true}, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := short(t)
			path := filepath.Join(dir, "admin.sock")
			l, err := admin.Listen(t.Context(), path, test.options)
			if err != nil {
				t.Fatal(err)
			}
			go admin.Serve(t.Context(), l, &wisp{}, slog.New(slog.DiscardHandler))
			if test.chmod { // the mode alone would be in the way
				if err := os.Chmod(path, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			self := filepath.Join(dir, "self") // the test's own binary is where a stranger cannot go
			if err := copyFile(os.Args[0], self); err != nil {
				t.Fatal(err)
			}
			child := exec.Command(self, "-test.run=^TestPeers$")
			child.Dir = "/"
			child.Env = []string{"WISP_TEST_SOCKET=" + path}
			child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
			out, err := child.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if served := strings.Contains(string(out), "200 OK"); served != test.served || !strings.Contains(string(out), "<nil>") {
				t.Errorf("a stranger is served: %t, want %t\n%s", served, test.served, out)
			}
		})
	}
}

func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o755)
}
