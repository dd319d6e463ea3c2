package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

func TestStatusError(t *testing.T) {
	own := upstream.Reply{Code: "AccessDenied", Message: "no\nway"}
	tests := []struct {
		name   string
		status int
		reply  upstream.Reply
		class  refresher.Class
		text   string
	}{
		{"no answer", 0, upstream.Reply{}, refresher.Transient, "no answer"},
		{"a success that is none", 200, upstream.Reply{}, refresher.Transient, "bad_credential: HTTP status 200"},
		{"redirect", 307, upstream.Reply{}, refresher.Denied, "redirect: HTTP status 307: redirect refused"},
		{"request timeout", 408, upstream.Reply{}, refresher.Transient, "HTTP status 408"},
		{"too many requests", 429, own, refresher.Throttled, "AccessDenied: HTTP status 429: no way"},
		{"too many requests, says a proxy", 429, upstream.Reply{}, refresher.Throttled, "HTTP status 429"},
		{"server error", 500, upstream.Reply{}, refresher.Transient, "HTTP status 500"},
		{"server error in the provider's format", 503, own, refresher.Transient, "AccessDenied: HTTP status 503: no way"},
		{"client error in the provider's format", 403, own, refresher.Settling, "AccessDenied: HTTP status 403: no way"},
		{"client error of somebody else", 404, upstream.Reply{}, refresher.Transient,
			"foreign_response: HTTP status 404 with a body that is not the service's own: a proxy or mesh answers in its place"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			attempt := new(refresher.Attempt)
			attempt.Record(func(d *refresher.AttemptData) { d.Status = tt.status })
			got := upstream.StatusError(refresher.WithAttempt(t.Context(), attempt), tt.reply)
			if got.Class != tt.class || got.Error() != tt.text {
				t.Errorf("StatusError(%d, %+v) = %v %q, want %v %q", tt.status, tt.reply, got.Class, got, tt.class, tt.text)
			}
		})
	}
}

func TestNetworkError(t *testing.T) {
	post := func(err error) error {
		return fmt.Errorf("the SDK's words: %w", &url.Error{Op: "Post", URL: "https://sts.example.com/v1/token?assertion=" + jwt, Err: err})
	}
	address := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"connection refused", post(refused), "sts.example.com: dial 192.0.2.1:443: connection refused"},
		{"proxy refused", post(&net.OpError{Op: "proxyconnect", Net: "tcp", Err: refused}), "sts.example.com: proxyconnect: dial 192.0.2.1:443: connection refused"},
		{"connection reset", post(&net.OpError{Op: "read", Net: "tcp", Addr: address, Err: syscall.ECONNRESET}), "sts.example.com: read 192.0.2.1:443: connection reset by peer"},
		{"no such host", post(&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "sts.example.com", IsNotFound: true}}), "sts.example.com: DNS lookup of sts.example.com: no such host"},
		{"DNS server broken", post(&net.DNSError{Err: "server misbehaving", Name: "sts.example.com"}), "sts.example.com: DNS lookup of sts.example.com: server misbehaving"},
		{"dial timeout", post(&net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: os.ErrDeadlineExceeded}), "sts.example.com: dial 192.0.2.1:443: timed out"},
		{"deadline", post(context.DeadlineExceeded), "sts.example.com: timed out"},
		{"cancelled", post(context.Canceled), "sts.example.com: the request was cancelled"},
		{"closed", post(io.EOF), "sts.example.com: the connection was closed before the answer was complete"},
		{"broken off", post(io.ErrUnexpectedEOF), "sts.example.com: the connection was closed before the answer was complete"},
		{"anything else, cleaned", post(errors.New("odd\n" + jwt)), "sts.example.com: odd REDACTED"},
		{"without a URL", io.EOF, "the service: the connection was closed before the answer was complete"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := upstream.NetworkError(tt.err)
			if got.Class != refresher.Transient || got.Error() != tt.want {
				t.Errorf("NetworkError(%v) = %v %q, want transient %q", tt.err, got.Class, got, tt.want)
			}
			if strings.Contains(got.Error()+got.Hint, "assertion") {
				t.Errorf("NetworkError = %q, with the query of the URL", got)
			}
		})
	}
}
