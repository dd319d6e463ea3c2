package gcemetadata_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/refresher"
)

const leaf = "/computeMetadata/v1/project/project-id"

func TestWaitForChange(t *testing.T) {
	etag := get(newServer(t, full(fresh)), leaf).Header().Get("ETag")
	tests := []struct {
		name, query string
		status      int
		after       time.Duration
	}{
		{"not asked for", "", 200, 0},
		{"not asked for, in so many words", "wait_for_change=false&timeout_sec=5", 200, 0},
		{"without a limit", "wait_for_change=true", 200, time.Minute},
		{"in another case", "wait_for_change=TRUE", 200, time.Minute},
		{"with a limit", "wait_for_change=true&timeout_sec=5", 200, 5 * time.Second},
		{"with a limit of 0", "wait_for_change=true&timeout_sec=0", 200, 0},
		{"with a large limit", "wait_for_change=true&timeout_sec=61", 200, time.Minute},
		{"with the largest limit", "wait_for_change=true&timeout_sec=18446744073709551615", 200, time.Minute},
		{"with a limit that is none", "wait_for_change=true&timeout_sec=x", 400, 0},
		{"with a negative limit", "wait_for_change=true&timeout_sec=-1", 400, 0},
		{"an etag alone", "last_etag=" + etag, 200, 0},
		{"a limit alone", "timeout_sec=5", 200, 0},
		{"knowing the value", "wait_for_change=true&last_etag=" + etag, 200, time.Minute},
		{"knowing the value, with a limit", "wait_for_change=true&last_etag=" + etag + "&timeout_sec=7", 200, 7 * time.Second},
		{"knowing another value", "wait_for_change=true&last_etag=0123456789abcdef", 200, 0},
		{"knowing nothing", "wait_for_change=true&last_etag=0", 200, 0},
		{"the etag of another form", "wait_for_change=true&alt=json&last_etag=" + etag, 200, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				w := get(newServer(t, full(fresh)), leaf+"?"+test.query)
				if after := time.Since(start); w.Code != test.status || after != test.after {
					t.Errorf("answer is %d after %v, want %d after %v", w.Code, after, test.status, test.after)
				}
			})
		})
	}
}

func TestWaitForChangeOfADirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := newServer(t, full(fresh)), time.Now()
		w := get(s, "/computeMetadata/v1/?recursive=true&wait_for_change=true&timeout_sec=60")
		if after := time.Since(start); w.Code != 200 || w.Header().Get("ETag") == "" || after != time.Minute {
			t.Errorf("answer is %d after %v, want 200 after 1m", w.Code, after)
		}
	})
}

func TestTokensDoNotWaitForChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := newServer(t, full(fresh)), time.Now()
		get(s, accounts+"default/token?wait_for_change=true")
		get(s, accounts+"default/identity?audience=a&wait_for_change=true")
		if after := time.Since(start); after != 0 {
			t.Errorf("answers came after %v, want at once", after)
		}
	})
}

func TestTheSeventeenthDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, start := newServer(t, full(fresh)), time.Now()
		ctx, leave := context.WithCancel(t.Context())
		var waiting atomic.Int32
		park := func(ctx context.Context) {
			waiting.Add(1)
			defer waiting.Add(-1)
			r := request(http.MethodGet, leaf+"?wait_for_change=true")
			local := r.Context().Value(http.LocalAddrContextKey)
			serve(s, r.WithContext(context.WithValue(ctx, http.LocalAddrContextKey, local)))
		}
		go park(ctx)
		for range 15 {
			go park(t.Context())
		}
		synctest.Wait()
		if got := waiting.Load(); got != 16 {
			t.Errorf("%d requests wait, want 16", got)
		}
		park(t.Context())
		if after := time.Since(start); after != 0 {
			t.Errorf("the 17th was answered after %v, want at once", after)
		}
		leave() // its place is free again
		synctest.Wait()
		go park(t.Context())
		synctest.Wait()
		if got := waiting.Load(); got != 16 {
			t.Errorf("after one left and one came %d requests wait, want 16", got)
		}
		if w := get(s, accounts+"default/token"); w.Code != http.StatusOK {
			t.Errorf("meanwhile a token is answered with %d, want 200", w.Code)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := waiting.Load(); got != 0 {
			t.Errorf("after a minute %d requests wait, want none", got)
		}
	})
}

// Over a connection, a wait is longer than what the server allows for other answers, and the next
// request is bound by the usual limits again.
func TestWaitForChangeOutlastsTheServersDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, full(endpointstest.Fail(refresher.Denied, "")))
		client, server := net.Pipe() // a socket would stop the bubble's clock
		l := &single{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
		l.conn <- addressed{server}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx, l) }()

		start := time.Now()
		answers := bufio.NewReader(client)
		for i := range 2 {
			text := "GET " + leaf + "?wait_for_change=true HTTP/1.1\r\nHost: " + address + "\r\nMetadata-Flavor: Google\r\n\r\n"
			if _, err := io.WriteString(client, text); err != nil {
				t.Fatal(err)
			}
			r, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil || r.StatusCode != http.StatusOK || string(body) != "sample-project" {
				t.Errorf("answer is %d %q %v, want the project", r.StatusCode, body, err)
			}
			if got, want := time.Since(start), time.Duration(i+1)*time.Minute; got != want {
				t.Errorf("answer %d came after %v, want %v", i, got, want)
			}
		}
		start = time.Now()
		if _, err := io.WriteString(client, "GET "); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, client)
		if got := time.Since(start); got > 3*time.Second {
			t.Errorf("a slow request ended after %v, want 2s", got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v, want nil", err)
		}
	})
}

// single is a listener with one connection.
type single struct {
	conn   chan net.Conn
	closed chan struct{}
}

func (s *single) Accept() (net.Conn, error) {
	select {
	case c := <-s.conn:
		return c, nil
	case <-s.closed:
		return nil, net.ErrClosed
	}
}

func (s *single) Close() error { close(s.closed); return nil }
func (*single) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9911} }

type addressed struct{ net.Conn }

func (addressed) LocalAddr() net.Addr { return (*single)(nil).Addr() }
