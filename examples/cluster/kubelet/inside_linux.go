package kubelet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// A plan is all that a process needs to know to become a container's.
type plan struct {
	Root         string // an empty directory
	Binds        []bind // in the order in which they are mounted
	ReadOnlyRoot bool
	Files        map[string]string // texts, by path
	Args, Env    []string
	UID, GID     int
	Groups       []int
	Capabilities []int // that may be had by who is root
	NoNewPrivs   bool
}

// A bind shows a file or directory of the machine at a path in the container.
type bind struct {
	Source, Target string
	ReadOnly       bool
}

// The files that a container's process inherits.
const (
	planFile    = 3
	networkFile = 4
)

// become reads a plan and becomes the process that it describes; it returns only with an error.
func become() error {
	runtime.LockOSThread() // a thread has its own network and capabilities
	if err := unix.Setns(networkFile, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("the Pod's network: %w", err)
	}
	var p plan
	in := os.NewFile(planFile, "plan")
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return fmt.Errorf("the plan: %w", err)
	}
	_ = in.Close()
	_ = unix.Close(networkFile)
	if err := p.enter(); err != nil {
		return err
	}
	if err := p.drop(); err != nil {
		return err
	}
	if err := syscall.Exec(p.Args[0], p.Args, p.Env); err != nil {
		return fmt.Errorf("%s: %w", p.Args[0], err)
	}
	return nil
}

// enter makes the root directory, and goes there for good.
func (p *plan) enter() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	if err := unix.Mount("root", p.Root, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("the root directory: %w", err)
	}
	for path, text := range p.Files {
		path = filepath.Join(p.Root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(p.Root, "proc"), 0o555); err != nil {
		return err
	}
	if err := unix.Mount("proc", filepath.Join(p.Root, "proc"), "proc", 0, ""); err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	devices := []bind{{Source: "/dev/null", Target: "/dev/null"}, {Source: "/dev/urandom", Target: "/dev/urandom"}}
	for _, b := range slices.Concat(devices, p.Binds) {
		if err := b.mount(p.Root); err != nil {
			return fmt.Errorf("mount %s at %s: %w", b.Source, b.Target, err)
		}
	}
	if p.ReadOnlyRoot {
		if err := unix.Mount("", p.Root, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("a read-only root: %w", err)
		}
	}
	if err := os.Chdir(p.Root); err != nil {
		return err
	}
	// The old root comes to lie over the new one, from where it is taken off.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	return os.Chdir("/")
}

func (b bind) mount(root string) error {
	target := filepath.Join(root, b.Target)
	is, err := os.Stat(b.Source)
	if err != nil {
		return err
	}
	if is.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		err = os.WriteFile(target, nil, 0o644)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := unix.Mount(b.Source, target, "", unix.MS_BIND, ""); err != nil || !b.ReadOnly {
		return err
	}
	return unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
}

// drop gives up what the container may not have: what is not in the bounding set does not come back with the
// exec, for root either.
func (p *plan) drop() error {
	for c := range unix.CAP_LAST_CAP + 1 {
		if slices.Contains(p.Capabilities, c) {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0)
		if err != nil && !errors.Is(err, unix.EINVAL) { // a kernel that does not have it yet
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	if err := syscall.Setgroups(p.Groups); err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	if err := syscall.Setgid(p.GID); err != nil {
		return fmt.Errorf("group: %w", err)
	}
	if err := syscall.Setuid(p.UID); err != nil {
		return fmt.Errorf("user: %w", err)
	}
	if p.NoNewPrivs {
		return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	return nil
}
