package upstream_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

func TestLocalURLs(t *testing.T) {
	transport, err := upstream.New(upstream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	local := transport.Local()
	for _, c := range []struct {
		url string
		ok  bool
	}{
		{"https://token.example/path?query", true},
		{"http://127.0.0.1:8080/token", true},
		{"http://[::1]:8080/token", true},
		{"http://localhost/token", true},
		{"http://LOCALHOST.:80/token", true},
		{"http://169.254.169.254/metadata/identity/oauth2/token?resource=x", true},
		{"http://169.254.170.23/v1/credentials", true},
		{"http://[fd00:ec2::254]/latest/api/token", true},
		{"http://metadata.google.internal/computeMetadata/v1/", true},
		{"http://[::ffff:127.0.0.1]/", true},
		{"http://10.0.0.1/token", false},
		{"http://token.example/", false},
		{"http://localhost.example/", false},
		{"http://[fd00:ec3::254]/", false},
		{"http://user@127.0.0.1/", false},
		{"http://127.0.0.1/#fragment", false},
		{"ftp://127.0.0.1/", false},
	} {
		if _, err := local.CheckURL(c.url); (err == nil) != c.ok {
			t.Errorf("Local().CheckURL(%q) = %v, want ok: %v", c.url, err, c.ok)
		}
	}
	if _, err := transport.CheckURL("http://169.254.169.254/"); err == nil {
		t.Error("the transport to the clouds takes http to a metadata service; want only that of Local to")
	}
}

// A name of this machine is as good as what it resolves to, and no proxy is asked.
func TestLocalHTTP(t *testing.T) {
	listener, err := net.Listen("tcp", ":0") // of both families: on 127.0.0.1 alone, ::1 might be somebody else's
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("here"))
	})}}
	server.Start()
	defer server.Close()
	proxied := func(*http.Request) (*url.URL, error) {
		t.Error("a proxy was asked for")
		return nil, nil
	}
	transport, err := upstream.New(upstream.Options{Proxy: proxied})
	if err != nil {
		t.Fatal(err)
	}
	client := transport.Local().Client()
	resp, err := client.Get(fmt.Sprintf("http://localhost:%d/", listener.Addr().(*net.TCPAddr).Port))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d, want 200", resp.StatusCode)
	}
	_, err = client.Get("http://192.0.2.1/")
	if got := refresher.AsError(upstream.NetworkError(err)).Class; got != refresher.Denied {
		t.Errorf("http to a routed address: class %v, want denied", got)
	}
}
