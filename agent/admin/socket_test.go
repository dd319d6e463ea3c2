package admin_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/agent/admin"
)

func TestListen(t *testing.T) {
	for _, test := range []struct {
		name    string
		options admin.SocketOptions
		prepare func(path string) error
		mode    fs.FileMode
		want    string // in the error
	}{
		{"for oneself", admin.SocketOptions{}, nil, 0o600, ""},
		{"for others", admin.SocketOptions{UIDs: []int{1000}}, nil, 0o666, ""},
		{"for anyone", admin.SocketOptions{Anyone: true}, nil, 0o666, ""},
		{"a socket that nobody listens on", admin.SocketOptions{}, abandon, 0o600, ""},
		{"a file", admin.SocketOptions{}, func(path string) error { return os.WriteFile(path, nil, 0o600) }, 0, "something else than a socket"},
		{"a link to a socket", admin.SocketOptions{}, func(path string) error {
			return errors.Join(abandon(path+"2"), os.Symlink(path+"2", path))
		}, 0, "something else than a socket"},
		{"a directory", admin.SocketOptions{}, func(path string) error { return os.Mkdir(path, 0o700) }, 0, "something else than a socket"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(short(t), "made", "admin.sock")
			if test.prepare != nil {
				if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), test.prepare(path)); err != nil {
					t.Fatal(err)
				}
			}
			l, err := admin.Listen(t.Context(), path, test.options)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("Listen = %v, want an error with %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			info, err := os.Lstat(path)
			if err != nil || info.Mode().Perm() != test.mode {
				t.Errorf("the socket: %v, %v, want mode %v", info.Mode(), err, test.mode)
			}
		})
	}
}

// abandon leaves a socket behind, as a process that is killed does.
func abandon(path string) error {
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	return l.Close()
}

// The umask has no say.
func TestListenUnderAnyUmask(t *testing.T) {
	for _, mask := range []int{0, 0o777} {
		dir := short(t)
		old := syscall.Umask(mask)
		l, err := admin.Listen(t.Context(), filepath.Join(dir, "made", "s"), admin.SocketOptions{})
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]fs.FileMode{"made": 0o700, "made/s": 0o600} {
			if info, err := os.Lstat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
				t.Errorf("umask %o: %s has %v, %v, want mode %v", mask, name, info.Mode(), err, want)
			}
		}
		l.Close()
	}
}

// Two wisps do not take each other's place.
func TestListenLeavesTheLivingAlone(t *testing.T) {
	path := serve(t, &wisp{})
	if _, err := admin.Listen(t.Context(), path, admin.SocketOptions{}); err == nil || err.Error() != "another wisp answers there" {
		t.Errorf("Listen = %v, want that another wisp answers", err)
	}
	if _, err := admin.NewClient(path).Status(t.Context()); err != nil {
		t.Errorf("the first one: %v", err)
	}
}

func TestListenPathTooLong(t *testing.T) {
	path := filepath.Join(short(t), strings.Repeat("x", 100))
	if _, err := admin.Listen(t.Context(), path, admin.SocketOptions{}); err == nil || !strings.Contains(err.Error(), "may have 103") {
		t.Errorf("Listen = %v, want how long a path may be", err)
	}
}

func TestUnreachable(t *testing.T) {
	closes, err := net.Listen("unix", filepath.Join(short(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer closes.Close()
	go func() {
		for {
			conn, err := closes.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	for socket, want := range map[string]string{
		"/nonexistent/admin.sock": "no wisp answers at /nonexistent/admin.sock: connect: no such file or directory",
		closes.Addr().String():    "no wisp answers at " + closes.Addr().String() + ": it ends the connection without an answer, as it does for users whom it does not serve (admin.uids in its configuration)",
	} {
		_, err := admin.NewClient(socket).Status(t.Context())
		if _, ok := errors.AsType[*admin.UnreachableError](err); !ok || err.Error() != want {
			t.Errorf("Status = %v, want %s", err, want)
		}
	}
}

// A wisp that is slow is there: whoever has no more time for it is told that, and not to look elsewhere.
func TestSlowIsNotUnreachable(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(short(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, end := context.WithCancel(t.Context())
	go func() {
		if conn, err := l.Accept(); err == nil {
			defer conn.Close()
			end() // it has heard the question, and the asker's time is up
			<-t.Context().Done()
		}
	}()
	_, err = admin.NewClient(l.Addr().String()).Credential(ctx, admin.Question{})
	if _, unreachable := errors.AsType[*admin.UnreachableError](err); unreachable || !errors.Is(err, context.Canceled) {
		t.Errorf("Credential = %v, want %v", err, context.Canceled)
	}
}

// Wait ends with the context, and says what it saw last.
func TestWait(t *testing.T) {
	ready := admin.Status{Started: true, Ready: true}
	if s, err := admin.NewClient(serve(t, &wisp{status: ready})).Wait(t.Context()); err != nil || !s.Ready {
		t.Errorf("Wait = %v, %v, want the status", s, err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := admin.NewClient(serve(t, &wisp{})).Wait(ended); err == nil {
		t.Error("Wait = nil after its context has ended without a ready wisp")
	}
}

// However often it has looked in vain, it is that which Wait reports, not that time is up.
func TestWaitSaysThatNobodyAnswers(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			ctx, end := context.WithTimeout(t.Context(), time.Second) // when the next look is due, too
			defer end()
			_, err := admin.NewClient("/nonexistent/admin.sock").Wait(ctx)
			if _, ok := errors.AsType[*admin.UnreachableError](err); !ok {
				t.Errorf("Wait = %v, want that nobody answers", err)
			}
		})
	}
}

// The defaults: a directory that a Pod mounts, else the user's own.
func TestDefaultSocket(t *testing.T) {
	if admin.PodDirectory != "/run/wisp" {
		t.Errorf("Pods mount %s, want /run/wisp", admin.PodDirectory)
	}
	mounted := t.TempDir()
	file := filepath.Join(mounted, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, directory, home, want string }{
		{"nothing", file + "s", "", ""},
		{"a relative XDG_RUNTIME_DIR, which counts for none", file + "s", "relative", ""},
		{"a user's", file + "s", "/run/user/1000", "/run/user/1000/wisp/admin.sock"},
		{"a Pod's", mounted, "", mounted + "/admin.sock"},
		{"both", mounted, "/run/user/1000", mounted + "/admin.sock"},
		{"a file in the place of the Pod's", file, "/run/user/1000", "/run/user/1000/wisp/admin.sock"},
	} {
		if got := admin.DefaultSocketIn(test.directory, func(string) string { return test.home }); got != test.want {
			t.Errorf("%s: the socket is %q, want %q", test.name, got, test.want)
		}
	}
}

// readAll is what a connection says until it ends.
func readAll(path string) (string, error) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /v1/status HTTP/1.0\r\n\r\n"); err != nil {
		return "", nil // closed already
	}
	text, _ := io.ReadAll(conn)
	return string(text), nil
}
