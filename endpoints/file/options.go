package file

import (
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
)

// DefaultMode lets nobody but wisp's own user read the file.
const DefaultMode fs.FileMode = 0o600

// widest is the most that Options.Mode may allow.
const widest fs.FileMode = 0o644

// Cleanup says whether the file is removed when wisp ends.
type Cleanup string

// The zero Cleanup removes a file that is in memory (tmpfs) and keeps one on a disk.
const (
	CleanupOnExit Cleanup = "onExit"
	CleanupNever  Cleanup = "never"
)

// Options describe a [Writer]. Path and Encode are required.
type Options struct {
	// Path is the file: absolute, without "." and "..". Its directory has to exist; a Writer waits for
	// one that does not, and makes none.
	Path string
	// Encode turns a credential into the content of the file. An error leaves the file as it is.
	Encode func(refresher.Credential) ([]byte, error)
	// Target says which credential; the zero Target is the identity's default.
	Target refresher.Target
	// Mode are the permissions of the file, whatever the umask is: at most 0644, and readable for its
	// owner. Zero means DefaultMode.
	Mode fs.FileMode
	// Group is the id of the group that the file is given to. It needs a Mode that lets the group
	// read. Nil leaves the choice to the system: the group of the process, or the directory's if that
	// has the set-group-ID bit.
	Group *int
	// Cleanup says whether the file is removed at the end.
	Cleanup Cleanup
	// AllowInsecureParent permits a directory that others can write to without the sticky bit, as a
	// Kubernetes emptyDir is. They can then replace the file.
	AllowInsecureParent bool
	// Lasting says that the content is no credential, as it only says how to get one: it is written at the
	// start, when Encode is given the zero Credential, and stays when a credential expires.
	Lasting bool
	// Log gets one line per file written or removed, and per new failure. Nil means none.
	Log *slog.Logger
}

// Check reports what is wrong with the options themselves, without a look at the file system; nil if
// nothing is. Its fields are path, mode, group and cleanup.
func (o Options) Check() []refresher.FieldError {
	var problems []refresher.FieldError
	complain := func(field, problem string) {
		problems = append(problems, refresher.FieldError{Field: field, Problem: problem})
	}
	switch {
	case o.Path == "":
		complain("path", "is missing")
	case strings.ContainsFunc(o.Path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		complain("path", "has a control character")
	case !filepath.IsAbs(o.Path):
		complain("path", "must be absolute")
	case filepath.Clean(o.Path) != o.Path:
		complain("path", `must be plain: no "..", ".", doubled or final slash`)
	case filepath.Base(o.Path) == "/":
		complain("path", "names no file")
	}
	mode := o.mode()
	if mode&^widest != 0 || mode&0o400 == 0 {
		complain("mode", "must be between 0400 and 0644, without execute permission")
	}
	if o.Group != nil && *o.Group < 0 {
		complain("group", "must be the number of a group")
	} else if o.Group != nil && mode&0o040 == 0 {
		complain("group", "has no effect unless mode lets the group read, as 0640 does")
	}
	switch o.Cleanup {
	case "", CleanupOnExit, CleanupNever:
	default:
		complain("cleanup", "must be onExit or never")
	}
	return problems
}

func (o Options) mode() fs.FileMode {
	if o.Mode == 0 {
		return DefaultMode
	}
	return o.Mode
}
