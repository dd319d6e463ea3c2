package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Write puts a file with this content and mode 0600 at path, in one step: readers see the old one or the
// new one, as a whole. The directory must exist, and must not let others replace the file.
func Write(path string, content []byte) error {
	dir, err := openDirectory(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := secure(dir); err != nil {
		return err
	}
	_, err = replace(dir, filepath.Base(path), content, permissions{mode: 0o600})
	return err
}

// ReadOwn returns what is in a file that only this user can have written: a regular one, no link, of at
// most limit bytes.
func ReadOwn(path string, limit int64) ([]byte, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, cause(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, cause(err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	case !ok || int(owner.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0:
		return nil, errors.New("others can write it")
	}
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("has more than %d bytes", limit)
	}
	return content, err
}

// MakeDirectory makes a directory with this very mode if it is missing, whatever the umask, and what is
// missing above it. One that is there stays as it is.
func MakeDirectory(path string, mode fs.FileMode) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if parent := filepath.Dir(path); parent != path {
		if err := MakeDirectory(parent, mode); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Chmod(path, mode)
}

// lockPause is how long to wait before a lock that another process holds is tried again.
const lockPause = 20 * time.Millisecond

// Lock waits until no other process holds the lock file at path, which it makes if it is missing and never
// removes: a lock on a file that is gone would exclude nobody. The lock ends with unlock, or with the
// process. It is an error if ctx ends before.
func Lock(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, cause(err)
	}
	tick := time.NewTicker(lockPause)
	defer tick.Stop()
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			_ = file.Close()
			return nil, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			_ = file.Close()
			return nil, ctx.Err()
		}
	}
}
