package clients_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
)

// What the drivers of each language are started with.

func python(program string) func(*installation, ...string) []string {
	return func(kit *installation, args ...string) []string {
		return append([]string{filepath.Join(kit.python, "python"), filepath.Join(kit.drivers, "python", program)}, args...)
	}
}

func node(program string) func(*installation, ...string) []string {
	return func(kit *installation, args ...string) []string {
		return append([]string{kit.node, filepath.Join(kit.scripts, program)}, args...)
	}
}

func java(class string) func(*installation, ...string) []string {
	return func(kit *installation, args ...string) []string {
		return append(append(slices.Clone(kit.java), class), args...)
	}
}

func goDriver(client string) func(*installation, ...string) []string {
	return func(kit *installation, args ...string) []string {
		return append([]string{kit.goDriver, client}, args...)
	}
}

// use finds out whom the cloud takes the owner of a tool's output for, and what identifies the credential.
func (s *stage) use(gives, stdout string) (who, credential string, err error) {
	if gives != keys {
		who, err = s.bearer(stdout)
		return who, stdout, err
	}
	who, credential, both := strings.Cut(stdout, "\n")
	if !both {
		err = errors.New("the script does not print two lines")
	}
	return who, credential, err
}

// expand fills in the placeholders of an outlet's environment: the address of the outlets, the stage's directory, and
// secrets that wisp has made.
func (s *stage) expand(value string) string {
	return strings.NewReplacer(
		"{outlets}", s.outlets, "{dir}", s.dir,
		"{app-service.secret}", s.secret("app-service.secret"),
	).Replace(value)
}

// secrets are those of all outlets.
func (s *stage) secrets() []string {
	return []string{s.secret("container.secret"), s.secret("app-service.secret"), s.secret("cloud-shell.secret"), s.secret("subject.secret")}
}
