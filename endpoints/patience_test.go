package endpoints_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
)

// pipes is a listener without sockets: what waits for a socket stops the clock of a bubble.
type pipes struct {
	accept chan net.Conn
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{accept: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.accept:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9911} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.accept <- pipe{server, p.Addr()}
	return client
}

type pipe struct {
	net.Conn
	local net.Addr
}

func (p pipe) LocalAddr() net.Addr { return p.local }

// inBubble runs a server in virtual time. It is stopped after the test.
func inBubble(t *testing.T, protocol *endpoints.Protocol, test func(t *testing.T, l *pipes, stop func() error)) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, endpoints.ServerOptions{Protocols: []*endpoints.Protocol{protocol}})
		l := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx, l) }()
		stop := func() error {
			cancel()
			err := <-ended
			ended <- err
			return err
		}
		test(t, l, stop)
		if err := stop(); err != nil {
			t.Errorf("Run: %v, want nil", err)
		}
	})
}

// trickle sends one byte each second as long as anybody listens.
func trickle(conn net.Conn, text string) {
	for _, letter := range []byte(text) {
		if _, err := conn.Write([]byte{letter}); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

const request = "GET /vault/token HTTP/1.1\r\nHost: " + address + "\r\nX-Secret: " + password + "\r\n"

func TestServerHangsUpOnASlowHeader(t *testing.T) {
	inBubble(t, vault(), func(t *testing.T, l *pipes, _ func() error) {
		conn := l.dial()
		defer conn.Close()
		start := time.Now()
		var sending sync.WaitGroup
		sending.Go(func() { trickle(conn, request) })
		answers(t, conn, http.MethodGet)
		if got := time.Since(start); got != 2*time.Second {
			t.Errorf("the connection ended after %v, want 2s", got)
		}
		sending.Wait()
	})
}

// Two hundred callers who send one byte each second are gone after two seconds, and in nobody's way
// until then.
func TestServerHangsUpOnManySlowHeaders(t *testing.T) {
	inBubble(t, vault(), func(t *testing.T, l *pipes, _ func() error) {
		start := time.Now()
		var slow sync.WaitGroup
		for range 200 {
			conn := l.dial()
			slow.Go(func() { trickle(conn, request) })
			slow.Go(func() {
				defer conn.Close()
				answers(t, conn, http.MethodGet)
				if got := time.Since(start); got > 2*time.Second {
					t.Errorf("a slow connection ended after %v, want 2s at most", got)
				}
			})
		}
		time.Sleep(1500 * time.Millisecond)
		conn := l.dial()
		asked := time.Now()
		send(t, conn, request+"Connection: close\r\n\r\n")
		if got := answers(t, conn, http.MethodGet); len(got) != 1 || got[0] != "200 "+treasure || time.Since(asked) != 0 {
			t.Errorf("answers are %q after %v, want %q at once", got, time.Since(asked), treasure)
		}
		_ = conn.Close()
		slow.Wait()
	})
}

func TestServerHangsUpOnAnIdleConnection(t *testing.T) {
	inBubble(t, vault(), func(t *testing.T, l *pipes, _ func() error) {
		conn := l.dial()
		defer conn.Close()
		send(t, conn, request+"\r\n")
		start := time.Now()
		if got := answers(t, conn, http.MethodGet); len(got) != 1 || got[0] != "200 "+treasure {
			t.Errorf("answers are %q, want %q", got, treasure)
		}
		if got := time.Since(start); got != time.Minute {
			t.Errorf("the connection ended after %v, want 1m", got)
		}
	})
}

func TestServerHangsUpOnAnEndlessBody(t *testing.T) {
	for _, field := range []string{"Content-Length: 4000", "Content-Length: 1000000", "Transfer-Encoding: chunked"} {
		t.Run(field, func(t *testing.T) {
			inBubble(t, vault(), func(t *testing.T, l *pipes, _ func() error) {
				conn := l.dial()
				defer conn.Close()
				send(t, conn, request+field+"\r\n\r\n")
				start := time.Now()
				var sending sync.WaitGroup
				sending.Go(func() { trickle(conn, strings.Repeat("1\r\nx\r\n", 10)) })
				for _, answer := range answers(t, conn, http.MethodGet) {
					if !strings.HasPrefix(answer, "4") {
						t.Errorf("the answer is %q, want a refusal", answer)
					}
				}
				if got := time.Since(start); got > 5*time.Second {
					t.Errorf("the connection ended after %v, want at most 5s", got)
				}
				sending.Wait()
			})
		})
	}
}

// slow answers after a while.
func slow(hold time.Duration) *endpoints.Protocol {
	p := vault()
	p.Routes["/vault/token"] = endpoints.Route{Methods: endpoints.Read, Handler: func(w http.ResponseWriter, r *http.Request) *endpoints.Refusal {
		select {
		case <-time.After(hold):
			endpoints.Reply(w, http.StatusOK, endpoints.Text, []byte(treasure))
			return nil
		case <-r.Context().Done():
			return endpoints.Refuse(endpoints.NotReady, "gone")
		}
	}}
	return p
}

func TestServerLetsAnswersFinishWhenItStops(t *testing.T) {
	tests := []struct {
		name  string
		hold  time.Duration
		want  string
		after time.Duration
	}{
		{"one that is soon ready", time.Second, "200 " + treasure, 2 * time.Second},
		{"one that is not", time.Minute, "", 2 * time.Second},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, slow(test.hold), func(t *testing.T, l *pipes, stop func() error) {
				conn := l.dial()
				defer conn.Close()
				send(t, conn, request+"\r\n")
				got := make(chan string, 1)
				go func() { got <- strings.Join(answers(t, conn, http.MethodGet), "|") }()
				synctest.Wait()
				start := time.Now()
				if err := stop(); err != nil {
					t.Errorf("Run: %v, want nil", err)
				}
				if took := time.Since(start); took > test.after {
					t.Errorf("Run ended after %v, want at most %v", took, test.after)
				}
				if answer := <-got; answer != test.want {
					t.Errorf("the answer is %q, want %q", answer, test.want)
				}
			})
		})
	}
}

func TestServerStopsWhenTheListenerFails(t *testing.T) {
	s := newServer(t, endpoints.ServerOptions{})
	failure := errors.New("out of order")
	if err := s.Run(t.Context(), brokenListener{newPipes(), failure}); !errors.Is(err, failure) {
		t.Errorf("Run = %v, want %v", err, failure)
	}
}

type brokenListener struct {
	*pipes
	err error
}

func (l brokenListener) Accept() (net.Conn, error) { return nil, l.err }

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}
