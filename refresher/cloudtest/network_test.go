package cloudtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

func get(ctx context.Context, n *cloudtest.Network, target string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	return (&http.Client{Transport: n}).Do(r)
}

func TestNetworkErrorsAreThoseOfADialer(t *testing.T) {
	n := cloudtest.NewNetwork()
	n.Handle("refused.example.test", nil)
	n.Handle("aborts.example.test", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))

	_, err := get(t.Context(), n, "https://nowhere.example.test/")
	if dns, ok := errors.AsType[*net.DNSError](err); !ok || !dns.IsNotFound {
		t.Errorf("unknown host = %v, want a DNSError that is not found", err)
	}
	if want := "dial tcp: lookup nowhere.example.test: no such host"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("unknown host = %v, want …%s", err, want)
	}

	_, err = get(t.Context(), n, "https://refused.example.test/")
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nil handler = %v, want ECONNREFUSED", err)
	}
	if want := "dial tcp 192.0.2.1:443: connect: connection refused"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("nil handler = %v, want …%s", err, want)
	}

	if _, err = get(t.Context(), n, "https://aborts.example.test/"); !errors.Is(err, io.EOF) {
		t.Errorf("aborting handler = %v, want EOF", err)
	}
}

func TestNetworkRefusesForAFake(t *testing.T) {
	w := newWorld(t)
	w.issuer.Refuse(true)
	if _, err := get(t.Context(), w.net, issuerURL); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("refusing fake = %v, want ECONNREFUSED", err)
	}
	w.issuer.Clear()
	answer, err := get(t.Context(), w.net, issuerURL)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if got := w.issuer.Calls(""); got != 1 {
		t.Errorf("Calls = %d, want 1: refused ones do not count", got)
	}
}

func TestNetworkShowsHandlersARequestAsAServerWould(t *testing.T) {
	n := cloudtest.NewNetwork()
	var got *http.Request
	var body []byte
	n.Handle("Example.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("X-Before", "1")
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("X-After", "1")
	}))
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://EXAMPLE.test:8443/a%2Fb?q=1#f", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := n.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if got.Host != "EXAMPLE.test:8443" || got.RequestURI != "/a%2Fb?q=1" || got.URL.Host != "" || got.URL.Path != "/a/b" {
		t.Errorf("request = host %q, URI %q, URL %#v", got.Host, got.RequestURI, got.URL)
	}
	if got.Header.Get("Content-Length") != "4" || got.TLS == nil || got.RemoteAddr == "" || !bytes.Equal(body, []byte("body")) {
		t.Errorf("request = header %v, TLS %v, from %q, body %q", got.Header, got.TLS, got.RemoteAddr, body)
	}
	if answer.StatusCode != http.StatusTeapot || answer.Header.Get("X-Before") != "1" || answer.Header.Get("X-After") != "" {
		t.Errorf("answer = %d %v, want 418 with X-Before only", answer.StatusCode, answer.Header)
	}
	if r.URL.Host == "" || r.Header.Get("Content-Length") != "" {
		t.Errorf("RoundTrip changed the client's request: %v %v", r.URL, r.Header)
	}
}

func TestNetworkPassesAPanicOn(t *testing.T) {
	n := cloudtest.NewNetwork()
	n.Handle("example.test", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("bug") }))
	defer func() {
		if got := recover(); got != "bug" {
			t.Errorf("recover = %v, want bug", got)
		}
	}()
	_, _ = get(t.Context(), n, "http://example.test")
}

func TestNetworkHonoursTheContextDuringADelay(t *testing.T) {
	issuer := cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: issuerURL})
	synctest.Test(t, func(t *testing.T) {
		n := cloudtest.NewNetwork()
		n.Handle("oidc.example.test", issuer)
		issuer.Delay(24 * time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		_, err := get(ctx, n, issuerURL)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Get = %v, want deadline exceeded", err)
		}
		if got := time.Since(began); got != 10*time.Second {
			t.Errorf("Get took %v, want 10s", got)
		}
		// The bubble ends only if the handler's goroutine has ended, too.
	})
}

func TestNetworkSendsNothingForAnEndedContext(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := get(ctx, w.net, issuerURL); !errors.Is(err, context.Canceled) {
		t.Errorf("Get = %v, want canceled", err)
	}
	if got := w.issuer.Calls(""); got != 0 {
		t.Errorf("Calls = %d, want 0", got)
	}
}

// A whole simulated day of exchanges, in no time.
func TestADayOfExchanges(t *testing.T) {
	issuer := cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: issuerURL})
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, net: cloudtest.NewNetwork(), issuer: issuer, hand: &hand{}}
		w.net.Handle("oidc.example.test", issuer)
		e := cloudtest.NewEntra(cloudtest.EntraOptions{
			Apps: []cloudtest.App{{TenantID: tenantID, ClientID: clientID, Credentials: []cloudtest.FederatedCredential{
				{Issuer: issuerURL, Subject: "system:serviceaccount:shop:reports", Audience: entraAud},
			}}},
			Transport: w.net,
		})
		w.net.Handle("login.microsoftonline.com", e)
		for range 48 {
			time.Sleep(30 * time.Minute)
			checkEntra(w, "")(w.postForm(entraURL, w.entraForm()))
		}
		if got := e.Calls("token"); got != 48 {
			t.Errorf("Calls(token) = %d, want 48", got)
		}
	})
}

func TestNetworkPrefersTheEndOfTheContextToAnAnswer(t *testing.T) {
	for range 50 { // both are ready at once
		ctx, cancel := context.WithCancel(t.Context())
		n := cloudtest.NewNetwork()
		n.Handle("example.test", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { cancel() }))
		if _, err := get(ctx, n, "http://example.test"); !errors.Is(err, context.Canceled) {
			t.Fatalf("Get = %v, want canceled", err)
		}
	}
}
