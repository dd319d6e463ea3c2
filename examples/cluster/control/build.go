package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Tool builds the tool of a module unless Go's cache has it, and returns the path of the program. dir is the module's
// directory, name the last element of the tool's import path.
func Tool(ctx context.Context, dir, name string) (string, error) {
	path, err := run(ctx, dir, "tool", "-n", name)
	if err != nil {
		return "", fmt.Errorf("build %s in %s: %w", name, dir, err)
	}
	return path, nil
}

// APIServer builds kube-apiserver in the directory of its module, and returns the path of the program, which stays in
// the user's cache: go tool keeps one, too, but one that does not know its version.
func APIServer(ctx context.Context, dir string) (string, error) {
	const module = "k8s.io/kubernetes"
	version, err := run(ctx, dir, "list", "-m", "-f", "{{.Version}}", module)
	if err != nil {
		return "", fmt.Errorf("the version of kube-apiserver: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	number := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(number) != 3 {
		return "", fmt.Errorf("%s has the version %q", module, version)
	}
	cache = filepath.Join(cache, "wisp-cluster")
	unlock, err := lock(cache)
	if err != nil {
		return "", err
	}
	defer unlock()
	program := filepath.Join(cache, "kube-apiserver-"+version)
	of := " -X k8s.io/component-base/version."
	flags := "-s -w" + of + "gitVersion=" + version + of + "gitMajor=" + number[0] + of + "gitMinor=" + number[1]
	// Go leaves a program alone that is what would be built.
	if _, err := run(ctx, dir, "build", "-ldflags", flags, "-o", program, module+"/cmd/kube-apiserver"); err != nil {
		return "", fmt.Errorf("build kube-apiserver: %w", err)
	}
	return program, nil
}

// lock keeps other processes from building in a directory, which it makes: tests of several packages do at the same time,
// and one would start what the other one writes.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	unlock = func() { _ = file.Close() } // which ends the lock
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		unlock()
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return unlock, nil
}

func run(ctx context.Context, dir string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = dir
	command.Env = append(command.Environ(), "GOWORK=off")
	out, err := command.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w\n%s", err, bytes.TrimSpace(failed.Stderr))
	}
	return strings.TrimSpace(string(out)), err
}
