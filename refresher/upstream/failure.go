package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"github.com/wisp-sidecar/wisp/refresher"
)

// CodeRedirect: the service answered with a redirect, which is never followed.
const CodeRedirect = "redirect"

// A Reply is what a provider's own error body says. The zero Reply stands for a body that is not in
// the provider's format: somebody else wrote it.
type Reply struct {
	Code    string // the provider's error code
	Message string // raw; StatusError cleans it
}

// StatusError sorts the last answer recorded in ctx's [refresher.Attempt] by its status alone. It
// is the rule for everything that an exchanger does not know better; exchangers refine what it
// returns. Any status without an entry of its own lands in a class that heals by itself.
func StatusError(ctx context.Context, reply Reply) *refresher.Error {
	status := refresher.AttemptFrom(ctx).Data().Status
	text := fmt.Sprintf("HTTP status %d", status)
	if message := Clean(reply.Message); message != "" {
		text += ": " + message
	}
	e := &refresher.Error{Code: Clean(reply.Code), Err: errors.New(text)}
	switch {
	case status == 0:
		e.Class, e.Err = refresher.Transient, errors.New("no answer")
	case status/100 == 2:
		e.Class, e.Code = refresher.Transient, refresher.CodeBadCredential
	case status/100 == 3:
		e.Class, e.Code = refresher.Denied, CodeRedirect
		e.Err = fmt.Errorf("HTTP status %d: redirect refused", status)
		e.Hint = "a cloud's endpoint does not redirect: correct the endpoint, or the proxy that answers in its place"
	case status == 429:
		e.Class = refresher.Throttled
	case status == 408 || status >= 500:
		e.Class = refresher.Transient
	case reply == Reply{}:
		e.Class, e.Code = refresher.Transient, refresher.CodeForeignResponse
		e.Err = fmt.Errorf("HTTP status %d with a body that is not the service's own: a proxy or mesh answers in its place", status)
	default:
		e.Class = refresher.Settling
	}
	return Advise(e)
}

// Advise adds what can be said about a failure of which nothing more is known than its class.
func Advise(e *refresher.Error) *refresher.Error {
	switch {
	case e.Hint != "":
	case e.Code == refresher.CodeForeignResponse:
		e.Hint = "find out who answers: a proxy (HTTPS_PROXY), a mesh, an egress gateway, or another service at this address"
	case e.Class == refresher.Throttled:
		e.Hint = "the service wants fewer calls; wisp tries again by itself"
	case e.Class == refresher.Transient:
		e.Hint = "the service is out of order for now; wisp tries again by itself"
	}
	return e
}

// NetworkError sorts the failure of a request that got no complete answer. Certificates that cannot
// be verified and protocol versions that are too old are [refresher.Denied], because wisp never
// lowers its guard; everything else, names that do not resolve included, is
// [refresher.Transient]: at the start of a Pod all of it is normal. The text names host and cause;
// it never holds a URL's path or query.
//
// An error that is already an [*refresher.Error], such as the refusal of a URL by
// [Transport.RoundTrip], is returned as it is.
func NetworkError(err error) *refresher.Error {
	if known, ok := errors.AsType[*refresher.Error](err); ok {
		return known
	}
	host := "the service"
	if failed, ok := errors.AsType[*url.Error](err); ok {
		if u, parseErr := url.Parse(failed.URL); parseErr == nil && u.Host != "" {
			host = Clean(u.Host)
		}
	}
	if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		problem, hint := distrust(bad)
		return &refresher.Error{
			Class: refresher.Denied,
			Err:   fmt.Errorf("certificate of %s: %s", host, problem),
			Hint:  hint,
		}
	}
	if isOldProtocol(err) {
		return &refresher.Error{
			Class: refresher.Denied,
			Err:   fmt.Errorf("%s does not speak TLS 1.2 or later", host),
			Hint:  "wisp does not use older versions: update the server or the proxy in front of it",
		}
	}
	return &refresher.Error{
		Class: refresher.Transient,
		Err:   fmt.Errorf("%s: %s", host, cause(err)),
		Hint:  "check the network from this Pod: DNS, egress policy, HTTPS_PROXY; wisp tries again by itself",
	}
}

// distrust says why a certificate was not accepted, without the names in its chain, and what may
// be done about it.
func distrust(bad *tls.CertificateVerificationError) (problem, hint string) {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](bad); ok {
		return "signed by an authority that is not trusted",
			"if a proxy here intercepts TLS, name the file with its CA in upstream.caFile"
	}
	if _, ok := errors.AsType[x509.HostnameError](bad); ok {
		return "made out for another name", "correct the endpoint, or what the name resolves to"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](bad); ok && invalid.Reason == x509.Expired {
		return "expired or not yet valid", "check the node's clock, then the certificate"
	}
	return Clean(bad.Err.Error()), "check the endpoint and upstream.caFile"
}

// isOldProtocol tells that the handshake failed over the protocol version. crypto/tls has no
// exported type for this: the server's alert is recognised by the text that the same package
// gives it, and the client's own verdict by how it begins.
func isOldProtocol(err error) bool {
	const alertProtocolVersion = 70 // RFC 8446 section 6
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" && op.Err != nil {
		return op.Err.Error() == tls.AlertError(alertProtocolVersion).Error()
	}
	return err != nil && strings.Contains(err.Error(), "tls: server selected unsupported protocol version")
}

// cause puts the reason of a network failure into words, from types rather than texts where there
// is a type: some texts repeat URLs.
func cause(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return "DNS lookup of " + Clean(dns.Name) + ": " + Clean(dns.Err)
	}
	doing := operations(err)
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.Canceled):
		return "the request was cancelled"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return doing + "timed out"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return doing + "the connection was closed before the answer was complete"
	}
	return doing + Clean(innermost(err).Error())
}

// operations lists the network operations that err comes from, outermost first, as
// "proxyconnect: dial 192.0.2.1:3128: ".
func operations(err error) string {
	var list strings.Builder
	for {
		op, ok := errors.AsType[*net.OpError](err)
		if !ok {
			return list.String()
		}
		list.WriteString(op.Op)
		if op.Addr != nil {
			list.WriteString(" " + op.Addr.String())
		}
		list.WriteString(": ")
		err = op.Err
	}
}

func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
