package source

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// FileOptions configure a [File].
type FileOptions struct {
	// Path of the token file. A relative path is taken from the working directory at [NewFile].
	// Required.
	Path string
	// Format of the file. The zero Format is a file that holds the token alone.
	Format Format
	// Type of the token: refresher.TypeJWT (the default), TypeIDToken, TypeSAML2, or TypeAccessToken for
	// one that another authorization server has issued.
	Type string
	// Audiences: a JWT should be for one of them, or a warning is logged. It is used nevertheless, since
	// the cloud decides. None: any will do.
	Audiences []string
	// Watcher, shared by all files of the process, makes changes known at once. Nil: the file is
	// polled.
	Watcher *Watcher
	// Poll leaves inotify alone, as if Watcher were nil.
	Poll bool
	// Log receives what this source notices about the file. Nil discards.
	Log *slog.Logger
}

// A File is the token in a file that somebody else keeps fresh, such as the kubelet. It implements
// [refresher.Source], [refresher.Notifier] and [refresher.Runner]. Without Run it works too, but
// notices a new token only when asked for one.
//
// A token that cannot be read does not displace one that could: the last good token is used
// until it expires.
type File struct {
	path      string
	format    Format
	tokenType string
	audiences []string
	watcher   *Watcher
	log       *slog.Logger
	changed   chan struct{}
	trouble   chan struct{} // tells Run that Token found the file unusable: it polls faster then
	status    atomic.Pointer[FileStatus]

	// mu is held while the file is read too: one reader after the other, or a slow one could bring
	// back an old token. It guards what follows.
	mu        sync.Mutex
	last      *reading // the last good one, nil if none; a pointer also keeps it from being printed
	failed    bool     // the file could not be used when it was read last
	rotations int      // how often one good token followed another
}

// A reading is a token that was found in the file.
type reading struct {
	token  refresher.Token
	claims refresher.Claims  // zero for other types than JWT
	sum    [sha256.Size]byte // of the file's content
	at     time.Time
}

// FileStatus is the present state of a [File], as its Run has found it.
type FileStatus struct {
	// State is empty, or refresher.CodeSubjectMissing or CodeSubjectInvalid if the file has held
	// no token for longer than it takes to write one.
	State string
	// Watch is how the file is watched: "inotify" or "poll"; empty before Run.
	Watch string
	// SubPath: the file is mounted by subPath and will never change.
	SubPath bool
	// NotRotated: the token is past 90 % of its life and has never been replaced.
	NotRotated bool
}

// NewFile checks the options; it does not look at the file.
func NewFile(o FileOptions) (*File, error) {
	f := &File{
		format:    o.Format,
		tokenType: cmp.Or(o.Type, refresher.TypeJWT),
		audiences: o.Audiences,
		watcher:   o.Watcher,
		log:       o.Log,
		changed:   make(chan struct{}, 1),
		trouble:   make(chan struct{}, 1),
	}
	if o.Poll {
		f.watcher = nil
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.status.Store(&FileStatus{})

	var problems []error
	if !slices.Contains(documentTypes, f.tokenType) {
		problems = append(problems, fmt.Errorf("token type %q: a file holds one of %s", f.tokenType, strings.Join(documentTypes, ", ")))
	}
	switch {
	case o.Path == "":
		problems = append(problems, errors.New("path is missing"))
	case strings.ContainsRune(o.Path, 0):
		problems = append(problems, errors.New("path has a NUL in it"))
	case strings.HasSuffix(o.Path, "/"):
		problems = append(problems, fmt.Errorf("path %s is a directory: add the name of the token's file", o.Path))
	default:
		path, err := filepath.Abs(o.Path)
		if err != nil {
			problems = append(problems, fmt.Errorf("path: %w", err))
		}
		f.path = path
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return f, nil
}

// Path returns the absolute path of the file.
func (f *File) Path() string { return f.path }

// Changed implements [refresher.Notifier]: it fires when the file holds another valid token than
// before, or the first one after it held none.
func (f *File) Changed() <-chan struct{} { return f.changed }

// Status returns the present state. It never waits for the file.
func (f *File) Status() FileStatus { return *f.status.Load() }

// Token implements [refresher.Source]. It reads the file at each call. If that gives no
// token, it returns the last good one unless that has expired, and else a [*refresher.Error] of
// class [refresher.SubjectToken]. A token in the file is returned even if it has expired: by which
// clock, the engine knows better.
func (f *File) Token(context.Context) (refresher.Token, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.failed
	_, err := f.read()
	if f.failed && !before {
		notify(f.trouble)
	}
	if err != nil && !f.lastUsable() {
		return refresher.Token{}, err
	}
	return f.last.token, nil
}

// lastUsable reports whether there is a last good token that has not expired. Call it with mu held.
func (f *File) lastUsable() bool {
	if f.last == nil {
		return false
	}
	expires := f.last.token.Expires
	return expires.IsZero() || time.Now().Before(expires)
}

// read looks at the file and takes over the token that it holds. It returns why there is none,
// a [*refresher.Error], and a digest of what was read. Call it with mu held.
func (f *File) read() (sum [sha256.Size]byte, err error) {
	next, failure := f.look()
	if failure != nil {
		f.failed = true
		return next.sum, failure
	}
	previous, refused := f.last, f.failed
	f.failed = false
	if previous != nil && previous.token.Raw == next.token.Raw {
		previous.sum = next.sum
		return next.sum, nil
	}
	f.last = &next
	if previous != nil {
		f.rotations++
	}
	// Who asks for the first token gets it; only who was refused before has to be told.
	if previous != nil || refused {
		notify(f.changed)
	}
	f.remark(previous, &next)
	return next.sum, nil
}

// look reads and checks the file. Of a failure it tells the digest, too, if there was content.
func (f *File) look() (reading, *refresher.Error) {
	text, failure := readFile(f.path)
	if failure != nil {
		return reading{}, failure
	}
	// The token itself becomes a string, which cannot be zeroed; at least no second copy stays.
	defer clear(text[:cap(text)])
	r := reading{sum: sha256.Sum256(text), at: time.Now()}
	if f.last != nil && f.last.sum == r.sum {
		r.token, r.claims = f.last.token, f.last.claims
		return r, nil
	}
	if err := f.parse(text, &r); err != nil {
		return r, malformed(f.path, err)
	}
	return r, nil
}

// parse fills r from the file's content.
func (f *File) parse(text []byte, r *reading) (err error) {
	if r.token, r.claims, err = f.format.token(text, f.tokenType); err != nil {
		return err
	}
	if isJWT(f.tokenType) && f.lastUsable() && cutOff(f.last, r) {
		return errors.New("JWT signature is shorter than the same key's last one: the file is still being written")
	}
	return nil
}

// cutOff reports whether next's signature is only the beginning of one. A JWT that lacks the end of
// its signature is well-formed; but signatures of one key have one length (RFC 7518 section 3).
func cutOff(previous, next *reading) bool {
	before, now := previous.claims, next.claims
	return now.KeyID != "" && now.KeyID == before.KeyID &&
		now.Issuer == before.Issuer && now.Algorithm == before.Algorithm &&
		signatureLen(next.token.Raw) < signatureLen(previous.token.Raw)
}

func signatureLen(jwt refresher.Secret) int {
	text := jwt.Reveal()
	return len(text) - strings.LastIndexByte(text, '.')
}

// notify leaves a value in a channel of capacity 1, unless there is one.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
