package main

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// keyPairPace is how often the files are looked at, at most.
const keyPairPace = time.Second

// keyPairOptions configure a [keyPair]. All are required.
type keyPairOptions struct {
	Dir    string // of tls.crt and tls.key, as a Secret of the type kubernetes.io/tls has them
	Now    func() time.Time
	Log    *slog.Logger
	Meters *meters
}

// A keyPair is the server's certificate and key, which may change at any time. Its files are read when somebody wants the pair,
// once a second at most: two small reads cost less than a watch and cannot miss anything. A pair that cannot be used, because it is half
// written, its key is another's, or it has expired, changes nothing. It is safe for concurrent use.
type keyPair struct {
	keyPairOptions
	used atomic.Pointer[tls.Certificate] // nil: there has been none

	mu   sync.Mutex        // guards what follows; whoever does not get it goes on with what is used
	next time.Time         // when to look again
	seen [sha256.Size]byte // digest of what the last look found, good or bad
	err  error             // why there is none yet
}

func newKeyPair(o keyPairOptions) *keyPair { return &keyPair{keyPairOptions: o} }

// current returns the pair in use, or why there is none.
func (p *keyPair) current() (*tls.Certificate, error) {
	if p.used.Load() == nil {
		p.mu.Lock() // the first ones have to wait
		defer p.mu.Unlock()
		p.look()
		if used := p.used.Load(); used != nil {
			return used, nil
		}
		return nil, p.err
	}
	if p.mu.TryLock() {
		defer p.mu.Unlock()
		p.look()
	}
	return p.used.Load(), nil
}

// look reads the files if it is time to, and takes the pair if it is a new and good one. Call it with mu held.
func (p *keyPair) look() {
	now := p.Now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(keyPairPace)
	chain, key, err := p.read()
	digest := sha256.Sum256(fmt.Appendf(nil, "%d %s %s %v", len(chain), chain, key, err))
	if digest == p.seen {
		return
	}
	p.seen = digest
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.X509KeyPair(chain, key)
	}
	if err == nil && !now.Before(pair.Leaf.NotAfter) {
		err = fmt.Errorf("the certificate expired at %s", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	if err != nil {
		p.err = fmt.Errorf("the certificate in %s: %w", p.Dir, err)
		p.Meters.reloads("failure").Inc()
		p.Log.Error("certificate not usable", "err", p.err, "kept", p.used.Load() != nil)
		return
	}
	p.used.Store(&pair)
	p.Meters.reloads("success").Inc()
	p.Log.Info("certificate loaded", "serial", pair.Leaf.SerialNumber.Text(16), "expires", pair.Leaf.NotAfter)
}

// read returns both files. The kubelet swaps the whole directory ..data, which is therefore resolved once for both: else
// they might be of two pairs. It then removes the old one, possibly under the reader's hands, who looks at the new one then.
func (p *keyPair) read() (chain, key []byte, err error) {
	for dir := p.directory(); ; {
		var chainErr, keyErr error
		chain, chainErr = os.ReadFile(filepath.Join(dir, "tls.crt"))
		key, keyErr = os.ReadFile(filepath.Join(dir, "tls.key"))
		now := p.directory()
		if now == dir {
			return chain, key, errors.Join(chainErr, keyErr)
		}
		dir = now
	}
}

// directory returns where the files are, with the link ..data resolved if there is one.
func (p *keyPair) directory() string {
	if data, err := filepath.EvalSymlinks(filepath.Join(p.Dir, "..data")); err == nil {
		return data
	}
	return p.Dir
}
