package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// A service answers requests without a network.
type service func(*http.Request) (*http.Response, error)

func (s service) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

func answer(status int, header http.Header, body io.Reader) *http.Response {
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(body), ProtoMajor: 1, ProtoMinor: 1}
}

func newTransport(t *testing.T, o upstream.Options) *upstream.Transport {
	t.Helper()
	transport, err := upstream.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return transport
}

// get sends one request and returns the body, its reading error or that of the request, and what
// the attempt recorded.
func get(t *testing.T, transport *upstream.Transport, url string) (body []byte, facts refresher.AttemptData, err error) {
	t.Helper()
	attempt := new(refresher.Attempt)
	body, err = getWith(t, transport, attempt, url)
	return body, attempt.Data(), err
}

func getWith(t *testing.T, transport *upstream.Transport, attempt *refresher.Attempt, url string) ([]byte, error) {
	t.Helper()
	ctx := refresher.WithAttempt(t.Context(), attempt)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("subject-token"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.Client().Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return io.ReadAll(resp.Body)
}

const cloud = "https://sts.example.com/"

func TestAttemptRecordsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		date := time.Now().Add(time.Hour).UTC()
		transport := newTransport(t, upstream.Options{Base: service(func(*http.Request) (*http.Response, error) {
			time.Sleep(2 * time.Second)
			return answer(503, http.Header{
				"Date":             {date.Format(http.TimeFormat)},
				"Retry-After":      {"7"},
				"X-Amzn-Requestid": {"6f1c9a10-\x1b[31m"},
			}, strings.NewReader("busy")), nil
		})})
		body, facts, err := get(t, transport, cloud)
		if err != nil || string(body) != "busy" {
			t.Errorf("body = %q, %v, want %q: the caller reads what the attempt has read", body, err, "busy")
		}
		if facts.Status != 503 || string(facts.Body) != "busy" || facts.RetryAfter != 7*time.Second || facts.RTT != 2*time.Second {
			t.Errorf("facts = %+v, want status 503, body busy, Retry-After 7s, RTT 2s", facts)
		}
		if want := date.Add(time.Second); !facts.Date.Equal(want) || !facts.DateAt.Equal(time.Now()) {
			t.Errorf("Date = %v at %v, want %v at %v", facts.Date, facts.DateAt, want, time.Now())
		}
		if facts.RequestID != "6f1c9a10-[31m" {
			t.Errorf("RequestID = %q, want it without control characters", facts.RequestID)
		}
	})
}

func TestDateOfASlowAnswerIsNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := newTransport(t, upstream.Options{Base: service(func(*http.Request) (*http.Response, error) {
			time.Sleep(5*time.Second + 1)
			return answer(200, http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}, strings.NewReader("")), nil
		})})
		if _, facts, _ := get(t, transport, cloud); !facts.Date.IsZero() {
			t.Errorf("Date = %v, want none", facts.Date)
		}
	})
}

func TestSecondRequestClearsTheFactsOfTheFirst(t *testing.T) {
	calls := 0
	transport := newTransport(t, upstream.Options{Base: service(func(*http.Request) (*http.Response, error) {
		if calls++; calls == 2 {
			return nil, io.ErrUnexpectedEOF
		}
		return answer(429, http.Header{"Retry-After": {"9"}, "X-Ms-Request-Id": {"one"}}, strings.NewReader("slow down")), nil
	})})
	attempt := new(refresher.Attempt)
	_, _ = getWith(t, transport, attempt, cloud)
	_, _ = getWith(t, transport, attempt, cloud)
	if d := attempt.Data(); d.Status != 0 || d.RetryAfter != 0 || d.RequestID != "" || d.Body != nil {
		t.Errorf("facts after a failed request = %+v, want none of the answered one before it", d)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestBodiesAreBounded(t *testing.T) {
	const limit = 256 << 10
	tests := []struct {
		name    string
		status  int
		body    io.Reader
		want    int // bytes read
		wantErr bool
	}{
		{"a success of exactly the limit is whole", 200, bytes.NewReader(make([]byte, limit)), limit, false},
		{"a success of one byte more is an error", 200, bytes.NewReader(make([]byte, limit+1)), limit, true},
		{"an endless success is an error", 200, endless{}, limit, true},
		{"an endless failure is cut", 500, endless{}, limit, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			transport := newTransport(t, upstream.Options{Base: service(func(*http.Request) (*http.Response, error) {
				return answer(tt.status, nil, tt.body), nil
			})})
			body, facts, err := get(t, transport, cloud)
			if len(body) != tt.want || (err != nil) != tt.wantErr {
				t.Errorf("read %d bytes, %v, want %d bytes and error %v", len(body), err, tt.want, tt.wantErr)
			}
			if tt.status != 200 && len(facts.Body) != limit {
				t.Errorf("the attempt keeps %d bytes, want %d", len(facts.Body), limit)
			}
			if err != nil && upstream.NetworkError(err).Class != refresher.Transient {
				t.Errorf("class of %v = %v, want transient", err, upstream.NetworkError(err).Class)
			}
		})
	}
}

// dripping is a body that gives one byte a second until its request ends.
type dripping struct{ ctx context.Context }

func (d dripping) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		p[0] = '.'
		return 1, nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

func TestRequestEndsAfter15Seconds(t *testing.T) {
	tests := []struct {
		name   string
		answer service
		status int
	}{
		{"no answer at all", func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, 0},
		{"a success that drips", func(r *http.Request) (*http.Response, error) {
			return answer(200, nil, dripping{r.Context()}), nil
		}, 200},
		{"a failure that drips", func(r *http.Request) (*http.Response, error) {
			return answer(500, nil, dripping{r.Context()}), nil
		}, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, facts, err := get(t, newTransport(t, upstream.Options{Base: tt.answer}), cloud)
				if took := time.Since(start); err == nil || took != 15*time.Second {
					t.Errorf("ended after %v with %v, want an error after 15s", took, err)
				}
				if facts.Status != tt.status {
					t.Errorf("status = %d, want %d", facts.Status, tt.status)
				}
				if e := upstream.NetworkError(err); e.Class != refresher.Transient || !strings.Contains(e.Error(), "timed out") {
					t.Errorf("NetworkError = %v (%v), want a transient time-out", e, e.Class)
				}
			})
		})
	}
}

func TestRefusedURLIsNotSent(t *testing.T) {
	transport := newTransport(t, upstream.Options{Base: service(func(r *http.Request) (*http.Response, error) {
		t.Errorf("sent a request to %v", r.URL)
		return nil, errors.New("refused")
	})})
	for _, url := range []string{"http://sts.example.com/", "http://127.0.0.1:1/", "https://x@sts.example.com/", "ftp://sts.example.com/"} {
		_, _, err := get(t, transport, url)
		if e := upstream.NetworkError(err); e.Class != refresher.Denied {
			t.Errorf("request to %s: %v (%v), want denied", url, e, e.Class)
		}
	}
}

func TestNewRefusesACAFileThatCannotBeUsed(t *testing.T) {
	text := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(text, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{text, filepath.Join(t.TempDir(), "missing.pem")} {
		if _, err := upstream.New(upstream.Options{CAFile: file}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("New with CA file %s = %v, want an error that names it", file, err)
		}
	}
}
