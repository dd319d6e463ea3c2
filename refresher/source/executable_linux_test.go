package source_test

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

// In a container wisp is the first process, to whom all orphans come.
func TestOrphansAreCollected(t *testing.T) {
	adopt(t, 1)
	t.Cleanup(func() { adopt(t, 0) })
	for _, holds := range []string{"stdout", "nothing"} {
		leash := newLeash(t)
		e := playing(t, source.ExecutableOptions{}, "leave", leash.path, document(t, hourToken(1), refresher.TypeJWT, time.Time{}), holds)
		e.SetPatience(0, 50*time.Millisecond)
		_, _ = e.Token(t.Context())
		if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
			t.Errorf("the orphan that holds %s: wait4 = %d, %v, want no child that is left", holds, pid, err)
		}
	}
}

// adopt makes this process the one that orphans among its descendants come to, or not any more.
func adopt(t *testing.T, on uintptr) {
	const setChildSubreaper = 36 // PR_SET_CHILD_SUBREAPER of prctl(2)
	if _, _, errno := syscall.Syscall(syscall.SYS_PRCTL, setChildSubreaper, on, 0); errno != 0 {
		t.Fatal(errno)
	}
}
