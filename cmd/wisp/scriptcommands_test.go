package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A counter counts the requests that reach the clouds of one script.
type counter struct{ n atomic.Int64 }

type callsKey struct{}

func (c *counter) count(cloud http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.n.Add(1)
		cloud.ServeHTTP(w, r)
	})
}

// calls insists on how many requests have reached the clouds so far.
func calls(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: calls N")
	}
	want, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	if got := ts.Value(callsKey{}).(*counter).n.Load(); got != want {
		ts.Fatalf("%d requests have reached the clouds, want %d", got, want)
	}
}

// appears waits for a file.
func appears(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: appears FILE")
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s is not there after a minute", args[0])
		}
	}
}

// condition knows namespaces: whether this user may have processes and mounts of its own. In CI it must.
func condition(name string) (bool, error) {
	if name != "namespaces" {
		return false, fmt.Errorf("no condition %q", name)
	}
	err := exec.Command("unshare", "-Urpf", "--mount-proc", "true").Run()
	if err != nil && os.Getenv("CI") == "true" {
		return false, fmt.Errorf("unshare: %w", err)
	}
	return err == nil, nil
}
