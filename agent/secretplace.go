package agent

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/wisp-sidecar/wisp/endpoints/file"
	"github.com/wisp-sidecar/wisp/refresher"
)

const (
	secretBytes    = 32
	minSecretChars = 16
)

// A secretPlace says where the secret of an outlet is: in a file, which is made if it is missing, or
// in an environment variable. Both empty means that the outlet has no secret.
//
// It lives in a file rather than in memory so that it survives a restart of wisp: the application
// has read it long ago.
type secretPlace struct{ file, env string }

// String says where the secret is, for people.
func (p secretPlace) String() string {
	if p.env != "" {
		return "$" + p.env
	}
	return p.file
}

func (p secretPlace) check() []refresher.FieldError {
	switch {
	case p.file != "" && p.env != "":
		return []refresher.FieldError{{Field: "secretEnv", Problem: "is set besides secretFile; one of them is the secret"}}
	case p.file != "" && !filepath.IsAbs(p.file):
		return []refresher.FieldError{{Field: "secretFile", Problem: "must be an absolute path"}}
	}
	return nil
}

// secret returns the secret that is in p; empty if the outlet has none.
func (c *Config) secret(p secretPlace) (refresher.Secret, error) {
	return p.read(c.isShared(p.file))
}

// read returns the secret; empty if the outlet has none. A shared one is for other users, too.
func (p secretPlace) read(shared bool) (refresher.Secret, error) {
	switch {
	case p.env != "":
		return checkSecret(os.Getenv(p.env), "environment variable "+p.env)
	case p.file != "":
		return readSecretFile(p.file, shared)
	}
	return "", nil
}

func checkSecret(text, where string) (refresher.Secret, error) {
	if text == "" {
		return "", fmt.Errorf("%s is empty", where)
	}
	if len(text) < minSecretChars || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s must hold at least %d visible ASCII characters and nothing else: SDKs refuse a secret with a line break", where, minSecretChars)
	}
	return refresher.Secret(text), nil
}

// readSecretFile reads the secret, or makes one if there is no file. Two processes that start at once
// agree on the first one's.
func readSecretFile(path string, shared bool) (refresher.Secret, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := writeSecretFile(path, shared); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("make the secret: %w", err)
		}
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return "", fmt.Errorf("read the secret: %w", err)
	}
	return checkSecret(string(text), "secret file "+path)
}

// writeSecretFile makes a new secret. A link, which is created complete and fails if the name is
// taken, keeps readers from seeing half of it.
//
// What is shared is kept from strangers by the mount of its directory, and from those who share it, who
// are to read it and nothing else, by its mode.
func writeSecretFile(path string, shared bool) error {
	directory, mode := fs.FileMode(0o700), fs.FileMode(0o600)
	if shared {
		directory, mode = 0o755, 0o444
	}
	if err := file.MakeDirectory(filepath.Dir(path), directory); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".secret-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	// Not at creation, where the umask would have a say.
	err = file.Chmod(mode)
	if err == nil {
		_, err = file.WriteString(base64.RawURLEncoding.EncodeToString(randomBytes(secretBytes)))
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Link(file.Name(), path)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails, says its documentation
	return b
}
