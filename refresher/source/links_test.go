package source

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestWatchDirs(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(root, name) }
	for _, dir := range []string{"volume/..2024", "plain", "far/away", "links"} {
		if err := os.MkdirAll(at(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"volume/..data":    "..2024",
		"volume/token":     "..data/token",
		"short":            "far/away",
		"far/away/up":      "../../volume",
		"links/absolute":   at("short"),
		"links/loop":       "pool",
		"links/pool":       "loop",
		"plain/elsewhere":  at("volume/token"),
		"links/to-nowhere": "nowhere",
	} {
		if err := os.Symlink(target, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name string
		path string
		want []string // below root
	}{
		{"a plain directory is watched alone", "plain/token", []string{"plain"}},
		{"a projected volume too: both links are in it", "volume/token", []string{"volume"}},
		{"a path through ..data needs the directory of that link", "volume/..data/token", []string{"volume", "volume/..2024"}},
		{"a link on the way", "short/token", []string{"", "far/away"}},
		{"links that lead to links", "links/absolute/up/token", []string{"", "far/away", "links", "volume"}},
		{"a file that is a link to a token elsewhere", "plain/elsewhere", []string{"plain", "volume"}},
		{"a directory that does not exist yet", "later/x/token", []string{"later/x"}},
		{"a link to nowhere", "links/to-nowhere/token", []string{"links", "links/nowhere"}},
		{"a loop ends", "links/loop/token", []string{"links"}},
		{"dots and slashes", "plain/.//../plain/token", []string{"plain"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := watchDirs(root + "/" + test.path)
			var want []string
			for _, name := range test.want {
				want = append(want, at(name))
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("watchDirs(%q) = %q, want %q", test.path, got, want)
			}
		})
	}
}
