package source

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/wisp-sidecar/wisp/refresher"
)

// guarded refuses a program that somebody else could put another in the place of. The sticky bit of a
// directory is no excuse: it would let others put there what the program loads.
func guarded(program string) *refresher.Error {
	file, err := filepath.EvalSymlinks(program)
	if err != nil {
		return startFailure(err)
	}
	for _, path := range []string{file, filepath.Dir(file), filepath.Dir(program)} {
		info, err := os.Stat(path)
		if err != nil {
			return startFailure(err)
		}
		if path == file && !info.Mode().IsRegular() {
			failure := startFailure(fmt.Errorf("not a regular file (mode %v)", info.Mode()))
			failure.Hint = "the first element of the command must be the path of a program"
			return failure
		}
		if mode := info.Mode().Perm(); mode&0o022 != 0 {
			return &refresher.Error{
				Class: refresher.Denied,
				Code:  refresher.CodeSubjectMissing,
				Hint:  guardHint(path, info.Mode()),
				Err:   fmt.Errorf("not run: others can write to %s, which has mode %04o, and so have wisp run what they like", path, mode),
			}
		}
	}
	return nil
}

func guardHint(path string, mode fs.FileMode) string {
	switch {
	case mode&fs.ModeSticky != 0: // /tmp and its like are meant to be so
		return "put the program into a directory that only its owner can write to"
	case mode.IsDir():
		return fmt.Sprintf("run chmod go-w %s, or put the program into a directory of its own below it", path)
	}
	return "run chmod go-w " + path
}
