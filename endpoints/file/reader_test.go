package file_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/wisp-sidecar/wisp/endpoints/file"
)

// whole is a content of which a reader can tell that it is not a part of it, or of two.
func whole(n int) string {
	return string(bytes.Repeat([]byte{byte('a' + n%26)}, 2000+n%26))
}

func isWhole(content []byte) bool {
	return len(content) > 0 && string(content) == whole(int(content[0]-'a'))
}

// inMemory is a directory in memory if there is one: flushing ten thousand files to a disk takes long.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "wisp-test-")
	if err != nil {
		return private(t)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestReadersSeeWholeFilesOnly(t *testing.T) {
	path := filepath.Join(inMemory(t), "token")
	identity := make(feed)
	writer, err := file.New(file.Options{Path: path, Encode: encode, Cleanup: file.CleanupNever}, identity)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	var running sync.WaitGroup
	running.Go(func() { _ = writer.Run(ctx) })
	var reads atomic.Int64
	for range 2 {
		running.Go(func() {
			seen := false
			for ctx.Err() == nil {
				content, err := os.ReadFile(path)
				if errors.Is(err, fs.ErrNotExist) && !seen {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				seen = true
				reads.Add(1)
				if !isWhole(content) {
					t.Errorf("a reader saw %d bytes of %.20q", len(content), content)
					return
				}
			}
		})
	}
	enough := int64(10_000)
	if testing.Short() {
		enough = 1000
	}
	for n := 0; int64(n) < enough || reads.Load() < enough && !t.Failed(); n++ {
		identity <- bearer(whole(n))
	}
	cancel()
	running.Wait()
}

// TestMain lets the test program also be the wisp that is killed.
func TestMain(m *testing.M) {
	if path := os.Getenv("WISP_TEST_WRITE"); path != "" {
		writeForever(path)
	}
	os.Exit(m.Run())
}

// writeForever writes one file after the other, and a line to standard output for each.
func writeForever(path string) {
	identity := make(feed)
	writer, err := file.New(file.Options{Path: path, Encode: encode}, identity)
	if err != nil {
		panic(err)
	}
	go func() { _ = writer.Run(context.Background()) }()
	for n := 0; ; n++ {
		identity <- bearer(whole(n))
		_, _ = os.Stdout.WriteString("written\n")
	}
}

func TestKilledWriterLeavesAWholeFile(t *testing.T) {
	dir := private(t)
	path := filepath.Join(dir, "token")
	program, err := os.Executable()
	must(t, err)
	for round := range 8 {
		wisp := exec.Command(program)
		wisp.Env = append(os.Environ(), "WISP_TEST_WRITE="+path)
		output, err := wisp.StdoutPipe()
		must(t, err)
		must(t, wisp.Start())
		lines := bufio.NewScanner(output)
		for range 3 + round {
			lines.Scan()
		}
		must(t, wisp.Process.Kill())
		_ = wisp.Wait()
		content, err := os.ReadFile(path)
		must(t, err)
		if !isWhole(content) {
			t.Errorf("after a kill, the file holds %d bytes of %.20q", len(content), content)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		start(t, file.Options{Path: path})
		synctest.Wait()
		contains(t, dir, "token")
	})
}
