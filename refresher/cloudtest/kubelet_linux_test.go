package cloudtest_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/fsnotify/fsnotify"
	"github.com/google/go-cmp/cmp"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// What inotify tells of a rotation on the mount directory, apart from changed modes.
func TestKubeletEvents(t *testing.T) {
	k, dir := newKubelet(t, cloudtest.KubeletOptions{})
	if err := k.Rotate(); err != nil {
		t.Fatal(err)
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close()
	if err := watcher.Add(dir); err != nil {
		t.Fatal(err)
	}
	if err := k.Rotate(); err != nil {
		t.Fatal(err)
	}
	// Everything has been told when this is.
	if err := os.Mkdir(filepath.Join(dir, "end"), 0o755); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"CREATE ..TIME",
		"CREATE ..data_tmp",
		"RENAME ..data_tmp",
		"CREATE ..data",
		"REMOVE ..TIME",
	}
	var got []string
	for ended := false; !ended; {
		select {
		case event := <-watcher.Events:
			name := filepath.Base(event.Name)
			ended = name == "end"
			if event.Op != fsnotify.Chmod && !ended {
				got = append(got, event.Op.String()+" "+timestamped.ReplaceAllString(name, blankTime))
			}
		case err := <-watcher.Errors:
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
