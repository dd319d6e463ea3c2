package source_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/execsource"
)

// TestMain makes the test binary the executable that tests have run: play, a role, and what it needs.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "play" {
		play(os.Args[2], os.Args[3:])
		syscall.Exit(0)
	}
	m.Run()
}

// play is the executable. It ends by syscall.Exit, since with the race detector os.Exit takes a second.
// Roles that go on for ever have the path of a socket: they end at the latest
// when the test closes it.
func play(role string, args []string) {
	switch role {
	case "print": // TEXT
		fmt.Print(args[0])
	case "exit": // CODE STDOUT STDERR
		fmt.Print(args[1])
		fmt.Fprint(os.Stderr, args[2])
		code, err := strconv.Atoi(args[0])
		demand(err)
		syscall.Exit(code)
	case "die":
		demand(syscall.Kill(os.Getpid(), syscall.SIGKILL))
		select {}
	case "flood": // BYTES
		n, err := strconv.Atoi(args[0])
		demand(err)
		_, _ = os.Stdout.WriteString(strings.Repeat("x", n)) // fails when nobody reads any more
	case "hang": // SOCKET
		stay(dial(args[0]))
	case "stubborn": // SOCKET
		signal.Ignore(syscall.SIGTERM)
		stay(dial(args[0]))
	case "obedient": // SOCKET
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGTERM)
		conn := dial(args[0])
		<-asked
		_, err := io.WriteString(conn, "asked to end\n")
		demand(err)
		syscall.Exit(1)
	case "leave": // SOCKET TEXT "stdout" or "nothing"
		child := exec.Command(os.Args[0], "play", "stay")
		if args[2] == "stdout" {
			child.Stdout = os.Stdout
		}
		conn, err := dial(args[0]).File()
		demand(err)
		child.ExtraFiles = []*os.File{conn}
		demand(child.Start())
		fmt.Print(args[1])
	case "stay": // with a connection
		stay(os.NewFile(3, "connection"))
	case "record": // FILE TEXT
		record(args[0])
		fmt.Print(args[1])
	case "keep": // FILE TEXT
		record(args[0])
		demand(os.WriteFile(os.Getenv(execsource.EnvOutputFile), []byte(args[1]), 0o600))
		fmt.Print(args[1])
	default:
		panic("no such role: " + role)
	}
}

func demand(err error) {
	if err != nil {
		panic(err)
	}
}

func dial(socket string) *net.UnixConn {
	conn, err := net.Dial("unix", socket)
	demand(err)
	_, err = io.WriteString(conn, "ready\n")
	demand(err)
	return conn.(*net.UnixConn)
}

func stay(conn io.Reader) { _, _ = io.Copy(io.Discard, conn) }

// A surrounding is what an executable sees of the world.
type surrounding struct {
	Args      []string
	Env       []string
	Directory string
	Stdin     string
	Leader    bool // of a process group
}

func record(file string) {
	stdin, err := io.ReadAll(os.Stdin)
	demand(err)
	directory, err := os.Getwd()
	demand(err)
	text, err := json.Marshal(surrounding{os.Args, os.Environ(), directory, string(stdin), syscall.Getpgrp() == os.Getpid()})
	demand(err)
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	demand(err)
	_, err = f.Write(append(text, '\n'))
	demand(err)
	demand(f.Close())
}

// program puts the test binary into a directory of its own, safe to be run from, and returns its path.
func program(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(safeDir(t), "tool")
	if os.Link(self, path) != nil { // on another file system
		text, err := os.ReadFile(self)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, string(text))
	}
	chmod(t, path, 0o755)
	return path
}

// safeDir is a temporary directory, by a path without links, that a program may be in.
func safeDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	chmod(t, dir, 0o755)
	return dir
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// A leash is a socket that an executable connects to: the connection ends when the last process that
// has it does.
type leash struct {
	path     string
	listener *net.UnixListener
	conn     *net.UnixConn
}

func newLeash(t *testing.T) *leash {
	t.Helper()
	dir, err := os.MkdirTemp("", "wisp") // not t.TempDir: the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l := &leash{path: path, listener: listener}
	t.Cleanup(func() {
		_ = listener.Close()
		if l.conn != nil {
			_ = l.conn.Close()
		}
	})
	return l
}

// ready waits for the executable to connect.
func (l *leash) ready(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	if err := l.listener.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	conn, err := l.listener.AcceptUnix()
	if err != nil {
		t.Fatalf("the executable does not connect: %v", err)
	}
	l.conn = conn
	if err := conn.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	hello := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(conn, hello); err != nil {
		t.Fatal(err)
	}
}

// last waits for the end of all processes and returns what they sent.
func (l *leash) last(t *testing.T) string {
	t.Helper()
	text, err := io.ReadAll(l.conn)
	if err != nil {
		t.Fatalf("a process is still there: %v", err)
	}
	return string(text)
}
