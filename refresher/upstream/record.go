package upstream

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

const (
	// maxBody bounds every body: answers with credentials are a few KiB.
	maxBody = 256 << 10
	// maxDateRTT is the round-trip time from which the Date header tells too little.
	maxDateRTT = 5 * time.Second

	// absurdRetryAfter marks a header as a mistake rather than a wish.
	absurdRetryAfter = 24 * time.Hour
)

// errBodyTooLong ends the reading of a body of more than maxBody bytes.
var errBodyTooLong = errors.New("the answer is longer than 256 KiB")

// requestIDHeaders are where AWS, Microsoft and Google put what their support asks for.
var requestIDHeaders = []string{"X-Amzn-Requestid", "X-Ms-Request-Id", "X-Goog-Request-Id"}

// record notes what the header of an answer says. The Date header can be believed as far as the
// connection can: the URL check leaves only https, and loopback if that is allowed.
func record(attempt *refresher.Attempt, resp *http.Response, sent time.Time) {
	now := time.Now()
	rtt := now.Sub(sent)
	date, err := http.ParseTime(resp.Header.Get("Date"))
	dated := err == nil
	attempt.Record(func(d *refresher.AttemptData) {
		d.Status = resp.StatusCode
		d.RTT = rtt
		if dated && rtt <= maxDateRTT {
			d.Date, d.DateAt = date.Add(rtt/2), now
		}
		for _, name := range requestIDHeaders {
			if id := resp.Header.Get(name); id != "" {
				d.RequestID = Clean(id)
				break
			}
		}
		if isSuccess(resp) {
			return
		}
		if !dated {
			date = now
		}
		d.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), date)
	})
}

// retryAfter reads a Retry-After header (RFC 9110 section 10.2.3): seconds, or a date, which is
// compared with the Date of the same answer because the local clock may be wrong. What is in the
// past, more than a day away or not understood gives 0. How much of it is granted is the engine's to say.
func retryAfter(header string, date time.Time) time.Duration {
	header = strings.TrimSpace(header)
	var wait time.Duration
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		wait = at.Sub(date)
	}
	if wait <= 0 || wait > absurdRetryAfter {
		return 0
	}
	return wait
}

// bound puts an end to the answer's body. That of a failure is read here, for the Attempt, and
// shown to the caller again.
func bound(attempt *refresher.Attempt, resp *http.Response) {
	if isSuccess(resp) {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxBody}
		return
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	_ = resp.Body.Close()
	attempt.Record(func(d *refresher.AttemptData) { d.Body = body })
	replay := io.Reader(bytes.NewReader(body))
	if err != nil {
		replay = io.MultiReader(replay, failingReader{err})
	}
	resp.Body = io.NopCloser(replay)
}

func isSuccess(resp *http.Response) bool { return resp.StatusCode/100 == 2 }

// boundedBody is a body that fails, rather than ends, after left bytes.
type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 {
		p = p[:b.left+1] // one more, to tell a body of exactly the limit from a longer one
	}
	n, err := b.ReadCloser.Read(p)
	if n > b.left {
		return b.left, errBodyTooLong
	}
	b.left -= n
	return n, err
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }
