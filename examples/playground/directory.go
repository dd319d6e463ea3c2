package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// A directory is where the playground keeps its files: an absolute path.
type directory string

// makeDirectory makes the directory, or a temporary one if path is empty, with what outlets write into:
// nobody else may, or they could put files of theirs in the place of wisp's.
func makeDirectory(path string) (directory, error) {
	if path == "" {
		temporary, err := os.MkdirTemp("", "wisp-playground-")
		if err != nil {
			return "", err
		}
		path = temporary
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for _, name := range []string{"", secretsDir, outDir} {
		if err := os.MkdirAll(filepath.Join(path, name), 0o700); err != nil {
			return "", err
		}
	}
	for _, name := range outFiles {
		// A run before may have left them, with credentials that the clouds of this one do not know.
		if err := os.Remove(filepath.Join(path, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return directory(path), nil
}

// maxSocket is the longest path that a Unix socket can have, on Linux and on macOS.
const maxSocket = 103

// socket is where wisp's admin socket is; empty if the directory's path is too long for one.
func (d directory) socket() string {
	if path := d.file(adminSocket); len(path) <= maxSocket {
		return path
	}
	return ""
}

func (d directory) file(name string) string { return filepath.Join(string(d), name) }

func (d directory) token(t cloudtest.ProjectedToken) string {
	return filepath.Join(string(d), volumeDir, filepath.FromSlash(t.Path))
}

// write writes a file that only its owner may read. Whoever reads it meanwhile sees the old one.
func (d directory) write(name string, text []byte) error {
	path := d.file(name)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
