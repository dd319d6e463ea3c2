package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// errInsecure: the directory lets others replace what is in it.
var errInsecure = errors.New("others can replace files in the directory")

// openDirectory opens an absolute path one name at a time and follows no symbolic link, not even one
// that takes a directory's place meanwhile. (A Root by itself guards only what is below it.) Each
// directory on the way must be readable.
func openDirectory(path string) (*os.Root, error) {
	dir, err := os.OpenRoot("/")
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if name == "" {
			continue // path is "/"
		}
		next, err := step(dir, name)
		_ = dir.Close()
		if err != nil {
			return nil, fmt.Errorf("%q of %s: %w", name, path, err)
		}
		dir = next
	}
	return dir, nil
}

// step opens the directory name in dir, unless it is a link.
func step(dir *os.Root, name string) (*os.Root, error) {
	seen, err := dir.Lstat(name)
	if err != nil {
		return nil, cause(err)
	}
	if !seen.IsDir() {
		return nil, errors.New("is not a directory, or not any more")
	}
	next, err := dir.OpenRoot(name)
	if err != nil {
		return nil, cause(err)
	}
	opened, err := next.Stat(".")
	if err != nil || !os.SameFile(seen, opened) {
		_ = next.Close()
		return nil, errors.New("changed while it was being opened")
	}
	return next, nil
}

// secure refuses a directory in which others could put a file of theirs in the place of ours.
func secure(dir *os.Root) error {
	info, err := dir.Stat(".")
	if err != nil {
		return cause(err)
	}
	if info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("%w: its permissions are %#o without the sticky bit; use a directory of its own, or set allowInsecureParent", errInsecure, info.Mode().Perm())
	}
	return nil
}

// inspect looks at what is in a file's place; nil if nothing is. Anything but a plain file with this
// one name was not made by us, and is not ours to replace.
func inspect(dir *os.Root, name string) (fs.FileInfo, error) {
	info, err := dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, cause(err)
	case info.Mode()&fs.ModeSymlink != 0:
		return nil, errors.New("refused: it is a symbolic link; remove it")
	case !info.Mode().IsRegular():
		return nil, errors.New("refused: it is not a regular file; remove it")
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink > 1 {
		return nil, errors.New("refused: it is a hard link to another file; remove it")
	}
	return info, nil
}

// resolve finds the directory behind a path that may lead through links, such as /var/run.
func resolve(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the directory %s does not exist; create it or mount a volume there", path)
	}
	if err != nil {
		return "", fmt.Errorf("the directory %s: %w", path, cause(err))
	}
	return real, nil
}

// cause takes an error of package os out of its wrapping, which names files that mean nothing to the
// reader, and temporary ones that are another each time.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}
