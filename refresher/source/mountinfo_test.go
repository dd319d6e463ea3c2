package source

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// containerMounts are mounts of a Pod's container.
const containerMounts = `1001 900 0:300 / / rw,relatime - overlay overlay rw,lowerdir=/a:/b,upperdir=/c
1002 1001 0:301 / /proc rw,nosuid - proc proc rw
1003 1001 0:302 / /var/run/secrets/wisp ro,relatime shared:7 master:9 propagate_from:2 - tmpfs tmpfs rw,size=1k
1004 1001 0:302 /..2024/token /sub/path/token ro,relatime - tmpfs tmpfs rw
1005 1001 0:303 / /with\040space\134slash\011tab\012feed\043hash rw - nfs4 server:/x rw
1006 1001 0:304 / /kata rw - virtiofs none rw
1007 1001 0:305 / /home/me rw - fuse.sshfs me@host: rw
1008 1001 0:306 net:[4026531836] /netns rw - nsfs nsfs rw
1009 1001 0:307 / /home/me/local rw - ext4 /dev/sda rw
1010 1001 0:308 / /home/me/local rw - 9p none rw
`

func TestParseMountinfo(t *testing.T) {
	mounts, err := parseMountinfo(containerMounts)
	if err != nil {
		t.Fatal(err)
	}
	want := []mount{
		{"/", "overlay"}, {"/proc", "proc"}, {"/var/run/secrets/wisp", "tmpfs"}, {"/sub/path/token", "tmpfs"},
		{"/with space\\slash\ttab\nfeed#hash", "nfs4"}, {"/kata", "virtiofs"}, {"/home/me", "fuse.sshfs"},
		{"/netns", "nsfs"}, {"/home/me/local", "ext4"}, {"/home/me/local", "9p"},
	}
	if !slices.Equal(mounts, want) {
		t.Errorf("parseMountinfo = %q, want %q", mounts, want)
	}
}

func TestParseMountinfoRefuses(t *testing.T) {
	for _, test := range []struct{ name, line, want string }{
		{"an empty line", "", "fields, want at least"},
		{"a line cut off", "36 35 98:0 /mnt1", "fields, want at least"},
		{"no hyphen", "36 35 98:0 / /mnt rw master:1 ext3 /dev/root rw", "no hyphen"},
		{"nothing after the hyphen", "36 35 98:0 / /mnt rw -", "after the hyphen"},
		{"too much after the hyphen", "36 35 98:0 / /mnt rw - ext3 /dev/root rw more", "after the hyphen"},
		{"a relative mount point", "36 35 98:0 / mnt rw - ext3 /dev/root rw", "not absolute"},
		{"an id that is no number", "x 35 98:0 / /mnt rw - ext3 /dev/root rw", "not a number"},
		{"an escape cut off", `36 35 98:0 / /mnt\04 rw - ext3 /dev/root rw`, "cut off"},
		{"an escape that is not octal", `36 35 98:0 / /mnt\089 rw - ext3 /dev/root rw`, "octal"},
		{"an escape that is no byte", `36 35 98:0 / /mnt\777 rw - ext3 /dev/root rw`, "octal"},
		{"no file system type", "36 35 98:0 / /mnt rw -  /dev/root rw", "type is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseMountinfo(test.line + "\n")
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "line 1") {
				t.Errorf("parseMountinfo(%q): error %v, want one of line 1 with %q", test.line, err, test.want)
			}
		})
	}
}

func TestMountOfATokenFile(t *testing.T) {
	mounts, err := parseMountinfo(containerMounts)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		path    string
		subPath bool
		silent  bool // of the directory
	}{
		{"a projected volume is on tmpfs", "/var/run/secrets/wisp/token", false, false},
		{"a subPath mount is the file itself", "/sub/path/token", true, false},
		{"beside a subPath mount", "/sub/path/token2", false, false},
		{"NFS", "/with space\\slash\ttab\nfeed#hash/token", false, true},
		{"a virtual machine's shared directory", "/kata/a/b/token", false, true},
		{"FUSE", "/home/me/x/token", false, true},
		{"a name that only begins like a mount point", "/home/mes/token", false, false},
		{"the later of two mounts at one place counts", "/home/me/local/token", false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := isMountPoint(mounts, test.path); got != test.subPath {
				t.Errorf("isMountPoint(%q) = %v, want %v", test.path, got, test.subPath)
			}
			if got := silent(mounts, filepath.Dir(test.path)); got != test.silent {
				t.Errorf("silent(%q) = %v, want %v", filepath.Dir(test.path), got, test.silent)
			}
		})
	}
	if silent(nil, "/any") {
		t.Error("silent without mountinfo = true, want false")
	}
}

func TestSubPath(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := SubPath(file); got || err != nil {
		t.Errorf("SubPath of a plain file = %v, %v, want false, nil", got, err)
	}
	if _, err := SubPath(filepath.Join(dir, "missing")); err == nil {
		t.Error("SubPath of a missing file: no error")
	}
	if runtime.GOOS != "linux" {
		t.Skip("mountinfo is Linux's")
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/proc", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/proc", link} {
		if got, err := SubPath(path); !got || err != nil {
			t.Errorf("SubPath(%q), a mount point, = %v, %v, want true, nil", path, got, err)
		}
	}
}

func FuzzParseMountinfo(f *testing.F) {
	f.Add(containerMounts)
	f.Add("36 35 98:0 / /mnt\\04 rw - ext3 /dev/root rw")
	f.Add(" - - - - - - - - \n\n\\")
	f.Fuzz(func(t *testing.T, text string) {
		mounts, err := parseMountinfo(text)
		if err != nil {
			if mounts != nil {
				t.Error("mounts along with an error")
			}
			return
		}
		if n := strings.Count(strings.TrimSuffix(text, "\n"), "\n") + 1; text != "" && len(mounts) != n {
			t.Errorf("%d mounts of %d lines", len(mounts), n)
		}
		for _, m := range mounts {
			if !filepath.IsAbs(m.point) || m.fstype == "" {
				t.Errorf("accepted %q", m)
			}
		}
		_ = silent(mounts, "/a/b")
	})
}
