package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/wisp-sidecar/wisp/refresher"
)

// maxToken bounds what is read of a token file: 64 KiB, several times what any cloud takes.
const maxToken = 64 << 10

// readFile reads a regular file of at most maxToken bytes. It never waits: opened non-blocking, a
// FIFO without a writer or a silent device is refused like any other thing that is no file. The
// result is the caller's, to be zeroed when done with. The error is of class SubjectToken.
func readFile(path string) ([]byte, *refresher.Error) {
	f, err := openSwapped(path, openFile)
	if err != nil {
		return nil, unreadable(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, notAFile(path, info.Mode())
	}
	text := make([]byte, maxToken+1)
	n, err := io.ReadFull(f, text)
	switch {
	case err == nil:
		clear(text)
		return nil, malformed(path, fmt.Errorf("longer than %d bytes", maxToken))
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		clear(text)
		return nil, unreadable(path, err)
	}
	return text[:n], nil
}

// openFile opens a file without waiting for whoever is at the other end of what is none. os.OpenFile adds O_CLOEXEC.
func openFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
}

// openSwapped opens a file that is never missing, although the kernel may say so: who swaps the link on the way to it
// removes where that led before, which may be under the feet of the one who is on the way. So it counts as missing if
// no link has changed meanwhile.
func openSwapped(path string, open func(string) (*os.File, error)) (*os.File, error) {
	f, err := open(path)
	for errors.Is(err, fs.ErrNotExist) {
		_, before := follow(path)
		if f, err = open(path); err == nil {
			break
		}
		if _, now := follow(path); slices.Equal(before, now) {
			break
		}
	}
	return f, err
}

func malformed(path string, err error) *refresher.Error {
	e := &refresher.Error{
		Class: refresher.SubjectToken,
		Code:  refresher.CodeSubjectInvalid,
		Hint:  "the file must hold one token and nothing else",
		Err:   fmt.Errorf("token file %s: %w", path, err),
	}
	switch {
	case errors.Is(err, errIdPRefused):
		e.Hint = "the log of the identity provider says why; have it make a new one"
	case errors.Is(err, errNotSAML):
		e.Hint = "the file must hold one SAML Response or Assertion in base64, and nothing else"
	}
	return e
}

func notAFile(path string, mode fs.FileMode) *refresher.Error {
	e := malformed(path, fmt.Errorf("not a regular file (mode %v)", mode))
	if mode.IsDir() {
		e.Hint = "add the name of the token's file to the path"
	}
	return e
}

// unreadable tells why path cannot be read. err says the path itself if it comes from package os.
func unreadable(path string, err error) *refresher.Error {
	if errors.Is(err, syscall.ENXIO) { // opening a Unix socket
		return notAFile(path, fs.ModeSocket)
	}
	e := &refresher.Error{
		Class: refresher.SubjectToken,
		Code:  refresher.CodeSubjectMissing,
		Err:   fmt.Errorf("token file: %w", err),
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Hint = "mount the projected volume into wisp's container, and compare the path with the volume's path of the token"
	case errors.Is(err, fs.ErrPermission):
		e.Hint = permissionHint(path)
	case errors.Is(err, syscall.ELOOP):
		e.Hint = "a symbolic link on the path leads back to itself"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		e.Hint = "raise the limit of open files (ulimit -n)"
	}
	return e
}

// permissionHint names the settings that lead to the file's owner and mode and those that this
// process has. The kubelet gives a token to root and everybody (0644), unless all containers share
// one runAsUser (0600, that user) or the Pod has an fsGroup (0640, that group).
// Source: https://github.com/kubernetes/enhancements/blob/master/keps/sig-storage/2451-service-account-token-volumes/README.md
func permissionHint(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Sprintf("wisp runs as runAsUser %d and may not enter a directory on the path: give it search permission for %s and above",
			os.Geteuid(), filepath.Dir(path))
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "give the user that wisp runs as read permission"
	}
	groups, _ := os.Getgroups()
	return explainPermission(info.Mode().Perm(), owner{stat.Uid, stat.Gid}, owner{uint32(os.Geteuid()), uint32(os.Getegid())}, groups)
}

type owner struct{ uid, gid uint32 }

func explainPermission(mode fs.FileMode, file, wisp owner, groups []int) string {
	groups = slices.Clone(groups)
	if !slices.Contains(groups, int(wisp.gid)) {
		groups = append(groups, int(wisp.gid))
	}
	slices.Sort(groups)
	state := fmt.Sprintf("the file has mode %04o, uid %d, gid %d; wisp runs as runAsUser %d with groups %v",
		mode, file.uid, file.gid, wisp.uid, groups)
	switch {
	case mode&0o040 != 0 && file.gid != 0:
		return fmt.Sprintf("%s: set fsGroup: %d for the Pod, or add that group to supplementalGroups", state, file.gid)
	case file.uid != 0:
		return fmt.Sprintf("%s: set runAsUser: %d on wisp's container, or an fsGroup for the Pod", state, file.uid)
	}
	return state + ": set an fsGroup for the Pod, or one runAsUser for all of its containers"
}
