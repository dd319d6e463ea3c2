package source_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

// A wire answers requests in memory, and keeps them.
type wire struct {
	answer func(*http.Request) (*http.Response, error)

	mu       sync.Mutex
	requests []*http.Request // guarded by mu
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.requests = append(w.requests, r)
	w.mu.Unlock()
	return w.answer(r)
}

// said renders what was asked.
func (w *wire) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, r := range w.requests {
		fmt.Fprintf(&b, "%s %s\nHost: %s, by %s\n", r.Method, r.URL.RequestURI(), r.URL.Host, r.URL.Scheme)
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(r.Header[name], ", "))
		}
	}
	return b.String()
}

// answers is a wire on which everybody says the same. header are names and values.
func answers(status int, body string, header ...string) *wire {
	return &wire{answer: func(r *http.Request) (*http.Response, error) {
		return response(r, status, io.NopCloser(strings.NewReader(body)), header...), nil
	}}
}

func response(r *http.Request, status int, body io.ReadCloser, header ...string) *http.Response {
	h := http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}}
	for pair := range slices.Chunk(header, 2) {
		h.Set(pair[0], pair[1])
	}
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1,
		Header: h, Body: body, Request: r,
	}
}

func transport(t testing.TB, base http.RoundTripper) *upstream.Transport {
	t.Helper()
	transport, err := upstream.New(upstream.Options{Base: base})
	if err != nil {
		t.Fatal(err)
	}
	return transport
}
