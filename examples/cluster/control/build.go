package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Tool builds the tool of a module unless Go's cache has it, and returns the path of the program. dir is the module's
// directory, name the last element of the tool's import path.
func Tool(ctx context.Context, dir, name string) (string, error) {
	build := exec.CommandContext(ctx, "go", "tool", "-n", name)
	build.Dir = dir
	build.Env = append(build.Environ(), "GOWORK=off")
	out, err := build.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w\n%s", err, bytes.TrimSpace(failed.Stderr))
	}
	if err != nil {
		return "", fmt.Errorf("build %s in %s: %w", name, dir, err)
	}
	return strings.TrimSpace(string(out)), nil
}
