package cloudtest_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// counting is a Mint whose tokens tell how many came before.
func counting() func(cloudtest.ProjectedToken) string {
	n := 0
	return func(p cloudtest.ProjectedToken) string {
		n++
		return fmt.Sprintf("%s %d", p.Audience, n)
	}
}

func newKubelet(t *testing.T, o cloudtest.KubeletOptions) (*cloudtest.Kubelet, string) {
	t.Helper()
	o.Dir = filepath.Join(t.TempDir(), "volume")
	if o.Mint == nil {
		o.Mint = counting()
	}
	if o.Tokens == nil {
		o.Tokens = []cloudtest.ProjectedToken{
			{Path: "token", Audience: "aws"},
			{Path: "google/token", Audience: "google"},
			{Path: "google/copy", Audience: "copy"},
		}
	}
	k, err := cloudtest.NewKubelet(o)
	if err != nil {
		t.Fatal(err)
	}
	return k, o.Dir
}

var (
	timestamped = regexp.MustCompile(`\.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\.\d+`)
	blankTime   = "..TIME"
)

// layout lists what is in a directory: mode, name, and where a link leads or what a file holds.
func layout(t *testing.T, dir string) []string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		line := fmt.Sprintf("%v %s", info.Mode(), name)
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line = "link " + name + " -> " + to // the mode of a link differs between systems
		case info.Mode().IsRegular():
			line += ": " + read(t, path)
		}
		lines = append(lines, timestamped.ReplaceAllString(line, blankTime))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKubeletLaysOutAVolume(t *testing.T) {
	k, dir := newKubelet(t, cloudtest.KubeletOptions{})
	for round, want := range [][]string{
		{
			"-rw-r--r-- ..TIME/google/copy: copy 3",
			"-rw-r--r-- ..TIME/google/token: google 2",
			"-rw-r--r-- ..TIME/token: aws 1",
			"drwxr-xr-x ..TIME",
			"drwxr-xr-x ..TIME/google",
			"dtrwxrwxrwx .",
			"link ..data -> ..TIME",
			"link google -> ..data/google",
			"link token -> ..data/token",
		},
		{
			"-rw-r--r-- ..TIME/google/copy: copy 6",
			"-rw-r--r-- ..TIME/google/token: google 5",
			"-rw-r--r-- ..TIME/token: aws 4",
			"drwxr-xr-x ..TIME",
			"drwxr-xr-x ..TIME/google",
			"dtrwxrwxrwx .",
			"link ..data -> ..TIME",
			"link google -> ..data/google",
			"link token -> ..data/token",
		},
	} {
		if err := k.Rotate(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, layout(t, dir)); diff != "" {
			t.Errorf("layout after rotation %d (-want +got):\n%s", round, diff)
		}
	}
	if got, want := read(t, filepath.Join(dir, "google", "token")), "google 5"; got != want {
		t.Errorf("google/token = %q, want %q", got, want)
	}
}

func TestKubeletModes(t *testing.T) {
	k, dir := newKubelet(t, cloudtest.KubeletOptions{
		Tokens: []cloudtest.ProjectedToken{{Path: "token", Audience: "a"}},
		Mode:   0o640, DirMode: 0o755 | fs.ModeSetgid, RootMode: 0o777 | fs.ModeSticky | fs.ModeSetgid,
		Owner: &cloudtest.Owner{UID: os.Getuid(), GID: os.Getgid()},
	})
	if err := k.Rotate(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"-rw-r----- ..TIME/token: a 1",
		"dgrwxr-xr-x ..TIME",
		"dgtrwxrwxrwx .",
		"link ..data -> ..TIME",
		"link token -> ..data/token",
	}
	if diff := cmp.Diff(want, layout(t, dir)); diff != "" {
		t.Errorf("layout (-want +got):\n%s", diff)
	}
}

func TestKubeletNamesTheDataDirectoryByTheTime(t *testing.T) {
	k, dir := newKubelet(t, cloudtest.KubeletOptions{Now: func() time.Time { return start }})
	if err := k.Rotate(); err != nil {
		t.Fatal(err)
	}
	data, err := os.Readlink(filepath.Join(dir, "..data"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "..2026_01_02_03_04_05."; !strings.HasPrefix(data, want) {
		t.Errorf("..data leads to %q, want %s…", data, want)
	}
}

func TestKubeletWritesNothingWhenNothingChanged(t *testing.T) {
	k, dir := newKubelet(t, cloudtest.KubeletOptions{Mint: func(cloudtest.ProjectedToken) string { return "same" }})
	var names [2]string
	for i := range names {
		if err := k.Rotate(); err != nil {
			t.Fatal(err)
		}
		name, err := os.Readlink(filepath.Join(dir, "..data"))
		if err != nil {
			t.Fatal(err)
		}
		names[i] = name
	}
	if names[0] != names[1] {
		t.Errorf("..data led to %q, then to %q, want no change", names[0], names[1])
	}
}

func TestKubeletRefusesPathsOutOfTheVolume(t *testing.T) {
	for _, path := range []string{"", ".", "..", "../token", "/token", "a/../../token", "..data", "..token", "a//b"} {
		_, err := cloudtest.NewKubelet(cloudtest.KubeletOptions{
			Dir: t.TempDir(), Mint: counting(), Tokens: []cloudtest.ProjectedToken{{Path: path}},
		})
		if err == nil {
			t.Errorf("NewKubelet with the path %q = no error, want one", path)
		}
	}
}

func TestKubeletFollowsNoLinkOutOfTheVolume(t *testing.T) {
	k, dir := newKubelet(t, cloudtest.KubeletOptions{})
	outside := t.TempDir()
	keep := filepath.Join(outside, "keep")
	if err := os.WriteFile(keep, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// What a ..data says is old is removed: this one lies.
	if err := os.Symlink(outside, filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	if err := k.Rotate(); err == nil {
		t.Error("Rotate over a ..data that leads elsewhere = no error, want one")
	}
	if _, err := os.Stat(keep); err != nil {
		t.Errorf("a file outside the volume is gone: %v", err)
	}
}

func TestKubeletRenewsEachTokenAtFourFifthsOfItsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, dir := newKubelet(t, cloudtest.KubeletOptions{
			Tokens: []cloudtest.ProjectedToken{
				{Path: "short", Audience: "short", Lifetime: 10 * time.Minute},
				{Path: "long", Audience: "long", Lifetime: 72 * time.Hour},
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- k.Run(ctx) }()

		for _, step := range []struct {
			sleep       time.Duration
			short, long string
		}{
			{8*time.Minute - 1, "short 1", "long 2"},
			{1, "short 3", "long 2"},
			{8 * time.Minute, "short 4", "long 2"},
			{24*time.Hour - 16*time.Minute - 1, "short 181", "long 2"},
			{1, "short 182", "long 183"}, // the long one lives for three days, but is renewed daily
		} {
			time.Sleep(step.sleep)
			synctest.Wait()
			short, long := read(t, filepath.Join(dir, "short")), read(t, filepath.Join(dir, "long"))
			if short != step.short || long != step.long {
				t.Errorf("at %v: %q, %q, want %q, %q", time.Now(), short, long, step.short, step.long)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want no error", err)
		}
	})
}

func TestKubeletRotatesAtAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, dir := newKubelet(t, cloudtest.KubeletOptions{
			Tokens:   []cloudtest.ProjectedToken{{Path: "token", Audience: "a"}},
			Interval: time.Second,
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond)
		defer cancel()
		if err := k.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if got, want := read(t, filepath.Join(dir, "token")), "a 6"; got != want {
			t.Errorf("token after 5.5 s = %q, want %q", got, want)
		}
	})
}
