package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPermissionHintNamesTheCombination(t *testing.T) {
	wisp := owner{65532, 65532}
	for _, test := range []struct {
		name   string
		mode   fs.FileMode
		file   owner
		groups []int
		want   []string
	}{
		{
			"all containers but wisp's share a user", 0o600, owner{1000, 0}, nil,
			[]string{"mode 0600, uid 1000, gid 0", "runAsUser 65532", "groups [65532]", "set runAsUser: 1000 on wisp's container"},
		},
		{
			"an fsGroup that wisp is not in", 0o640, owner{0, 2000}, []int{3000},
			[]string{"mode 0640, uid 0, gid 2000", "groups [3000 65532]", "set fsGroup: 2000"},
		},
		{
			"root's own", 0o600, owner{0, 0}, []int{65532},
			[]string{"mode 0600, uid 0, gid 0", "groups [65532]", "set an fsGroup for the Pod"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := explainPermission(test.mode, test.file, wisp, test.groups)
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("hint %q lacks %q", got, want)
				}
			}
		})
	}
}

// The kubelet swaps the link ..data while somebody is on the way through it, and removes the directory that it led to.
func TestFileIsOpenedWhileItsLinkIsSwapped(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "token")
	swap := func(from, to string) error {
		return errors.Join(
			os.Mkdir(filepath.Join(dir, to), 0o700), os.WriteFile(filepath.Join(dir, to, "token"), []byte(to), 0o600),
			os.Symlink(to, filepath.Join(dir, "next")), os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "..data")),
			os.RemoveAll(filepath.Join(dir, from)))
	}
	if err := errors.Join(os.Symlink("..data/token", path), swap("nothing", "..0")); err != nil {
		t.Fatal(err)
	}
	for _, swaps := range []int{0, 1, 2, 5} {
		n := 0
		f, err := openSwapped(path, func(path string) (*os.File, error) {
			if n == swaps {
				return openFile(path)
			}
			link, err := os.Readlink(filepath.Join(dir, "..data")) // where open is on the way to
			n++
			if err := errors.Join(err, swap(link, fmt.Sprintf("..%d_%d", swaps, n))); err != nil {
				t.Fatal(err)
			}
			return os.Open(filepath.Join(dir, link, "token"))
		})
		if err != nil {
			t.Errorf("%d swaps: %v", swaps, err)
			continue
		}
		f.Close()
	}

	// What is missing is said to be, whatever the links on the way to it are.
	for name, target := range map[string]string{"nothing": "", "dangling": "nowhere", "through": "..data/nothing"} {
		path := filepath.Join(dir, name)
		if target != "" {
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := openSwapped(path, openFile); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want that there is no file", name, err)
		}
	}
}
