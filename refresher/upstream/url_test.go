package upstream_test

import (
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

func TestCheckURL(t *testing.T) {
	tests := []struct {
		name     string
		url      string
		ok       bool // without AllowInsecureLoopback
		loopback bool // with it
	}{
		{"https", "https://sts.eu-west-1.amazonaws.com", true, true},
		{"https with port, path and query", "https://sts.example.com:8443/v1/token?alt=json", true, true},
		{"https to an address", "https://[2001:db8::1]/", true, true},
		{"https to loopback", "https://127.0.0.1:8443/", true, true},
		{"http", "http://sts.example.com/", false, false},
		{"http to loopback", "http://127.0.0.1:9000/", false, true},
		{"http to another address of 127.0.0.0/8", "http://127.8.8.8/", false, true},
		{"http to loopback over IPv6", "http://[::1]:9000/", false, true},
		{"http to a name that should be loopback", "http://localhost:9000/", false, false},
		{"http to a name that looks like loopback", "http://127.0.0.1.example.com/", false, false},
		{"http to the metadata address", "http://169.254.169.254/", false, false},
		{"http to every address", "http://0.0.0.0/", false, false},
		{"file", "file:///etc/passwd", false, false},
		{"upper-case scheme", "HTTPS://sts.example.com", true, true},
		{"no scheme", "sts.example.com/", false, false},
		{"scheme only", "https:", false, false},
		{"no host", "https:///token", false, false},
		{"port only", "https://:443/", false, false},
		{"opaque", "https:sts.example.com", false, false},
		{"user", "https://x@evil", false, false},
		{"empty user", "https://@evil", false, false},
		{"host that reads as another", "https://sts.googleapis.com@evil.example/", false, false},
		{"backslash", `https://evil.example\@sts.googleapis.com`, false, false},
		{"fragment", "https://sts.example.com/#x", false, false},
		{"empty fragment", "https://sts.example.com/#", false, false},
		{"newline", "https://sts.example.com/\nHost: evil", false, false},
		{"space in host", "https://sts.example .com/", false, false},
		{"percent in host", "https://sts%2eexample.com/", false, false},
		{"name in another script", "https://stѕ.example.com/", false, false},
		{"empty", "", false, false},
	}
	strict := newTransport(t, upstream.Options{})
	lax := newTransport(t, upstream.Options{AllowInsecureLoopback: true})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if u, err := strict.CheckURL(tt.url); (err == nil) != tt.ok {
				t.Errorf("CheckURL(%q) = %v, %v, want ok %v", tt.url, u, err, tt.ok)
			}
			if u, err := lax.CheckURL(tt.url); (err == nil) != tt.loopback {
				t.Errorf("CheckURL(%q) with insecure loopback = %v, %v, want ok %v", tt.url, u, err, tt.loopback)
			}
		})
	}
}

func TestCheckURLDoesNotRepeatPasswords(t *testing.T) {
	transport := newTransport(t, upstream.Options{})
	for _, url := range []string{"https://user:hunter2@sts.example.com/", "https://user:hunter2@sts.example.com/\x00"} {
		if _, err := transport.CheckURL(url); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("CheckURL(%q) = %v, want an error without the password", url, err)
		}
	}
}
