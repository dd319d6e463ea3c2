package file

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"syscall"
)

// temporary names begin with the dot that hides them, name the file that they are for, and end in
// 16 random hexadecimal digits: two Writers in one directory never take each other's for leftovers.
const (
	temporaryPrefix = "."
	temporaryInfix  = ".wisp-"
)

var temporaryEnd = regexp.MustCompile(`^[0-9a-f]{16}$`)

func temporaryName(name string) string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	return temporaryPrefix + name + temporaryInfix + hex.EncodeToString(random[:])
}

func isTemporaryName(candidate, name string) bool {
	end, ok := strings.CutPrefix(candidate, temporaryPrefix+name+temporaryInfix)
	return ok && temporaryEnd.MatchString(end)
}

// permissions are what a file is given before it has content.
type permissions struct {
	mode  fs.FileMode
	group *int
}

// replace puts a new file with this content in the place of name, which readers see as a whole or not
// at all. It returns what the new file looks like. After an error there is no temporary file, and the
// old file is as it was, unless all that could not be done was to flush the directory.
func replace(dir *os.Root, name string, content []byte, p permissions) (fs.FileInfo, error) {
	temporary := temporaryName(name)
	file, err := dir.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create a temporary file beside it: %w", cause(err))
	}
	info, err := fill(file, content, p)
	if e := file.Close(); err == nil && e != nil {
		err = fmt.Errorf("close: %w", cause(e))
	}
	if err == nil {
		if err = dir.Rename(temporary, name); err != nil {
			err = fmt.Errorf("rename: %w", cause(err))
		}
	}
	if err != nil {
		_ = dir.Remove(temporary) // if this fails, too, it is swept later
		return nil, err
	}
	if err := flush(dir); err != nil {
		return nil, err
	}
	return info, nil
}

// fill gives an empty file its owner and mode, then its content, and waits for the disk.
func fill(file *os.File, content []byte, p permissions) (fs.FileInfo, error) {
	if p.group != nil {
		if err := file.Chown(-1, *p.group); err != nil {
			return nil, fmt.Errorf("give it to group %d, of which wisp has to be a member: %w", *p.group, cause(err))
		}
	}
	// Not at creation, where the umask would have a say.
	if err := file.Chmod(p.mode); err != nil {
		return nil, fmt.Errorf("change its mode to %#o: %w", p.mode, cause(err))
	}
	if _, err := file.Write(content); err != nil {
		return nil, fmt.Errorf("write: %w", cause(err))
	}
	if err := file.Sync(); err != nil {
		return nil, fmt.Errorf("flush: %w", cause(err))
	}
	return file.Stat()
}

// flush makes the names in a directory durable.
func flush(dir *os.Root) error {
	handle, err := dir.Open(".")
	if err != nil {
		return fmt.Errorf("open its directory: %w", cause(err))
	}
	defer handle.Close()
	// Network and FUSE file systems may not know how: their business.
	if err := handle.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("flush its directory: %w", cause(err))
	}
	return nil
}

// sweep removes temporary files for name that a crash has left.
func sweep(dir *os.Root, name string) error {
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return fmt.Errorf("list its directory: %w", cause(err))
	}
	var failures []error
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !isTemporaryName(entry.Name(), name) {
			continue
		}
		if err := dir.Remove(entry.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failures = append(failures, fmt.Errorf("remove %s: %w", entry.Name(), cause(err)))
		}
	}
	return errors.Join(failures...)
}

// untouched reports whether found is the file that wrote describes, as it was left.
func untouched(wrote, found fs.FileInfo) bool {
	return wrote != nil && found != nil && os.SameFile(wrote, found) &&
		wrote.Size() == found.Size() && wrote.Mode() == found.Mode() && wrote.ModTime().Equal(found.ModTime())
}
