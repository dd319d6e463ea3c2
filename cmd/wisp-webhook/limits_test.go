package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
)

// attention is how long a client of TestServersDoNotWaitForever goes on listening.
const attention = time.Hour

// Whoever can reach the ports can keep neither a connection nor memory for long. The API server is not hurried by it.
func TestServersDoNotWaitForever(t *testing.T) {
	const post = "POST /inject HTTP/1.1\r\nHost: wisp-webhook.test\r\nContent-Type: application/json\r\n"
	for _, test := range []struct {
		name   string
		tls    bool   // shakes hands first
		probes bool   // the plain listener
		text   string // what is sent; then the client waits
		status int    // of the answer; 0: there is none
		closed time.Duration
	}{
		{name: "no word of TLS", closed: 2 * time.Second},
		{name: "not a word", tls: true, closed: 2 * time.Second},
		{name: "half a header", tls: true, text: post, closed: 2 * time.Second},
		{name: "half a body", tls: true, text: post + "Content-Length: 100\r\n\r\n{", status: 400, closed: 5 * time.Second},
		{name: "headers without end", tls: true, text: post + "X: " + strings.Repeat("x", 72<<10), status: 431, closed: time.Second},
		{name: "an answered review, and no further one", tls: true, text: post + "Content-Length: 2\r\n\r\n{}", status: 400, closed: 3 * time.Minute},
		{name: "a probe that says nothing", probes: true, closed: 2 * time.Second},
		{name: "a probe of half a header", probes: true, text: "GET /livez HTTP/1.1\r\n", closed: 2 * time.Second},
		{name: "a probe of half a body", probes: true, text: "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", status: 200, closed: 5 * time.Second},
		{name: "a probe with headers without end", probes: true, text: "GET /livez HTTP/1.1\r\nX: " + strings.Repeat("x", 72<<10), status: 431, closed: time.Second},
		{name: "an answered probe, and no further one", probes: true, text: "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", status: 200, closed: 3 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, ca := idleServer(t, test.probes)
				client, connection := net.Pipe()
				l := &oneConnection{connections: make(chan net.Conn, 1)}
				l.connections <- connection
				serve := func() error { return server.ServeTLS(l, "", "") }
				if test.probes {
					serve = func() error { return server.Serve(l) }
				}
				go func() { _ = serve() }()
				defer server.Close()
				defer client.Close()

				begin := time.Now()
				if test.tls {
					shaken := tls.Client(client, &tls.Config{RootCAs: ca.pool, ServerName: "wisp-webhook.test"})
					if err := shaken.Handshake(); err != nil {
						t.Fatal(err)
					}
					client = shaken
				}
				go func() { _, _ = io.WriteString(client, test.text) }() // which nobody may read to its end
				_ = client.SetReadDeadline(begin.Add(attention))
				answers := bufio.NewReader(client)
				status := 0
				if response, err := http.ReadResponse(answers, nil); err == nil {
					status = response.StatusCode
					_, _ = io.Copy(io.Discard, response.Body) // cut off, if the server gave up
				}
				if status != test.status {
					t.Errorf("the answer has the status %d, want %d", status, test.status)
				}
				if _, err := answers.ReadByte(); err == nil {
					t.Error("the connection goes on")
				}
				if took := time.Since(begin); took > test.closed {
					t.Errorf("the connection is closed after %v, want %v", took, test.closed)
				} else if test.closed > time.Minute && took <= 90*time.Second {
					t.Errorf("the connection is closed after %v: not by the API server, who would do it after 90 s", took)
				}
				time.Sleep(time.Second) // net/http leaves half a second between the last word and the end
			})
		})
	}
}

// idleServer is one of the servers of a webhook that does nothing else.
func idleServer(t *testing.T, probes bool) (*http.Server, *authority) {
	t.Helper()
	ca, volume := newAuthority(t), &secretVolume{dir: t.TempDir()}
	chain, key := ca.issue(t, 1, time.Now().Add(24*time.Hour))
	volume.write(t, chain, key)
	client, err := metadata.NewForConfig(&rest.Config{Host: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	w := newWebhook(webhookOptions{
		Policy: readPolicy(t), Client: client, TLSDir: volume.dir, MaxInFlight: 1, Now: time.Now, Log: newLogLines().logger(),
	})
	reviews, health := w.servers()
	if probes {
		return health, ca
	}
	return reviews, ca
}

// A Deployment of a hundred Pods whose account was made just before is looked up a hundred times at once.
func TestAHundredLookUpsAreNotHeldBack(t *testing.T) {
	config, err := clusterConfig(writeKubeconfig(t, "http://127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	rate := flowcontrol.NewTokenBucketRateLimiter(config.QPS, config.Burst) // as the client makes it
	for n := range 100 {
		if !rate.TryAccept() {
			t.Fatalf("look-up %d has to wait", n)
		}
	}
	if !strings.HasPrefix(config.UserAgent, "wisp-webhook/") {
		t.Errorf("the API server's audit log would know the webhook as %q", config.UserAgent)
	}
}
