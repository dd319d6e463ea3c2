package upstream_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// An authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // its certificate as PEM
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "authority under test"},
		NotBefore:             time.Now().Add(-24 * time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return authority{cert: cert, key: key, file: file}
}

var loopback, elsewhere = net.IPv4(127, 0, 0, 1), net.IPv4(192, 0, 2, 1)

// issue makes a certificate for an address, which ends some time from now.
func (a authority) issue(t *testing.T, address net.IP, ends time.Duration) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		NotBefore:    time.Now().Add(-2 * time.Hour),
		NotAfter:     time.Now().Add(ends),
		IPAddresses:  []net.IP{address},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
}

// serve starts a TLS server on 127.0.0.1. Its tests run in bubbles, in which time stands still while anybody waits for a connection:
// however slow the machine is, the transport's time limits do not pass.
func serve(t *testing.T, config *tls.Config, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = config
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func refuseAll(t *testing.T) http.HandlerFunc {
	return func(http.ResponseWriter, *http.Request) {
		t.Error("a server that must not be trusted received a request")
	}
}

func TestCAFileIsTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t)
		server := serve(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, loopback, time.Hour)}},
			func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Accept-Encoding") != "" {
					t.Errorf("Accept-Encoding = %q, want none", r.Header.Get("Accept-Encoding"))
				}
				_, _ = io.WriteString(w, "hello")
			})
		body, facts, err := get(t, newTransport(t, upstream.Options{CAFile: ca.file}), server.URL)
		if err != nil || string(body) != "hello" || facts.Status != 200 {
			t.Errorf("answer = %q, %v, status %d, want hello with 200", body, err, facts.Status)
		}
		if facts.Date.IsZero() {
			t.Error("no Date recorded from a TLS server")
		}
	})
}

func TestServersThatCannotBeTrusted(t *testing.T) {
	tests := []struct {
		name    string
		address net.IP        // of the certificate
		ends    time.Duration // from now
		latest  uint16        // TLS version of the server
		trusted bool          // the authority
		want    string
	}{
		{"unknown authority", loopback, time.Hour, 0, false, "authority that is not trusted"},
		{"wrong name", elsewhere, time.Hour, 0, true, "made out for another name"},
		{"expired", loopback, -time.Hour, 0, true, "expired or not yet valid"},
		{"TLS 1.1", loopback, time.Hour, tls.VersionTLS11, true, "does not speak TLS 1.2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := newAuthority(t)
				server := serve(t, &tls.Config{
					Certificates: []tls.Certificate{ca.issue(t, tt.address, tt.ends)}, MinVersion: tls.VersionTLS10, MaxVersion: tt.latest,
				}, refuseAll(t))
				var o upstream.Options
				if tt.trusted {
					o.CAFile = ca.file
				}
				_, facts, err := get(t, newTransport(t, o), server.URL)
				if err == nil || facts.Status != 0 {
					t.Fatalf("request went through with status %d, want it refused", facts.Status)
				}
				e := upstream.NetworkError(err)
				if e.Class != refresher.Denied || !strings.Contains(e.Error(), tt.want) || e.Hint == "" {
					t.Errorf("NetworkError(%v) = %v %q, hint %q, want denied with %q and a hint", err, e.Class, e, e.Hint, tt.want)
				}
				if host := strings.TrimPrefix(server.URL, "https://"); !strings.Contains(e.Error(), host) {
					t.Errorf("NetworkError = %q, want it to name %s", e, host)
				}
				if strings.Contains(e.Error(), "authority under test") {
					t.Errorf("NetworkError = %q, want nothing of the chain", e)
				}
			})
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := newAuthority(t)
				config := func() *tls.Config {
					return &tls.Config{Certificates: []tls.Certificate{ca.issue(t, loopback, time.Hour)}}
				}
				other := serve(t, config(), refuseAll(t))
				server := serve(t, config(), func(w http.ResponseWriter, r *http.Request) {
					http.Redirect(w, r, other.URL, status)
				})
				attempt := new(refresher.Attempt)
				if _, err := getWith(t, newTransport(t, upstream.Options{CAFile: ca.file}), attempt, server.URL); err != nil {
					t.Fatal(err)
				}
				e := upstream.StatusError(refresher.WithAttempt(t.Context(), attempt), upstream.Reply{})
				if got := attempt.Data().Status; got != status || e.Class != refresher.Denied {
					t.Errorf("status = %d, class %v, want %d, denied", got, e.Class, status)
				}
			})
		})
	}
}

func TestHeadersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Padding", strings.Repeat("x", 80<<10))
		}))
		defer server.Close()
		if _, _, err := get(t, newTransport(t, upstream.Options{AllowInsecureLoopback: true}), server.URL); err == nil {
			t.Error("80 KiB of response header were accepted")
		}
	})
}

func TestProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		transport := newTransport(t, upstream.Options{
			AllowInsecureLoopback: true,
			Proxy: func(*http.Request) (*url.URL, error) {
				asked.Add(1)
				return url.Parse("http://user:hunter2@127.0.0.1:0") // where nobody can listen
			},
		})

		_, _, err := get(t, transport, "https://sts.invalid/")
		if err == nil || asked.Load() != 1 {
			t.Fatalf("request = %v with the proxy asked %d times, want an error and 1", err, asked.Load())
		}
		e := upstream.NetworkError(err)
		if e.Class != refresher.Transient || !strings.Contains(e.Error(), "proxyconnect") || strings.Contains(e.Error(), "hunter2") {
			t.Errorf("dead proxy = %v %q, want a transient error about the proxy without its password", e.Class, e)
		}

		server := httptest.NewServer(http.NotFoundHandler())
		defer server.Close()
		if _, facts, err := get(t, transport, server.URL); err != nil || facts.Status != 404 || asked.Load() != 1 {
			t.Errorf("loopback request = status %d, %v, proxy asked %d times, want 404 past the proxy", facts.Status, err, asked.Load())
		}
	})
}

func TestBrokenProxySettingsDoNotShowThePassword(t *testing.T) {
	transport := newTransport(t, upstream.Options{Proxy: func(*http.Request) (*url.URL, error) {
		return nil, fmt.Errorf("invalid proxy address %q", "http://user:hunter2@:port")
	}})
	_, _, err := get(t, transport, "https://sts.invalid/")
	if e := upstream.NetworkError(err); strings.Contains(e.Error(), "hunter2") || !strings.Contains(e.Error(), "HTTPS_PROXY") {
		t.Errorf("NetworkError = %q, want it to name the variable and not its value", e)
	}
}
