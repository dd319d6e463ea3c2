package cloudtest

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"sync"
	"time"
)

// clock is the clock that an option Now stands for.
func clock(now func() time.Time) func() time.Time {
	if now == nil {
		return time.Now
	}
	return now
}

// Alphabets of the identifiers that the services make up.
const (
	base32Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
)

// chance makes up identifiers and secrets. It serialises its reader: a seeded one, as tests
// use for reproducible bytes, is not safe for concurrent use. Keys do not come from here, since
// the standard library takes no randomness from callers for those any more.
type chance struct {
	mu sync.Mutex
	r  io.Reader // guarded by mu
}

func newChance(r io.Reader) *chance {
	return &chance{r: cmp.Or[io.Reader](r, rand.Reader)}
}

// bytes returns n random bytes. It panics if the reader fails: crypto/rand never does, and another
// reader is a test's own.
func (c *chance) bytes(n int) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := make([]byte, n)
	if _, err := io.ReadFull(c.r, b); err != nil {
		panic(fmt.Sprintf("cloudtest: the Rand that was given: %v", err))
	}
	return b
}

// text returns n characters of an alphabet, whose length must be a power of two so that all are
// equally likely.
func (c *chance) text(alphabet string, n int) string {
	b := c.bytes(n)
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

// base64 returns n random bytes in standard base64.
func (c *chance) base64(n int) string {
	return base64.StdEncoding.EncodeToString(c.bytes(n))
}

// uuid returns a random UUID (RFC 9562, version 4).
func (c *chance) uuid() string { return uuid([16]byte(c.bytes(16))) }

func uuid(b [16]byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
