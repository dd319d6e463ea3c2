package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// An authority issues certificates for 127.0.0.1.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(240 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{certificate: certificate, key: key, pool: x509.NewCertPool()}
	a.pool.AddCert(certificate)
	return a
}

// issue returns a certificate with a serial number, and its key, in PEM.
func (a *authority) issue(t testing.TB, serial int64, expires time.Time) (chain, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{"wisp-webhook.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: expires, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// A secretVolume is a directory in which a Secret is mounted: the kubelet writes a new folder and swaps a link.
type secretVolume struct {
	dir   string
	swaps int
}

func (v *secretVolume) write(t testing.TB, chain, key []byte) {
	t.Helper()
	old, _ := os.Readlink(filepath.Join(v.dir, "..data")) // none at first
	v.swaps++
	folder := fmt.Sprintf("..2026_%d", v.swaps)
	link := filepath.Join(v.dir, "..data_tmp")
	for _, err := range []error{
		os.Mkdir(filepath.Join(v.dir, folder), 0o755),
		os.WriteFile(filepath.Join(v.dir, folder, "tls.crt"), chain, 0o644),
		os.WriteFile(filepath.Join(v.dir, folder, "tls.key"), key, 0o600),
		os.Symlink(folder, link),
		os.Rename(link, filepath.Join(v.dir, "..data")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if old != "" {
		if err := os.RemoveAll(filepath.Join(v.dir, old)); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(v.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// A leapClock goes on by a second each time it is asked.
type leapClock struct{ seconds atomic.Int64 }

func (c *leapClock) now() time.Time {
	return time.Now().Add(time.Duration(c.seconds.Add(1)) * time.Second)
}

func TestKeyPair(t *testing.T) {
	ca := newAuthority(t)
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	chain1, key1 := ca.issue(t, 1, in(24*time.Hour))
	chain2, key2 := ca.issue(t, 2, in(48*time.Hour))
	expired, expiredKey := ca.issue(t, 3, in(-time.Minute))

	for _, test := range []struct {
		name       string
		chain, key []byte
		serial     int64
		complaint  string // in the log; empty: none
	}{
		{"the same pair again", chain1, key1, 1, ""},
		{"a new pair", chain2, key2, 2, ""},
		{"a key of another certificate", chain2, key1, 1, "private key does not match public key"},
		{"half a certificate", chain2[:len(chain2)/2], key2, 1, "failed to find any PEM data"},
		{"half a key", chain2, key2[:len(key2)/2], 1, "failed to find any PEM data"},
		{"empty files", nil, nil, 1, "failed to find any PEM data"},
		{"garbage", []byte("\x00\xff"), []byte("{}"), 1, "failed to find any PEM data"},
		{"an expired certificate", expired, expiredKey, 1, "the certificate expired at "},
	} {
		t.Run(test.name, func(t *testing.T) {
			log, clock := newLogLines(), new(leapClock)
			m := newMeters()
			volume := &secretVolume{dir: t.TempDir()}
			volume.write(t, chain1, key1)
			p := newKeyPair(keyPairOptions{Dir: volume.dir, Now: clock.now, Log: log.logger(), Meters: m})
			if _, err := p.current(); err != nil {
				t.Fatal(err)
			}
			log.drained()
			volume.write(t, test.chain, test.key)
			for range 3 {
				got, err := p.current()
				if err != nil || got.Leaf.SerialNumber.Int64() != test.serial {
					t.Fatalf("current() = %v, %v, want the certificate with the serial number %d", got.Leaf.SerialNumber, err, test.serial)
				}
			}
			lines := log.drained()
			complaints, failures := strings.Count(lines, `"level":"ERROR"`), m.reloads("failure").Get()
			want := 0
			if test.complaint != "" {
				want = 1 // per content
			}
			if complaints != want || failures != uint64(want) || !strings.Contains(lines, test.complaint) || strings.Contains(lines, "PRIVATE") {
				t.Errorf("%d failures are counted, and the log has %d, want %d with %q:\n%s", failures, complaints, want, test.complaint, lines)
			}
			volume.write(t, chain2, key2)
			if got, err := p.current(); err != nil || got.Leaf.SerialNumber.Int64() != 2 {
				t.Errorf("after a good pair has followed: %v, %v, want the serial number 2", got.Leaf.SerialNumber, err)
			}
		})
	}
}

func TestKeyPairIsReadOnceASecond(t *testing.T) {
	ca := newAuthority(t)
	volume := &secretVolume{dir: t.TempDir()}
	chain, key := ca.issue(t, 1, time.Now().Add(time.Hour))
	volume.write(t, chain, key)
	now := time.Now()
	p := newKeyPair(keyPairOptions{Dir: volume.dir, Now: func() time.Time { return now }, Log: newLogLines().logger(), Meters: newMeters()})
	serial := func() int64 {
		pair, err := p.current()
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf.SerialNumber.Int64()
	}
	serial()
	volume.write(t, nil, nil)
	chain, key = ca.issue(t, 2, time.Now().Add(time.Hour))
	volume.write(t, chain, key)
	now = now.Add(keyPairPace - 1)
	if got := serial(); got != 1 {
		t.Errorf("within a second the serial number is %d, want 1: the files are read too often", got)
	}
	now = now.Add(1)
	if got := serial(); got != 2 {
		t.Errorf("after a second the serial number is %d, want 2", got)
	}
}

// A webhook may be started before its certificate is issued.
func TestKeyPairComesLate(t *testing.T) {
	ca := newAuthority(t)
	log, clock := newLogLines(), new(leapClock)
	volume := &secretVolume{dir: t.TempDir()}
	p := newKeyPair(keyPairOptions{Dir: volume.dir, Now: clock.now, Log: log.logger(), Meters: newMeters()})
	for range 3 {
		if pair, err := p.current(); pair != nil || err == nil || !strings.Contains(err.Error(), "tls.crt: no such file") {
			t.Fatalf("current() = %v, %v, want that there is no tls.crt", pair, err)
		}
	}
	if lines := log.drained(); strings.Count(lines, "\n") != 1 {
		t.Errorf("the log has\n%s\nwant one line", lines)
	}
	chain, key := ca.issue(t, 1, time.Now().Add(time.Hour))
	volume.write(t, chain, key)
	if _, err := p.current(); err != nil {
		t.Errorf("current(): %v", err)
	}
}

// The kubelet removes the old folder as soon as it has swapped the link, which may be between the reads of the two files.
func TestKeyPairIsSwappedWhileItIsRead(t *testing.T) {
	ca := newAuthority(t)
	volume := &secretVolume{dir: t.TempDir()}
	chain, key := ca.issue(t, 1, time.Now().Add(time.Hour))
	volume.write(t, chain, key)
	slow := filepath.Join(volume.dir, "..data", "tls.crt") // whose reader waits for a writer
	if err := errors.Join(os.Remove(slow), syscall.Mkfifo(slow, 0o600)); err != nil {
		t.Fatal(err)
	}
	m := newMeters()
	p := newKeyPair(keyPairOptions{Dir: volume.dir, Now: time.Now, Log: newLogLines().logger(), Meters: m})
	type answer struct {
		pair *tls.Certificate
		err  error
	}
	answers := make(chan answer)
	go func() {
		pair, err := p.current()
		answers <- answer{pair, err}
	}()
	first, err := os.OpenFile(slow, os.O_WRONLY, 0) // waits for the reader
	if err != nil {
		t.Fatal(err)
	}
	next, nextKey := ca.issue(t, 2, time.Now().Add(time.Hour))
	volume.write(t, next, nextKey)
	if _, err := first.Write(chain); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-answers; got.err != nil || got.pair.Leaf.SerialNumber.Int64() != 2 {
		t.Errorf("current() = %v, %v, want the certificate with the serial number 2", got.pair, got.err)
	}
	if got := m.reloads("failure").Get(); got != 0 {
		t.Errorf("%d failed reloads are counted, want none", got)
	}
}
