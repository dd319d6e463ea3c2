package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/wisp-sidecar/wisp/endpoints/file"
)

// maxPath is the longest name that a socket can have, on Linux and on macOS.
const maxPath = 103

// SocketOptions say who may connect.
type SocketOptions struct {
	// UIDs may, besides the user that wisp runs as.
	UIDs []int
	// Anyone may, who can reach the file: for a directory that only the right containers mount, where
	// nobody knows what users they run as.
	Anyone bool
}

func (o SocketOptions) mode() fs.FileMode {
	if o.Anyone || len(o.UIDs) > 0 {
		return 0o666 // the kernel's word on who connects is what counts
	}
	return 0o600
}

// Listen opens the socket at path, of mode 0600 or, if others may connect, 0666, and makes its directory
// if it is missing. A socket that a wisp before this one has left is replaced; anything else at that path
// is an error: it may be somebody's trap. Connections of users who may not are closed without an answer.
func Listen(ctx context.Context, path string, o SocketOptions) (net.Listener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("the path has %d characters, and a socket's may have %d", len(path), maxPath)
	}
	directory := fs.FileMode(0o700)
	if o.mode() != 0o600 {
		directory = 0o755
	}
	if err := file.MakeDirectory(filepath.Dir(path), directory); err != nil {
		return nil, err
	}
	if err := clear(ctx, path); err != nil {
		return nil, err
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, o.mode()); err != nil {
		_ = l.Close()
		return nil, err
	}
	return &peerListener{Listener: l, options: o}, nil
}

// clear removes a socket that nobody listens on any more.
func clear(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return errors.New("there is something else than a socket at this path; wisp does not replace it")
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Geteuid() {
		return errors.New("there is a socket of another user at this path; wisp does not replace it")
	}
	var dialer net.Dialer
	if conn, err := dialer.DialContext(ctx, "unix", path); err == nil {
		_ = conn.Close()
		return errors.New("another wisp answers there")
	}
	return os.Remove(path)
}

type peerListener struct {
	net.Listener
	options SocketOptions
}

func (l *peerListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.options.Anyone || l.known(conn) {
			return conn, nil
		}
		_ = conn.Close()
	}
}

func (l *peerListener) known(conn net.Conn) bool {
	uid, err := peerUID(conn.(*net.UnixConn))
	return err == nil && (uid == os.Geteuid() || slices.Contains(l.options.UIDs, uid))
}

// control runs f with the connection's file descriptor.
func control(conn *net.UnixConn, f func(fd int) error) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failure error
	if err := raw.Control(func(fd uintptr) { failure = f(int(fd)) }); err != nil {
		return err
	}
	return failure
}
