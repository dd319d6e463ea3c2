package cloudtest_test

import (
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
	want := []string{
		"CREATE ..TIME",
		"CREATE ..data_tmp",
		"RENAME ..data_tmp",
		"CREATE ..data",
		"REMOVE ..TIME",
	}
	var got []string
	for len(got) < len(want) {
		select {
		case event := <-watcher.Events:
			if event.Op != fsnotify.Chmod {
				got = append(got, event.Op.String()+" "+timestamped.ReplaceAllString(filepath.Base(event.Name), blankTime))
			}
		case err := <-watcher.Errors:
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
