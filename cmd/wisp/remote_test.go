package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"testing/synctest"

	"github.com/wisp-sidecar/wisp/agent/admin"
	"github.com/wisp-sidecar/wisp/refresher"
)

// empty is a wisp that has waited in vain for each credential.
type empty struct{}

func (empty) Status() admin.Status { return admin.Status{} }

func (empty) Credential(context.Context, admin.Question) (refresher.Credential, error) {
	return refresher.Credential{}, &refresher.Error{
		Class: refresher.SubjectToken, Code: "subject_missing", Hint: "mount it", Err: errors.New("what the log says"),
	}
}

func (empty) Refresh(string) ([]admin.Refreshed, error) { return nil, nil }

func (empty) Quit() {}

// What the running wisp cannot give, it explains as wisp itself would.
func TestTheRunningWispHasNone(t *testing.T) {
	dir, err := os.MkdirTemp("", "wisp") // whose path leaves room for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "admin.sock")
	l, err := admin.Listen(t.Context(), socket, admin.SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- admin.Serve(ctx, l, empty{}, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() { stop(); <-ended })

	for command, want := range map[string]string{
		"get":                `^identity "optional": subject_missing: there is no credential at the moment; try again\n  hint: mount it\n$`,
		"credential-process": `^identity "optional": subject_missing: [^\n]*; hint: mount it\n$`,
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{command, "optional", "--admin", socket, "--timeout", "5m"}, &stdout, &stderr)
		if code != exitFailed || stdout.Len() > 0 || !regexp.MustCompile(want).Match(stderr.Bytes()) {
			t.Errorf("%s: exit code %d, output %q, errors %q, want %d, none, and %s", command, code, &stdout, &stderr, exitFailed, want)
		}
	}
}

// In virtual time: however busy the machine is, wisp is looked for once.
func TestWaitForAWispThatDoesNotCome(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	synctest.Test(t, func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"wait", "--admin", socket, "--timeout", "1h"}, &stdout, &stderr)
		if want := "no wisp answers at " + socket + ": connect: no such file or directory\n"; code != exitFailed || stdout.Len() > 0 || stderr.String() != want {
			t.Errorf("exit code %d, output %q, errors %q, want %d, none, and %q", code, &stdout, &stderr, exitFailed, want)
		}
	})
}
