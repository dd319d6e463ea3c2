package endpoints_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest/patient"
)

// watchdog bounds what waits for a socket: a test that reaches it has failed.
const watchdog = 30 * time.Second

// serve runs the vault on a free port and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	l, err := endpoints.Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, endpoints.ServerOptions{Protocols: []*endpoints.Protocol{vault()}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, patient.Listener(l)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v, want nil", err)
		}
	})
	return l.Addr().String()
}

// raw sends text as it is, says that no more comes, and returns all answers until the server closes
// the connection, as "status body".
func raw(t *testing.T, addr, text string) []string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(watchdog))
	go func() {
		_, _ = io.WriteString(conn, text) // fails if the server has had enough
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	method, _, _ := strings.Cut(text, " ")
	return answers(t, conn, method)
}

// answers reads them from a connection.
func answers(t *testing.T, conn io.Reader, method string) []string {
	t.Helper()
	var all []string
	reader := bufio.NewReader(conn)
	for {
		r, err := http.ReadResponse(reader, &http.Request{Method: method})
		if err != nil {
			if errors.Is(err, net.ErrClosed) || strings.Contains(err.Error(), "timeout") {
				t.Fatalf("waiting for an answer: %v", err)
			}
			return all
		}
		text, err := io.ReadAll(r.Body)
		if err != nil && !errors.Is(err, syscall.ECONNRESET) { // net/http refuses some requests without reading on
			t.Fatalf("reading an answer: %v", err)
		}
		for name := range r.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("an answer has the field %s", name)
			}
		}
		all = append(all, strings.TrimSpace(fmt.Sprintf("%d %s", r.StatusCode, text)))
	}
}

func TestServerOverRawConnections(t *testing.T) {
	addr := serve(t)
	// ADDR stands for the server's address, OK for the fields of a good request.
	fields := func(n int) string { return strings.Repeat("A: 1\r\n", n) }
	const (
		given      = "200 " + treasure
		badHost    = "403 vault: the Host header names a different server"
		bad        = "400 400 Bad Request" // net/http's own
		tooLarge   = "431 431 Request Header Fields Too Large"
		tooMany    = "431 vault: too many header fields"
		noHost     = "400 vault: the Host header is missing"
		wrongWay   = "405 vault: this path does not answer this method"
		unexpected = "400 vault: a chunked body makes no sense here"
	)
	tests := []struct {
		name, request string
		want          []string
	}{
		{"a good request", "GET /vault/token HTTP/1.1\r\nOK\r\n", []string{given}},
		{"HEAD", "HEAD /vault/token HTTP/1.1\r\nOK\r\n", []string{"200"}},
		{"HEAD without a secret", "HEAD /vault/token HTTP/1.1\r\nHost: ADDR\r\n\r\n", []string{"401"}},
		{"HTTP/1.0", "GET /vault/token HTTP/1.0\r\nOK\r\n", []string{given}},
		{"HTTP/1.0 without Host", "GET /vault/token HTTP/1.0\r\nX-Secret: " + password + "\r\n\r\n", []string{noHost}},
		{"HTTP/1.0, kept alive", strings.Repeat("GET /vault/token HTTP/1.0\r\nConnection: keep-alive\r\nOK\r\n", 2), []string{given, given}},
		{"no Host", "GET /vault/token HTTP/1.1\r\nX-Secret: " + password + "\r\n\r\n", []string{"400 400 Bad Request: missing required Host header"}},
		{"an empty Host", "GET /vault/token HTTP/1.1\r\nHost:\r\nX-Secret: " + password + "\r\n\r\n", []string{noHost}},
		{"two Hosts", "GET /vault/token HTTP/1.1\r\nHost: ADDR\r\nOK\r\n", []string{bad}},
		{"another port", "GET /vault/token HTTP/1.1\r\nHost: 127.0.0.1:1\r\nX-Secret: " + password + "\r\n\r\n", []string{badHost}},
		{"an absolute target elsewhere", "GET http://evil.example/vault/token HTTP/1.1\r\nOK\r\n", []string{badHost}},
		{"an absolute target here, Host elsewhere", "GET http://ADDR/vault/token HTTP/1.1\r\nHost: evil.example\r\nX-Secret: " + password + "\r\n\r\n", []string{given}},
		{"an absolute target without a path", "GET http://ADDR HTTP/1.1\r\nOK\r\n", []string{given}},
		{"two slashes and a name in front", "GET //evil.example/vault/token HTTP/1.1\r\nOK\r\n", []string{"404 there is nothing at this path"}},
		{"X-Forwarded-For in lower case", "GET /vault/token HTTP/1.1\r\nx-forwarded-for: 127.0.0.1\r\nOK\r\n", []string{"403 vault: forwarded requests are refused; ask on the loopback address, without a proxy"}},

		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nOK\r\n", []string{"404 there is nothing at this path"}},
		{"OPTIONS * from elsewhere", "OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n", []string{"403 the Host header names a different server"}},
		{"TRACE", "TRACE /vault/token HTTP/1.1\r\nOK\r\n", []string{wrongWay}},
		{"CONNECT to an address", "CONNECT ADDR HTTP/1.1\r\nOK\r\n", []string{wrongWay}},
		{"CONNECT to an address elsewhere", "CONNECT evil.example:443 HTTP/1.1\r\nOK\r\n", []string{badHost}},
		{"CONNECT to a path", "CONNECT /vault/token HTTP/1.1\r\nOK\r\n", []string{wrongWay}},
		{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", []string{"400 the Host header is missing"}},
		{"HTTP/2 by upgrade", "GET /vault/token HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nOK\r\n", []string{given}},
		{"HTTP/3.0", "GET /vault/token HTTP/3.0\r\nOK\r\n", []string{"505 505 HTTP Version Not Supported: unsupported protocol version"}},
		{"no HTTP", "EHLO localhost\r\n", []string{bad}},

		{"a path of 16 KiB", "GET /" + strings.Repeat("x", 16<<10) + " HTTP/1.1\r\nOK\r\n", []string{tooLarge}},
		{"a header block of 64 KiB", "GET /vault/token HTTP/1.1\r\nA: " + strings.Repeat("x", 64<<10) + "\r\nOK\r\n", []string{tooLarge}},
		{"a secret of 1 MiB", "GET /vault/token HTTP/1.1\r\nHost: ADDR\r\nX-Secret: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", []string{tooLarge}},
		{"1000 fields", "GET /vault/token HTTP/1.1\r\n" + fields(1000) + "OK\r\n", []string{tooMany}},
		{"100 fields besides Host", "GET /vault/token HTTP/1.1\r\n" + fields(99) + "OK\r\n", []string{given}},
		{"a NUL in a field", "GET /vault/token HTTP/1.1\r\nA: \x00\r\nOK\r\n", []string{bad}},
		{"a NUL in the path", "GET /vault/token\x00 HTTP/1.1\r\nOK\r\n", []string{bad}},
		{"a space before the colon", "GET /vault/token HTTP/1.1\r\nX-Secret : x\r\nOK\r\n", []string{bad + ": invalid header name"}},
		{"lines that end without CR", "GET /vault/token HTTP/1.1\nHost: ADDR\nX-Secret: " + password + "\n\n", []string{given}},

		{"a body of one byte, then another request", "GET /vault/token?1 HTTP/1.1\r\nContent-Length: 1\r\nOK\r\nxGET /vault/token?2 HTTP/1.1\r\nOK\r\n", []string{given + "1", given + "2"}},
		{"a body of 5 KiB closes", "GET /vault/token HTTP/1.1\r\nContent-Length: 5120\r\nOK\r\n" + strings.Repeat("x", 5120) + "GET /vault/token HTTP/1.1\r\nOK\r\n", []string{"413 vault: the body is too large"}},
		{"a refused request with a body closes", "GET /vault/token HTTP/1.1\r\nHost: ADDR\r\nContent-Length: 4\r\n\r\n----GET /vault/token HTTP/1.1\r\nOK\r\n", []string{"401 vault: the secret is wrong"}},
		{"a chunked body with GET", "GET /vault/token HTTP/1.1\r\nTransfer-Encoding: chunked\r\nOK\r\n0\r\n\r\n", []string{unexpected}},
		{"a chunked body with PUT is answered, then the connection closes", "PUT /vault/put HTTP/1.1\r\nTransfer-Encoding: chunked\r\nOK\r\n0\r\n\r\nGET /vault/token HTTP/1.1\r\nOK\r\n", []string{given}},
		{"a chunked form", "POST /vault/form HTTP/1.1\r\nTransfer-Encoding: chunked\r\nOK\r\n3\r\na=b\r\n0\r\n\r\n", []string{given + "3"}},
		{"chunked and a length with GET", "GET /vault/token HTTP/1.1\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\nOK\r\n0\r\n\r\nGET /vault/token HTTP/1.1\r\nOK\r\n", []string{unexpected}},
		{"chunked and a length with PUT", "PUT /vault/put HTTP/1.1\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\nOK\r\n0\r\n\r\nGET /vault/token HTTP/1.1\r\nOK\r\n", []string{given}},
		{"two lengths", "GET /vault/token HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\nOK\r\nxx", []string{bad}},
		{"two equal lengths", "GET /vault/token HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\nOK\r\nx", []string{given}},
		{"a negative length", "GET /vault/token HTTP/1.1\r\nContent-Length: -1\r\nOK\r\n", []string{bad}},
		{"an unknown transfer encoding", "GET /vault/token HTTP/1.1\r\nTransfer-Encoding: xchunked\r\nOK\r\n0\r\n\r\n", []string{"501 Unsupported transfer encoding"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			request := strings.ReplaceAll(test.request, "OK\r\n", "Host: ADDR\r\nX-Secret: "+password+"\r\n\r\n")
			got := raw(t, addr, strings.ReplaceAll(request, "ADDR", addr))
			if strings.Join(got, "|") != strings.Join(test.want, "|") {
				t.Errorf("answers are %q, want %q", got, test.want)
			}
		})
	}
}

func TestServerAnswersPipelinedRequestsInOrder(t *testing.T) {
	addr := serve(t)
	const n = 1000
	var request strings.Builder
	for i := range n {
		fmt.Fprintf(&request, "GET /vault/token?%d HTTP/1.1\r\nHost: %s\r\nX-Secret: %s\r\n\r\n", i, addr, password)
	}
	got := raw(t, addr, request.String())
	if len(got) != n {
		t.Fatalf("%d answers, want %d", len(got), n)
	}
	for i, answer := range got {
		if want := fmt.Sprintf("200 %s%d", treasure, i); answer != want {
			t.Fatalf("answer %d is %q, want %q", i, answer, want)
		}
	}
}

func TestServerOnIPv6(t *testing.T) {
	l, err := endpoints.Listen(t.Context(), netip.MustParseAddrPort("[::1]:0"))
	if err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	}
	s := newServer(t, endpoints.ServerOptions{Protocols: []*endpoints.Protocol{vault()}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, patient.Listener(l)) }()
	addr := l.Addr().String()
	for host, want := range map[string]string{
		addr:               "200 " + treasure,
		"[::1]":            "200 " + treasure,
		"localhost":        "200 " + treasure,
		"127.0.0.1":        "403 vault: the Host header names a different server",
		"[::ffff:7f00:1]":  "403 vault: the Host header names a different server",
		"[fd00:ec2::254]":  "200 " + treasure,
		"[fd00:ec2::0254]": "403 vault: the Host header names a different server",
	} {
		got := raw(t, addr, "GET /vault/token HTTP/1.1\r\nHost: "+host+"\r\nX-Secret: "+password+"\r\n\r\n")
		if len(got) != 1 || got[0] != want {
			t.Errorf("Host %s: answers are %q, want %q", host, got, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v, want nil", err)
	}
}
