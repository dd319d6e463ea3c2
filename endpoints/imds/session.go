package imds

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
)

// The header fields of version 2, in the spelling of http.Header.
const (
	ttlField   = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	tokenField = "X-Aws-Ec2-Metadata-Token"
)

// maxTTL is six hours, in seconds.
const maxTTL = 21600

// A token is when it expires, 24 random bytes, and a MAC of both. Nothing is kept for it, so that
// nobody can push others' tokens out by asking for many: botocore takes a new one, for six hours, each
// time that it needs credentials.
const (
	tokenBody  = 8 + 24
	tokenBytes = tokenBody + sha256.Size
)

// tokenText is strict about the bits that a last character has to spare: one token has one spelling.
var tokenText = base64.RawURLEncoding.Strict()

// sessions gives session tokens out and recognizes them. It is safe for concurrent use.
type sessions struct {
	key [sha256.Size]byte
	// start is what expiry is counted from, so that steps of the wall clock do not matter.
	start time.Time
}

func newSessions() *sessions {
	s := &sessions{start: time.Now()}
	_, _ = rand.Read(s.key[:]) // never fails, says its documentation
	return s
}

// put answers PUT /latest/api/token. The SDKs for Go, Rust and Ruby refuse a token without its lifetime
// beside it; Go then does without tokens.
func (s *sessions) put(w http.ResponseWriter, r *http.Request) *endpoints.Refusal {
	text := r.Header.Get(ttlField)
	seconds, ok := parseTTL(text)
	if !ok {
		return endpoints.Refuse(endpoints.BadRequest, "X-aws-ec2-metadata-token-ttl-seconds has to be a whole number from 1 to 21600")
	}
	w.Header()[ttlField] = []string{text}
	endpoints.Reply(w, http.StatusOK, endpoints.Text, []byte(s.issue(time.Duration(seconds)*time.Second)))
	return nil
}

// parseTTL reads a lifetime in seconds, which has one spelling: digits, the first of them not a zero.
func parseTTL(text string) (seconds int, ok bool) {
	if len(text) > len("21600") || strings.HasPrefix(text, "0") {
		return 0, false
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
		seconds = 10*seconds + int(c-'0')
	}
	return seconds, seconds >= 1 && seconds <= maxTTL
}

func (s *sessions) issue(life time.Duration) string {
	var token [tokenBytes]byte
	binary.BigEndian.PutUint64(token[:], uint64(time.Since(s.start)+life))
	_, _ = rand.Read(token[8:tokenBody]) // never fails
	copy(token[tokenBody:], s.mac(token[:tokenBody]))
	return tokenText.EncodeToString(token[:])
}

// check refuses a token that this process has not given out, or that is over. Clients ask for a new
// one then, whatever was wrong with the old one.
func (s *sessions) check(text string) *endpoints.Refusal {
	if text == "" {
		return endpoints.Refuse(endpoints.Unauthorized, "X-aws-ec2-metadata-token is missing; PUT /latest/api/token gives one")
	}
	if !s.valid(text) {
		return endpoints.Refuse(endpoints.Unauthorized, "X-aws-ec2-metadata-token is wrong or has expired")
	}
	return nil
}

func (s *sessions) valid(text string) bool {
	if len(text) != tokenText.EncodedLen(tokenBytes) { // also because decoding skips line breaks
		return false
	}
	token, err := tokenText.DecodeString(text)
	if err != nil || !hmac.Equal(token[tokenBody:], s.mac(token[:tokenBody])) {
		return false
	}
	return time.Since(s.start) < time.Duration(binary.BigEndian.Uint64(token))
}

func (s *sessions) mac(body []byte) []byte {
	m := hmac.New(sha256.New, s.key[:])
	m.Write(body)
	return m.Sum(nil)
}
