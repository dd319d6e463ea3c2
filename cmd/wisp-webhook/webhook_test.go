package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/endpoints/endpointstest/patient"
)

// A running is a webhook that runs on loopback until the test ends.
type running struct {
	*webhook
	api     *fakeAPI
	ca      *authority
	volume  *secretVolume
	log     logLines
	reviews string // https://…/inject
	probes  string // http://…
	ended   chan error
}

func start(t *testing.T, drain time.Duration) *running {
	t.Helper()
	r := &running{
		api: newShop(t), ca: newAuthority(t), volume: &secretVolume{dir: t.TempDir()}, log: newLogLines(), ended: make(chan error, 1),
	}
	r.issue(t, 1)
	r.webhook = newWebhook(webhookOptions{
		Policy: readPolicy(t), Client: r.api.client(t), TLSDir: r.volume.dir,
		MaxInFlight: 32, Drain: drain, Now: new(leapClock).now, Log: r.log.logger(),
	})
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l, probes := listen(), listen()
	r.reviews, r.probes = "https://"+l.Addr().String()+"/inject", "http://"+probes.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.ended <- r.Run(ctx, patient.Listener(l), patient.Listener(probes))
	}()
	t.Cleanup(func() { stop(); <-ended })
	for _, m := range []*mirror{r.directory.accounts, r.directory.namespaces} {
		<-m.informer.HasSyncedChecker().Done()
	}
	return r
}

// issue puts a new certificate into the volume.
func (r *running) issue(t testing.TB, serial int64) {
	t.Helper()
	chain, key := r.ca.issue(t, serial, time.Now().Add(time.Hour))
	r.volume.write(t, chain, key)
}

// client makes a client that makes a connection for each request, unless it is to keep them.
func (r *running) client(t testing.TB, keep bool) *http.Client {
	transport := &http.Transport{
		DisableKeepAlives: !keep,
		TLSClientConfig:   &tls.Config{RootCAs: r.ca.pool, ServerName: "wisp-webhook.test"},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// ask posts a review and returns the answer and its body.
func (r *running) ask(client *http.Client, review string) (*http.Response, string, error) {
	response, err := client.Post(r.reviews+"?timeout=30s", "application/json", strings.NewReader(review))
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

// probe returns the status and the body of a path of the other listener.
func (r *running) probe(t testing.TB, path string) (int, string) {
	t.Helper()
	response, err := http.Get(r.probes + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestCertificatesRotateUnderLoad(t *testing.T) {
	r := start(t, 0)
	review := readReview(t, "injected")
	serial := func() int64 {
		t.Helper()
		response, _, err := r.ask(r.client(t, false), review)
		if err != nil {
			t.Fatal(err)
		}
		return response.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Fatalf("the first certificate has the serial number %d, want 1", got)
	}

	var rotated atomic.Bool
	var loaders sync.WaitGroup
	answers := make(chan error)
	for range 4 {
		loaders.Go(func() {
			client := r.client(t, false)
			for !rotated.Load() {
				response, body, err := r.ask(client, review)
				if err == nil && (response.StatusCode != http.StatusOK || !strings.Contains(body, `"allowed":true`)) {
					err = fmt.Errorf("%d %s", response.StatusCode, body)
				}
				answers <- err
			}
		})
	}
	// Twenty rotations, ten reviews after each; every other one is a pair that does not match. A connection does not wait while another
	// one reads the files, so that a rotation is seen by one of the next, not by the next.
	answered := 0
	next := func() {
		if err := <-answers; err != nil {
			t.Errorf("review %d: %v", answered, err)
		}
		answered++
	}
	good, bad := int64(1), uint64(0)
	for n := range 20 {
		if n%2 == 1 {
			bad++
			chain, _ := r.ca.issue(t, 666, time.Now().Add(time.Hour))
			_, key := r.ca.issue(t, 667, time.Now().Add(time.Hour))
			r.volume.write(t, chain, key)
		} else {
			good++
			r.issue(t, good)
		}
		for r.meters.reloads("success").Get() < uint64(good) || r.meters.reloads("failure").Get() < bad {
			next()
		}
		for range 10 {
			next()
		}
		if got := serial(); got != good {
			t.Errorf("after rotation %d the certificate has the serial number %d, want %d", n, got, good)
		}
	}
	rotated.Store(true)
	go func() { loaders.Wait(); close(answers) }()
	for err := range answers {
		if err != nil {
			t.Errorf("a late review: %v", err)
		}
	}
	if loaded, failed := r.meters.reloads("success").Get(), r.meters.reloads("failure").Get(); loaded != uint64(good) || failed != bad {
		t.Errorf("%d reloads and %d failed ones are counted, want %d and %d", loaded, failed, good, bad)
	}
}

func TestTLS(t *testing.T) {
	r := start(t, 0)
	for _, test := range []struct {
		version uint16
		good    bool
	}{{tls.VersionTLS11, false}, {tls.VersionTLS12, true}, {tls.VersionTLS13, true}} {
		connection, err := tls.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(r.reviews, "https://"), "/inject"), &tls.Config{
			RootCAs: r.ca.pool, ServerName: "wisp-webhook.test", MinVersion: test.version, MaxVersion: test.version, NextProtos: []string{"h2", "http/1.1"},
		})
		if (err == nil) != test.good {
			t.Errorf("with %s: %v", tls.VersionName(test.version), err)
		}
		if err == nil {
			if got := connection.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
				t.Errorf("with %s the protocol is %q", tls.VersionName(test.version), got)
			}
			_ = connection.Close()
		}
	}
}

// Whoever resumed a session would not see that the certificate is another one.
func TestSessionsAreNotResumed(t *testing.T) {
	r := start(t, 0)
	config := &tls.Config{
		RootCAs: r.ca.pool, ServerName: "wisp-webhook.test", MaxVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
	for n := range 2 {
		connection, err := tls.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(r.reviews, "https://"), "/inject"), config)
		if err != nil {
			t.Fatal(err)
		}
		if connection.ConnectionState().DidResume {
			t.Errorf("connection %d resumes a session", n)
		}
		_ = connection.Close()
	}
}

func TestDrain(t *testing.T) {
	r := start(t, time.Hour)
	client := r.client(t, true)
	if status, body := r.probe(t, "/readyz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/readyz = %d %s, want 200", status, body)
	}
	response, _, err := r.ask(client, readReview(t, "injected"))
	if err != nil || response.Close {
		t.Fatalf("before the end: %v, Close = %v, want a connection to keep", err, response.Close)
	}
	r.Quit()
	r.Quit()
	r.log.await(t, "shutting down")
	if status, body := r.probe(t, "/readyz"); status != http.StatusServiceUnavailable || body != "wisp-webhook is shutting down\n" {
		t.Errorf("/readyz = %d %s, want 503", status, body)
	}
	if status, _ := r.probe(t, "/livez"); status != http.StatusOK {
		t.Errorf("/livez = %d, want 200", status)
	}
	response, _, err = r.ask(client, readReview(t, "injected"))
	if err != nil || response.StatusCode != http.StatusOK || !response.Close {
		t.Errorf("while shutting down: %v, %+v, want an answer and the connection's end", err, response)
	}
}

func TestTheLastReviewIsAnswered(t *testing.T) {
	r := start(t, 0)
	r.api.mu.Lock()
	r.api.held = make(chan struct{})
	r.api.mu.Unlock()
	r.api.put("shop", "default", map[string]string{roleKey: role}, true)
	answer := make(chan string, 1)
	go func() {
		_, body, err := r.ask(r.client(t, false), readReview(t, "no-identity"))
		answer <- fmt.Sprint(err, body)
	}()
	<-r.api.arrived
	r.Quit()
	r.log.await(t, "shutting down")
	close(r.api.held)
	if got := <-answer; !strings.HasPrefix(got, "<nil>") || !strings.Contains(got, `"allowed":true`) {
		t.Errorf("the last answer is %s", got)
	}
	if err := <-r.ended; err != nil {
		t.Errorf("Run: %v, want nil", err)
	}
}

func TestUnready(t *testing.T) {
	api := newShop(t)
	ca, volume := newAuthority(t), &secretVolume{dir: t.TempDir()}
	w := newWebhook(webhookOptions{
		Policy: readPolicy(t), Client: api.client(t), TLSDir: volume.dir, MaxInFlight: 1, Now: new(leapClock).now, Log: newLogLines().logger(),
	})
	check := func(want string) {
		t.Helper()
		if got := w.unready(); (got == nil) != (want == "") || got != nil && !strings.Contains(got.Error(), want) {
			t.Errorf("unready() = %v, want %q", got, want)
		}
	}
	check("the ServiceAccounts and Namespaces are not known yet")
	w.directory = runDirectory(t, api, newLogLines())
	check("tls.crt: no such file")
	chain, key := ca.issue(t, 1, time.Now().Add(time.Hour))
	volume.write(t, chain, key)
	check("")
}

// A bucket has what took as long as it says, or less.
func TestDurationBuckets(t *testing.T) {
	m := newMeters()
	m.admission(injected, 5*time.Millisecond)
	m.admission(injected, time.Minute)
	var b bytes.Buffer
	m.set.WritePrometheus(&b)
	for _, want := range []string{`{le="0.0025"} 0`, `{le="0.005"} 1`, `{le="30"} 1`, `{le="+Inf"} 2`} {
		if !strings.Contains(b.String(), "wisp_webhook_admission_duration_seconds_bucket"+want+"\n") {
			t.Errorf("there is no bucket with %s in\n%s", want, &b)
		}
	}
}

func TestMetrics(t *testing.T) {
	r := start(t, 0)
	client := r.client(t, true)
	for _, review := range []string{"injected", "injected", "no-identity", "unlabelled"} {
		if _, _, err := r.ask(client, readReview(t, review)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := r.ask(client, "{}"); err != nil {
		t.Fatal(err)
	}
	certificate, err := r.pair.current()
	if err != nil {
		t.Fatal(err)
	}
	_, text := r.probe(t, "/metrics")
	ours := regexp.MustCompile(`(?m)^wisp_.*\n`).FindAll([]byte(text), -1)
	got := string(bytes.Join(ours, nil))
	got = regexp.MustCompile(`(_duration_seconds_(?:sum|bucket\{le="[0-9.]+"\})) .*`).ReplaceAllString(got, "$1 ?")
	want := strings.NewReplacer("VERSION", version, "EXPIRY", fmt.Sprint(certificate.Leaf.NotAfter.Unix())).Replace(`wisp_webhook_admission_duration_seconds_bucket{le="+Inf"} 5
wisp_webhook_admission_duration_seconds_bucket{le="0.0005"} ?
wisp_webhook_admission_duration_seconds_bucket{le="0.001"} ?
wisp_webhook_admission_duration_seconds_bucket{le="0.0025"} ?
wisp_webhook_admission_duration_seconds_bucket{le="0.005"} ?
wisp_webhook_admission_duration_seconds_bucket{le="0.01"} ?
wisp_webhook_admission_duration_seconds_bucket{le="0.025"} ?
wisp_webhook_admission_duration_seconds_bucket{le="0.05"} ?
wisp_webhook_admission_duration_seconds_bucket{le="0.1"} ?
wisp_webhook_admission_duration_seconds_bucket{le="0.25"} ?
wisp_webhook_admission_duration_seconds_bucket{le="0.5"} ?
wisp_webhook_admission_duration_seconds_bucket{le="1"} ?
wisp_webhook_admission_duration_seconds_bucket{le="10"} ?
wisp_webhook_admission_duration_seconds_bucket{le="2.5"} ?
wisp_webhook_admission_duration_seconds_bucket{le="30"} ?
wisp_webhook_admission_duration_seconds_bucket{le="5"} ?
wisp_webhook_admission_duration_seconds_count 5
wisp_webhook_admission_duration_seconds_sum ?
wisp_webhook_admissions_total{result="error"} 1
wisp_webhook_admissions_total{result="injected"} 2
wisp_webhook_admissions_total{result="refused"} 1
wisp_webhook_admissions_total{result="unchanged"} 1
wisp_webhook_build_info{version="VERSION"} 1
wisp_webhook_cached_objects{resource="namespaces"} 1
wisp_webhook_cached_objects{resource="serviceaccounts"} 3
wisp_webhook_certificate_expiry_timestamp_seconds EXPIRY
wisp_webhook_certificate_reloads_total{result="failure"} 0
wisp_webhook_certificate_reloads_total{result="success"} 1
wisp_webhook_live_gets_total{resource="namespaces"} 1
wisp_webhook_live_gets_total{resource="serviceaccounts"} 1
wisp_webhook_watch_errors_total{resource="namespaces"} 0
wisp_webhook_watch_errors_total{resource="serviceaccounts"} 0
`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("/metrics (-want +got):\n%s", diff)
	}
}
