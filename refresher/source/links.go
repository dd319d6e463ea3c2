package source

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxLinks is Linux's own limit: a path with more symbolic links is ELOOP.
const maxLinks = 40

// resolve makes path absolute and follows its symbolic links.
func resolve(path string) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// watchDirs lists the directories whose entries decide what file the absolute path names: its
// parent, and every directory that holds a symbolic link on the way. None of them has links in its
// own name. For a projected volume that is the mount's directory alone, since the link of the token
// and ..data, the link that kubelet swaps, are both in it. A directory that does not exist is listed
// by the name it would have.
func watchDirs(path string) []string {
	dirs, _ := follow(path)
	return dirs
}

// follow goes to the absolute path. It returns the directories that decide what is there, see [watchDirs], and what
// the symbolic links on the way led to, in their order.
func follow(path string) (dirs, targets []string) {
	parent := ""
	at := "/"
	names := strings.Split(path, "/")
	links := 0
	for len(names) > 0 {
		if len(names) == 1 && parent == "" {
			parent = at // only path's last name is left, its parent's links are all followed
			dirs = append(dirs, parent)
		}
		name := names[0]
		names = names[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		target, err := os.Readlink(next)
		if err != nil { // not a link, or not there
			at = next
			continue
		}
		if links++; links > maxLinks {
			break
		}
		dirs = append(dirs, at)
		targets = append(targets, target)
		if filepath.IsAbs(target) {
			at = "/"
		}
		names = append(strings.Split(target, "/"), names...)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs), targets
}
