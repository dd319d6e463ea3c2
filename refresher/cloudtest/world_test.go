package cloudtest_test

import (
	"flag"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const issuerURL = "https://oidc.example.test/cluster"

// start is when all of a world's clocks begin, and stay unless a test moves them.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// A world is one issuer, and a network on which it can be reached.
type world struct {
	*testing.T
	net    *cloudtest.Network
	issuer *cloudtest.Issuer
	*hand
}

// A hand is that of the clock which everything in a world shares.
type hand struct{ now time.Time }

func (h *hand) clock() time.Time { return h.now }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, net: cloudtest.NewNetwork(), hand: &hand{now: start}}
	w.issuer = cloudtest.NewIssuer(cloudtest.IssuerOptions{URL: issuerURL, Now: w.clock, Rand: seeded()})
	w.net.Handle("oidc.example.test", w.issuer)
	return w
}

// again is a new world with an issuer of the same keys, since making keys takes most of a test's time.
func (w *world) again(t *testing.T) *world {
	w.issuer.Clear()
	w.now = start
	again := &world{T: t, net: cloudtest.NewNetwork(), issuer: w.issuer, hand: w.hand}
	again.net.Handle("oidc.example.test", w.issuer)
	return again
}

func seeded() io.Reader { return rand.NewChaCha8([32]byte{1}) }

// send sends a request into the world.
func (w *world) send(r *http.Request) (*http.Response, string) {
	w.Helper()
	answer, err := (&http.Client{Transport: w.net}).Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answer, string(body)
}

// postForm posts a form; empty values are left out.
func (w *world) postForm(target string, form map[string]string) (*http.Response, string) {
	w.Helper()
	values := url.Values{}
	for name, value := range form {
		if value != "" {
			values.Set(name, value)
		}
	}
	r := w.request("POST", target, values.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.send(r)
}

func (w *world) request(method, target, body string) *http.Request {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, target, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// with returns a copy of a form with one field changed; "" removes it.
func with(form map[string]string, name, value string) map[string]string {
	changed := map[string]string{}
	for n, v := range form {
		changed[n] = v
	}
	changed[name] = value
	return changed
}

// volatile is what differs from run to run, and what a scanner for secrets would find in a golden
// file. Each has its shape checked by being replaced.
var volatile = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`eyJ[\w-]+\.[\w-]+\.[\w-]+`), "<JWT>"},
	{regexp.MustCompile(`Content-Length: \d+`), "Content-Length: <N>"},
	{regexp.MustCompile(`\bASIA[A-Z2-7]{16}\b`), "<ACCESS-KEY-ID>"},
	{regexp.MustCompile(`>[A-Za-z0-9+/]{40}<`), "><SECRET><"},
	{regexp.MustCompile(`\bIQoJb3JpZ2luX2Vj[A-Za-z0-9+/=]{400,}`), "<SESSION-TOKEN>"},
	{regexp.MustCompile(`"ya29\.([cd])\.[\w-]{240}"`), `"<TOKEN-$1>"`},
}

// golden compares an answer with testdata/name.golden.
func golden(t *testing.T, name string, answer *http.Response, body string) {
	t.Helper()
	var b strings.Builder
	b.WriteString(answer.Status + "\n")
	if err := answer.Header.Write(&b); err != nil {
		t.Fatal(err)
	}
	b.WriteString("\n" + body)
	got := strings.ReplaceAll(b.String(), "\r\n", "\n")
	for _, v := range volatile {
		got = v.pattern.ReplaceAllString(got, v.instead)
	}
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", file, diff)
	}
}
