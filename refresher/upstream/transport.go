package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// The time limits of one request. One second, as other agents allow, turns a load spike at the
// service into cancelled requests that are sent again.
const (
	totalTimeout  = 15 * time.Second
	dialTimeout   = 3 * time.Second
	tlsTimeout    = 5 * time.Second
	headerTimeout = 10 * time.Second
	// idleTimeout keeps a connection for the second request of an exchange and for a quick retry;
	// the next refresh is half an hour away and may well find another address in the DNS.
	idleTimeout = 30 * time.Second

	maxHeaderBytes = 64 << 10
)

// Options configure a [Transport]. The zero value trusts the system's roots and honours the
// process's proxy variables.
type Options struct {
	// CAFile is a PEM file with certificates to trust besides the system's roots; empty for none.
	CAFile string
	// AllowInsecureLoopback permits http:// to an IP address of the loopback interface: for tests
	// and for clouds emulated on the same machine.
	AllowInsecureLoopback bool
	// Proxy selects the proxy for a request; nil means [http.ProxyFromEnvironment]. It is not asked
	// about loopback hosts: they are never proxied.
	Proxy func(*http.Request) (*url.URL, error)
	// Base sends the requests instead of the network: tests set it. CAFile and Proxy then have no
	// effect, but CAFile is still read and checked.
	Base http.RoundTripper
}

// A Transport is an [http.RoundTripper] that fills in the [refresher.Attempt] of a request's
// context. It is safe for concurrent use, and one serves the whole process. Make one with [New]; the
// zero value can only check URLs.
type Transport struct {
	base          http.RoundTripper
	nearby        http.RoundTripper // for http in place of base; see Local
	allowLoopback bool
	local         bool
}

// New builds a Transport. It fails only if the CA file cannot be used.
func New(o Options) (*Transport, error) {
	roots, err := rootsWith(o.CAFile)
	if err != nil {
		return nil, err
	}
	t := &Transport{base: o.Base, nearby: o.Base, allowLoopback: o.AllowInsecureLoopback}
	if t.base == nil {
		t.base = networkTransport(roots, o.Proxy)
		t.nearby = nearbyTransport()
	}
	return t, nil
}

// Client returns an HTTP client on this transport for use with SDKs. It does not follow redirects:
// net/http sends the body of a POST, here the subject token, again on a 307 or 308. It has no
// cookie jar, and a request ends after 15 seconds even if its context allows more.
func (t *Transport) Client() *http.Client {
	return &http.Client{
		Transport:     t,
		Timeout:       totalTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// RoundTrip sends one request. It does not retry. In the context's Attempt it records the status,
// Retry-After, the service's clock, the round-trip time, the request id, and the start of a body
// that is not that of a success. What an earlier request of the same attempt left there, its clock
// excepted, is cleared first.
//
// The body of a 2xx answer ends with an error after 256 KiB. Other bodies are cut there.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.check(req.URL); err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper must, whatever it returns
		}
		return nil, &refresher.Error{Class: refresher.Denied, Err: fmt.Errorf("request refused: %w", err)}
	}
	attempt := refresher.AttemptFrom(req.Context())
	attempt.Record(func(d *refresher.AttemptData) {
		d.Status, d.RetryAfter, d.RequestID, d.Body = 0, 0, "", nil
	})
	sent := time.Now()
	base := t.base
	if t.local && req.URL.Scheme == "http" {
		base = t.nearby
	}
	resp, err := base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	record(attempt, resp, sent)
	bound(attempt, resp)
	return resp, nil
}

func networkTransport(roots *x509.CertPool, proxy func(*http.Request) (*url.URL, error)) *http.Transport {
	if proxy == nil {
		proxy = http.ProxyFromEnvironment
	}
	// One request every half hour gains nothing from HTTP/2, while a stalled HTTP/1.1 connection
	// ends with its request instead of swallowing the next one as well.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy: func(req *http.Request) (*url.URL, error) {
			if isLoopback(req.URL.Hostname()) {
				return nil, nil
			}
			via, err := proxy(req)
			if err != nil {
				// Its text would repeat the proxy's URL, which may hold a password.
				return nil, errors.New("the proxy settings cannot be used: check HTTPS_PROXY")
			}
			return via, nil
		},
		// The dialer shares its time among the addresses of a name, at least two seconds each, and
		// every attempt looks the name up anew: a dead address costs one attempt at most.
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    tlsTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConnsPerHost:    2,
		Protocols:              &protocols,
		// Without it net/http unpacks gzip that nobody asked to have bounded.
		DisableCompression: true,
	}
}

// rootsWith returns the system's roots plus those of a file; nil, which means the system's, for
// no file.
func rootsWith(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // an image without roots still has this file
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file: %s holds no PEM certificate", file)
	}
	return pool, nil
}

// isLoopback tells whether host is an address of the loopback interface. Names are not, "localhost"
// included: what a name means is up to a resolver.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
