package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/wisp-sidecar/wisp/agent/inject"
)

func decoded(t testing.TB, name string) *admissionv1.AdmissionRequest {
	t.Helper()
	request, err := decodeReview([]byte(readReview(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// kubectl apply makes the account, annotates it, and makes the Pod, all within the time that a watch takes.
func TestARefusalIsMadeOfWhatTheAPIServerHasNow(t *testing.T) {
	api := newShop(t)
	log := newLogLines()
	d := runDirectory(t, api, log)
	a := &admitter{policy: readPolicy(t), look: d.look, log: log.logger()}

	request := decoded(t, "injected")
	if _, result, err := a.admit(t.Context(), request); result != injected || err != nil {
		t.Fatalf("admit = %s, %v, want %s", result, err, injected)
	}
	if asked := api.asked(); asked != nil {
		t.Errorf("for an account in the cache the API server was asked for %q", asked)
	}

	request = decoded(t, "no-identity") // of the account default
	current := []string{accountPath("shop", "default"), "/api/v1/namespaces/shop"}
	if _, result, err := a.admit(t.Context(), request); result != refused || err != nil {
		t.Fatalf("admit = %s, %v, want %s", result, err, refused)
	}
	if asked := api.asked(); !slices.Equal(asked, current) {
		t.Errorf("before a refusal the API server was asked for %q, want %q", asked, current)
	}
	api.put("shop", "default", map[string]string{roleKey: role}, true)
	if _, result, err := a.admit(t.Context(), request); result != injected || err != nil {
		t.Fatalf("after the account was annotated: admit = %s, %v, want %s", result, err, injected)
	}

	api.fail(accountPath("shop", "default"), http.StatusInternalServerError)
	if response, result, err := a.admit(t.Context(), request); response != nil || result != failed || err == nil {
		t.Errorf("with an API server in trouble: admit = %+v, %s, %v, want an error", response, result, err)
	}
}

func TestRefusalsInTheLog(t *testing.T) {
	for _, test := range []struct {
		level slog.Level
		want  []string
	}{
		{slog.LevelInfo, []string{`"level":"INFO","msg":"Pod refused","namespace":"shop","name":"hostile","generateName":"","problems":3`}},
		{slog.LevelDebug, []string{`"msg":"Pod refused"`, `"level":"DEBUG","msg":"why","namespace":"shop","name":"hostile","generateName":"","err":"wisp cannot be injected: `}},
	} {
		var b bytes.Buffer
		a := &admitter{
			policy: readPolicy(t),
			look: func(context.Context, string, string, bool) (owner, error) {
				return owner{account: inject.Account{Name: "reports", Annotations: map[string]string{roleKey: role}}}, nil
			},
			log: slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: test.level})),
		}
		if _, result, err := a.admit(t.Context(), decoded(t, "hostile-annotations")); result != refused || err != nil {
			t.Fatalf("admit = %s, %v, want %s", result, err, refused)
		}
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if len(lines) != len(test.want) {
			t.Fatalf("at %s the log has\n%swant %d lines", test.level, b.String(), len(test.want))
		}
		for n, want := range test.want {
			if !strings.Contains(lines[n], want) {
				t.Errorf("at %s line %d is\n%s\nwant it to have\n%s", test.level, n, lines[n], want)
			}
		}
		if test.level == slog.LevelInfo && strings.Contains(b.String(), "docker") {
			t.Errorf("at info the log quotes an annotation:\n%s", b.String())
		}
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	log := newLogLines()
	m := newMeters()
	h := newHandler(handlerOptions{
		Admit: func(context.Context, *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, string, error) {
			panic("overboard")
		},
		MaxInFlight: 1, Draining: func() bool { return false }, Log: log.logger(), Meters: m,
	})
	for range 2 { // the place is given back
		if w := post(h, readReview(t, "injected")); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "overboard") {
			t.Errorf("the answer is %d %s, want 500 without details", w.Code, w.Body)
		}
		log.await(t, `"level":"ERROR"`, `"panic":"overboard"`, "admit_test.go")
	}
	if got := m.admissions(failed).Get(); got != 2 {
		t.Errorf("%d errors are counted, want 2", got)
	}
}

// waiting is how long a review that gets no place waits before it is answered so.
func waiting(t *testing.T, h http.Handler, review string, change func(*http.Request)) time.Duration {
	t.Helper()
	begin := time.Now()
	if w := post(h, review, change); w.Code != http.StatusServiceUnavailable || w.Body.String() != "too many reviews at once\n" {
		t.Errorf("the answer is %d %s, want 503", w.Code, w.Body)
	}
	return time.Since(begin)
}

// stuck is a handler in which reviews say that they have begun, and end when goOn is closed.
func stuck(maxInFlight int) (h http.Handler, begun <-chan struct{}, goOn chan<- struct{}) {
	begins, ends := make(chan struct{}), make(chan struct{})
	return newHandler(handlerOptions{
		Admit: func(context.Context, *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, string, error) {
			begins <- struct{}{}
			<-ends
			return nil, "", errors.New("enough")
		},
		MaxInFlight: maxInFlight, Draining: func() bool { return false }, Log: newLogLines().logger(), Meters: newMeters(),
	}), begins, ends
}

// A review gives up a little before its API server does.
func TestReviewsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, begun, goOn := stuck(2)
		ended := make(chan int)
		for range 2 {
			go func() { ended <- post(h, readReview(t, "injected")).Code }()
			<-begun
		}
		for query, want := range map[string]time.Duration{
			"timeout=1s": 900 * time.Millisecond, "timeout=10s": 9 * time.Second, "timeout=30s": 27 * time.Second, "timeout=1h": 27 * time.Second,
			"": 9 * time.Second, "timeout=0s": 9 * time.Second, "timeout=-1s": 9 * time.Second, "timeout=soon": 9 * time.Second,
		} {
			if got := waiting(t, h, readReview(t, "injected"), func(r *http.Request) { r.URL.RawQuery = query }); got != want {
				t.Errorf("with ?%s a review waits for %v, want %v", query, got, want)
			}
		}
		go func() { ended <- post(h, readReview(t, "injected")).Code }()
		close(goOn)
		<-begun
		for range 3 {
			if got := <-ended; got != http.StatusInternalServerError {
				t.Errorf("the answer is %d, want 500", got)
			}
		}
	})
}

// A review that fills the room for bodies makes the next one wait, however few there are.
func TestBodiesInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, begun, goOn := stuck(100)
		large := readReview(t, "injected")
		large += strings.Repeat(" ", maxBody-len(large))
		ended := make(chan int)
		go func() { ended <- post(h, large).Code }()
		<-begun
		waiting(t, h, large, func(*http.Request) {})
		waiting(t, h, readReview(t, "injected"), func(r *http.Request) { r.ContentLength = -1 }) // it could be large
		go func() { ended <- post(h, readReview(t, "injected")).Code }()
		<-begun // a small one has room
		close(goOn)
		for range 2 {
			if got := <-ended; got != http.StatusInternalServerError {
				t.Errorf("the answer is %d, want 500", got)
			}
		}
	})
}

// A review that had to wait for its place is read, although the time for its body would have been over.
func TestAReviewThatHasWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		h := newHandler(handlerOptions{
			Admit: func(context.Context, *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, string, error) {
				<-goOn
				return nil, "", errors.New("enough")
			},
			MaxInFlight: 1, Draining: func() bool { return false }, Log: newLogLines().logger(), Meters: newMeters(),
		})
		go post(h, readReview(t, "injected"))
		synctest.Wait()

		client, connection := net.Pipe()
		l := &oneConnection{connections: make(chan net.Conn, 1)}
		l.connections <- connection
		server := &http.Server{Handler: h, ReadTimeout: readTimeout}
		go func() { _ = server.Serve(l) }()
		defer server.Close()
		request := httptest.NewRequest("POST", "/inject?timeout=30s", strings.NewReader(readReview(t, "three-clouds-dry-run")))
		request.Header.Set("Content-Type", "application/json")
		go func() { _ = request.Write(client) }()
		time.Sleep(readTimeout + time.Second)
		close(goOn)
		response, err := http.ReadResponse(bufio.NewReader(client), request)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(response.Body); string(body) != "enough\n" {
			t.Errorf("the answer is %s %s, want Admit's", response.Status, body)
		}
	})
}

// oneConnection is a listener of one connection, which is there already.
type oneConnection struct {
	net.Listener
	connections chan net.Conn
}

func (l *oneConnection) Accept() (net.Conn, error) {
	if connection, ok := <-l.connections; ok {
		return connection, nil
	}
	return nil, net.ErrClosed
}

func (l *oneConnection) Close() error { close(l.connections); return nil }

func BenchmarkAdmit(b *testing.B) {
	for _, n := range []int{1, 500} {
		b.Run(fmt.Sprintf("accounts=%d", n), func(b *testing.B) {
			api := newShop(b)
			for i := range n - 1 {
				api.put("shop", fmt.Sprintf("account-%d", i), map[string]string{roleKey: role}, false)
			}
			d := runDirectory(b, api, newLogLines())
			h := newHandler(handlerOptions{
				Admit:       (&admitter{policy: readPolicy(b), look: d.look, log: slog.New(slog.DiscardHandler)}).admit,
				MaxInFlight: 4, Draining: func() bool { return false }, Log: slog.New(slog.DiscardHandler), Meters: newMeters(),
			})
			review := readReview(b, "injected")
			b.ReportAllocs()
			for b.Loop() {
				if w := post(h, review); w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
