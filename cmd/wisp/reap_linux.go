package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// reapOrphans ends what the first process of a container inherits, until ctx ends: processes whose parent is
// gone, and which stay in the table until somebody asks what became of them. Children of our own are asked
// by whoever started them, at once; so an orphan is one that is still there a second later.
func reapOrphans(ctx context.Context) {
	if os.Getpid() != 1 {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	seen := map[int]bool{}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := map[int]bool{}
		for _, pid := range deadChildren() {
			if seen[pid] {
				_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
			}
			now[pid] = true
		}
		seen = now
	}
}

// deadChildren are our children that have ended and that nobody has asked about.
func deadChildren() []int {
	var dead []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // gone meanwhile
		}
		// "PID (NAME) STATE PPID …", and NAME may have blanks and parentheses (proc(5)).
		rest := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil && len(rest) > 1 && string(rest[0]) == "Z" && string(rest[1]) == strconv.Itoa(os.Getpid()) {
			dead = append(dead, pid)
		}
	}
	return dead
}
