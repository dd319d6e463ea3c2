package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A mount is what wisp reads in a line of /proc/self/mountinfo.
type mount struct {
	point  string // absolute, unescaped
	fstype string
}

// SubPath reports whether path itself is a mount point: what kubelet makes of a volumeMount with a
// subPath. Such a file is bound once, when the container starts, and never follows a rotation.
// Where there is no mountinfo, which only Linux has, the answer is false.
// Source: https://kubernetes.io/docs/concepts/storage/volumes/#using-subpath
func SubPath(path string) (bool, error) {
	mounts, err := readMounts()
	if err != nil {
		return false, err
	}
	path, err = resolve(path)
	if err != nil {
		return false, err
	}
	return isMountPoint(mounts, path), nil
}

func isMountPoint(mounts []mount, path string) bool {
	return slices.ContainsFunc(mounts, func(m mount) bool { return m.point == path })
}

// silent reports whether inotify says nothing of changes below dir, because they are made by
// another machine or another kernel.
func silent(mounts []mount, dir string) bool {
	fstype := fstypeOf(mounts, dir)
	if strings.HasPrefix(fstype, "fuse") { // fuse, fuse.sshfs, fuseblk, ...
		return true
	}
	switch fstype {
	case "nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "lustre", "afs":
		return true
	}
	return false
}

// fstypeOf is the type of the file system that dir, absolute and without symbolic links, is on;
// empty if unknown.
func fstypeOf(mounts []mount, dir string) string {
	var on mount
	for _, m := range mounts {
		// Of two mounts at one place, the later line covers the earlier.
		if covers(m.point, dir) && len(m.point) >= len(on.point) {
			on = m
		}
	}
	return on.fstype
}

func covers(point, dir string) bool {
	return point == "/" || point == dir || strings.HasPrefix(dir, point+"/")
}

// readMounts reads the mounts of this process; none, without an error, where there is no mountinfo.
func readMounts() ([]mount, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseMountinfo(string(text))
}

// parseMountinfo reads lines such as
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//
// which are: mount id, parent id, device, root, mount point, options, any number of optional
// fields, a hyphen, file system type, source, options of the file system.
// Source: https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
func parseMountinfo(text string) ([]mount, error) {
	var mounts []mount
	number := 0
	for line := range strings.Lines(text) {
		number++
		m, err := parseMount(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("mountinfo, line %d: %w", number, err)
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
}

func parseMount(line string) (mount, error) {
	fields := strings.Split(line, " ")
	if len(fields) < 6 {
		return mount{}, fmt.Errorf("%d fields, want at least 10", len(fields))
	}
	optional := slices.Index(fields[6:], "-")
	if optional < 0 {
		return mount{}, errors.New("no hyphen after the optional fields")
	}
	rest := fields[6+optional+1:]
	if len(rest) != 3 {
		return mount{}, fmt.Errorf("%d fields after the hyphen, want 3", len(rest))
	}
	for _, id := range fields[:2] {
		if _, err := strconv.ParseUint(id, 10, 64); err != nil {
			return mount{}, errors.New("a mount id is not a number")
		}
	}
	point, err := unescape(fields[4])
	if err != nil {
		return mount{}, err
	}
	if !filepath.IsAbs(point) {
		return mount{}, errors.New("the mount point is not absolute")
	}
	fstype, err := unescape(rest[0])
	if err != nil {
		return mount{}, err
	}
	if fstype == "" {
		return mount{}, errors.New("the file system type is empty")
	}
	return mount{point: point, fstype: fstype}, nil
}

// unescape undoes the kernel's escapes: a space, tab, line feed, backslash or # is written as a
// backslash and three octal digits.
func unescape(field string) (string, error) {
	var b strings.Builder
	for {
		plain, escaped, found := strings.Cut(field, `\`)
		b.WriteString(plain)
		if !found {
			return b.String(), nil
		}
		if len(escaped) < 3 {
			return "", errors.New("an escape is cut off")
		}
		code, err := strconv.ParseUint(escaped[:3], 8, 8)
		if err != nil {
			return "", errors.New("an escape is not three octal digits")
		}
		b.WriteByte(byte(code))
		field = escaped[3:]
	}
}
