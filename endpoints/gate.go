package endpoints

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
)

const (
	maxBody   = 4 << 10
	maxFields = 100
)

// forwardedFields say that a proxy passed the request on. Whatever their value, the sender is then
// not the one that the loopback address suggests.
var forwardedFields = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Via"}

// browserFields are sent by web pages. Sec-Fetch-Mode is not among them: Node's fetch, and so
// msal-node, sends that, too.
var browserFields = []string{"Origin", "Sec-Fetch-Site"}

// A gate decides about each request before its handler runs. The order is: Host, traces of a proxy or
// a browser, path, method, repeated fields, header or secret, body. What a caller may learn at each
// step is what it could have known already.
type gate struct {
	table *table
	// observe is told of every answer; protocol is "" where no protocol was found.
	observe func(protocol string, status int)
	log     *slog.Logger
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen := &statusRecorder{ResponseWriter: w}
	protocol, route, found := g.table.find(r)
	refusal := g.admit(r, protocol, route, found)
	if r.ContentLength < 0 || refusal != nil && r.ContentLength != 0 {
		// What is left of the body is not worth reading, and must not be taken for a request. Where a
		// chunked body ends is what smuggled requests lie about. (Request.Close would be ignored here.)
		w.Header().Set("Connection", "close")
	}
	if refusal == nil {
		refusal = g.handle(route, seen, r)
	}
	name := ""
	if protocol != nil {
		name = protocol.Name
	}
	if refusal != nil {
		if refusal.Reason == BadMethod {
			w.Header().Set("Allow", strings.Join(refusal.Allow, ", "))
		}
		if protocol != nil {
			protocol.Refuse(seen, r, refusal)
		} else {
			Reply(seen, refusal.Reason.Status(), Text, []byte(refusal.Message+"\n"))
		}
	}
	if g.observe != nil {
		g.observe(name, seen.status)
	}
}

// handle runs the handler. One that panics is a defect of wisp, and must not be hidden in the debug log,
// where net/http would put it; the panic's value may quote a secret, so only its type is told.
func (g *gate) handle(route Route, w *statusRecorder, r *http.Request) (refusal *Refusal) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		g.log.Error("handler panicked", "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		if w.status != 0 {
			panic(http.ErrAbortHandler) // half an answer is out; end the connection
		}
		refusal = Refuse(Internal, "this is a defect of wisp; its log has the stack")
	}()
	return route.Handler(w, r)
}

// admit returns why the request may not pass, or nil.
func (g *gate) admit(r *http.Request, p *Protocol, route Route, found bool) *Refusal {
	if r.Host == "" {
		return Refuse(BadRequest, "the Host header is missing")
	}
	if !g.knownHost(r) {
		return Refuse(BadHost, "the Host header names a different server")
	}
	if fieldCount(r.Header) > maxFields {
		return Refuse(TooManyFields, "too many header fields")
	}
	for _, field := range forwardedFields {
		if _, ok := r.Header[field]; ok {
			return Refuse(Forwarded, "forwarded requests are refused; ask on the loopback address, without a proxy")
		}
	}
	for _, field := range browserFields {
		if _, ok := r.Header[field]; ok {
			return Refuse(Browser, "requests from web pages are refused")
		}
	}
	if p == nil {
		return Refuse(NotFound, "there is nothing at this path")
	}
	if found && !allows(route.Methods, r.Method) {
		return &Refusal{Reason: BadMethod, Message: "this path does not answer this method", Allow: route.Methods}
	}
	for _, field := range p.Single {
		if len(r.Header[field]) > 1 {
			return Refuse(BadRequest, "a header field that decides about access is repeated")
		}
	}
	if p.Guard != nil && !route.Open && (found || p.GuardTerritory) {
		if refusal := p.Guard(r); refusal != nil {
			return refusal
		}
	}
	if !found {
		return Refuse(NotFound, "there is nothing at this path")
	}
	return admitBody(r, route)
}

// admitBody reads what body there is. No request of these protocols needs one, but clients may send
// something small.
func admitBody(r *http.Request, route Route) *Refusal {
	switch {
	case r.ContentLength == 0:
		return nil
	case r.ContentLength > maxBody:
		return Refuse(TooLarge, "the body is too large")
	case r.ContentLength < 0 && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		return Refuse(BadRequest, "a chunked body makes no sense here")
	}
	if route.Body {
		r.Body = http.MaxBytesReader(nil, r.Body, maxBody)
		return nil
	}
	n, err := io.Copy(io.Discard, io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return Refuse(BadRequest, "the body is incomplete")
	}
	if n > maxBody {
		return Refuse(TooLarge, "the body is too large")
	}
	return nil
}

// fieldCount counts repeated fields each time, as they were sent.
func fieldCount(h http.Header) int {
	n := 0
	for _, values := range h {
		n += len(values)
	}
	return n
}

// knownHost: the Host header is the address that the connection arrived at, localhost, or a fixed
// name of a protocol on this listener, with the bound port or none. A page that a browser loaded from
// elsewhere cannot send any of these.
func (g *gate) knownHost(r *http.Request) bool {
	host, port := r.Host, ""
	if h, p, err := net.SplitHostPort(host); err == nil {
		host, port = h, p
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	boundHost, boundPort, err := net.SplitHostPort(local.String())
	if err != nil || (port != "" && port != boundPort) || (port == "" && strings.HasSuffix(r.Host, ":")) {
		return false
	}
	host = strings.ToLower(host)
	return host == boundHost || host == "localhost" || g.table.hosts[host]
}

// statusRecorder remembers the status for the metrics.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (s *statusRecorder) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection's deadlines.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }
