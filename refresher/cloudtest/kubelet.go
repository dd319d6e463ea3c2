package cloudtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// A ProjectedToken is a token of a projected volume (serviceAccountToken in the Pod's specification).
type ProjectedToken struct {
	Path     string        // in the volume, slash-separated; it may have directories
	Audience string        // for Mint
	Lifetime time.Duration // for Mint, and to know when to renew; 0 is one hour
}

// KubeletOptions configure a [Kubelet].
type KubeletOptions struct {
	Dir    string // the volume's directory; made if it is missing, and the Kubelet's alone
	Tokens []ProjectedToken
	// Mint makes the content of a file, with an [Issuer] say:
	//
	//	func(p cloudtest.ProjectedToken) string {
	//		return issuer.Mint(cloudtest.TokenOptions{Audience: []string{p.Audience}, Lifetime: p.Lifetime})
	//	}
	Mint func(ProjectedToken) string

	// Modes and owner, as a real kubelet sets them:
	//
	//	users of the Pod           Mode  DirMode  RootMode  Owner
	//	several, or unknown        0644  0755     1777      nil (root)
	//	one runAsUser for all      0600  0755     1777      that user
	//	fsGroup                    0640  2755     3777      root, that group
	//	one runAsUser and fsGroup  0640  2755     3777      that user, that group
	Mode     fs.FileMode // of the files; 0 is 0644
	DirMode  fs.FileMode // of the data directory; 0 is 0755
	RootMode fs.FileMode // of Dir; 0 is 1777
	Owner    *Owner      // of what is in Dir; nil leaves it

	// Interval between rotations by Run; 0 renews each token at 80 % of its life, at 24 h at the latest.
	Interval time.Duration
	Now      func() time.Time // nil is time.Now
	Rand     io.Reader        // for the names of data directories; nil is crypto/rand
}

// An Owner is a user and a group.
type Owner struct{ UID, GID int }

// A Kubelet keeps projected service-account tokens in a directory, in the layout and with the sequence
// of system calls of the real one's AtomicWriter (k8s.io/kubernetes/pkg/volume/util):
//
//	..2026_01_02_03_04_05.1234567890/token   the data, in a new directory each time
//	..data -> ..2026_01_02_03_04_05.1234567890
//	token -> ..data/token
//
// The swap is a rename over ..data, so a reader sees all old files or all new ones. It is safe for
// concurrent use. It touches nothing outside Dir, whatever links are in there.
type Kubelet struct {
	o      KubeletOptions
	now    func() time.Time
	chance *chance

	mu    sync.Mutex
	files []projectedFile // guarded by mu, which also serialises writing
}

type projectedFile struct {
	ProjectedToken
	content []byte
	renew   time.Time
}

// NewKubelet returns a kubelet that has not written anything yet. An option that makes no sense is
// an error.
func NewKubelet(o KubeletOptions) (*Kubelet, error) {
	if o.Dir == "" || o.Mint == nil || len(o.Tokens) == 0 {
		return nil, errors.New("cloudtest: a Kubelet needs Dir, Tokens and Mint")
	}
	o.Mode = cmp.Or(o.Mode, 0o644)
	o.DirMode = cmp.Or(o.DirMode, 0o755)
	o.RootMode = cmp.Or(o.RootMode, 0o777|fs.ModeSticky)
	k := &Kubelet{o: o, now: clock(o.Now), chance: newChance(o.Rand)}
	for _, token := range o.Tokens {
		if !fs.ValidPath(token.Path) || token.Path == "." || strings.HasPrefix(token.Path, "..") {
			return nil, fmt.Errorf("cloudtest: %q cannot be a path in a volume", token.Path)
		}
		token.Lifetime = cmp.Or(token.Lifetime, time.Hour)
		k.files = append(k.files, projectedFile{ProjectedToken: token})
	}
	return k, nil
}

// Rotate makes new tokens for all paths, the first time or again, and returns when they are in
// place.
func (k *Kubelet) Rotate() error {
	return k.renew(func(projectedFile) bool { return true })
}

// Run lays the volume out unless Rotate has done so, and renews tokens until ctx ends, which is no
// error.
func (k *Kubelet) Run(ctx context.Context) error {
	if err := k.renew(func(f projectedFile) bool { return f.content == nil }); err != nil {
		return err
	}
	for {
		timer := time.NewTimer(k.wait())
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		now := k.now()
		err := k.renew(func(f projectedFile) bool { return k.o.Interval > 0 || !f.renew.After(now) })
		if err != nil {
			return err
		}
	}
}

// wait is how long to sleep until a token is due.
func (k *Kubelet) wait() time.Duration {
	if k.o.Interval > 0 {
		return k.o.Interval
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	first := slices.MinFunc(k.files, func(a, b projectedFile) int { return a.renew.Compare(b.renew) })
	return max(first.renew.Sub(k.now()), time.Millisecond)
}

// renew makes new tokens for the files that are due, and writes all files if that changed any.
func (k *Kubelet) renew(due func(projectedFile) bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	files := slices.Clone(k.files)
	changed := false
	for i, f := range files {
		if !due(f) {
			continue
		}
		content := []byte(k.o.Mint(f.ProjectedToken))
		changed = changed || f.content == nil || !bytes.Equal(content, f.content)
		files[i].content = content
		// A token with a long life is still renewed once a day.
		files[i].renew = now.Add(min(f.Lifetime*4/5, 24*time.Hour))
	}
	if changed {
		if err := k.write(files, now); err != nil {
			return fmt.Errorf("cloudtest: write %s: %w", k.o.Dir, err)
		}
	}
	k.files = files
	return nil
}

// write is AtomicWriter.Write. The order of its steps is what a watcher of Dir sees.
func (k *Kubelet) write(files []projectedFile, now time.Time) error {
	if err := os.MkdirAll(k.o.Dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(k.o.Dir)
	if err != nil {
		return err
	}
	defer root.Close()

	old, err := root.Readlink("..data")
	if errors.Is(err, fs.ErrNotExist) {
		err = root.Chmod(".", k.o.RootMode)
	}
	if err != nil {
		return err
	}
	data := now.UTC().Format("..2006_01_02_15_04_05.") + k.chance.text("01234567", 10)
	if err := k.writeData(root, data, files); err != nil {
		return errors.Join(err, root.RemoveAll(data))
	}
	if err := k.swap(root, data); err != nil {
		return errors.Join(err, root.RemoveAll(data))
	}
	for _, f := range files {
		if err := k.expose(root, f.Path); err != nil {
			return err
		}
	}
	if old == "" {
		return nil
	}
	return root.RemoveAll(old)
}

// writeData fills a new data directory.
func (k *Kubelet) writeData(root *os.Root, data string, files []projectedFile) error {
	if err := root.Mkdir(data, 0o700); err != nil {
		return err
	}
	if err := root.Chmod(data, k.o.DirMode); err != nil { // past the umask
		return err
	}
	if err := k.own(root, data); err != nil {
		return err
	}
	for _, f := range files {
		name := path.Join(data, f.Path)
		if err := root.MkdirAll(path.Dir(name), k.o.DirMode.Perm()); err != nil {
			return err
		}
		for dir := path.Dir(name); dir != data; dir = path.Dir(dir) {
			if err := root.Chmod(dir, k.o.DirMode); err != nil {
				return err
			}
		}
		if err := root.WriteFile(name, f.content, k.o.Mode); err != nil {
			return err
		}
		if err := root.Chmod(name, k.o.Mode); err != nil {
			return err
		}
		if err := k.own(root, name); err != nil {
			return err
		}
	}
	return nil
}

// swap makes a data directory the current one.
func (k *Kubelet) swap(root *os.Root, data string) error {
	if err := root.Symlink(data, "..data_tmp"); err != nil {
		return err
	}
	if err := k.own(root, "..data_tmp"); err != nil {
		return err
	}
	return root.Rename("..data_tmp", "..data")
}

// expose makes the link by which programs find a file: one for the first element of its path.
func (k *Kubelet) expose(root *os.Root, file string) error {
	name, _, _ := strings.Cut(file, "/")
	_, err := root.Lstat(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := root.Symlink(path.Join("..data", name), name); err != nil {
		return err
	}
	return k.own(root, name)
}

func (k *Kubelet) own(root *os.Root, name string) error {
	if k.o.Owner == nil {
		return nil
	}
	return root.Lchown(name, k.o.Owner.UID, k.o.Owner.GID)
}
