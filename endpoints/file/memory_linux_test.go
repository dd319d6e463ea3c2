package file_test

import (
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/wisp-sidecar/wisp/endpoints/file"
)

func TestCleanupByDefaultEmptiesMemoryOnly(t *testing.T) {
	const tmpfs = 0x01021994
	for name, dir := range map[string]string{"/dev/shm": inMemory(t), "the temporary directory": private(t)} {
		t.Run(name, func(t *testing.T) {
			var stat syscall.Statfs_t
			must(t, syscall.Statfs(dir, &stat))
			path := filepath.Join(dir, "token")
			synctest.Test(t, func(t *testing.T) {
				w := start(t, file.Options{Path: path})
				w.give(bearer("token"))
				w.stop()
				if stat.Type == tmpfs {
					contains(t, dir)
				} else {
					holds(t, path, "token")
				}
			})
		})
	}
}
