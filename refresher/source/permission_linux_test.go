package source_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

func TestUnreadableFileNamesThePermissions(t *testing.T) {
	dir, err := os.MkdirTemp("", "source-permission-") // not t.TempDir: others may not enter that
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "token")
	write(t, path, hourToken(1))
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	file := newFile(t, source.FileOptions{Path: path})
	if os.Geteuid() == 0 {
		// Root may read everything, so this thread looks at files as somebody else for a while.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer syscall.Setfsuid(0)
	}
	e := mustFail(t, file)
	if e.Code != refresher.CodeSubjectMissing || !strings.Contains(e.Hint, fmt.Sprintf("mode 0000, uid %d", os.Geteuid())) {
		t.Errorf("Token: code %q, hint %q", e.Code, e.Hint)
	}
}
