package agent_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

const goodRequest = "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{proof}"

// An attack is a request that must not yield a credential, or an odd one that must.
type attack struct {
	name, request string // see flavour.request
	want          int
	// early: net/http refuses it, before anybody counts.
	early bool
}

// attacks are all that can be tried on one flavour.
func (f flavour) attacks(w *world) []attack {
	const line = "{method} {target} HTTP/1.1\r\nHost: {host}\r\n"
	host := func(name string) string { return "{method} {target} HTTP/1.1\r\nHost: " + name + "\r\n{proof}" }
	with := func(fields string) string { return line + "{proof}" + fields + "\r\n" }
	at := func(target string) string { return "{method} " + target + " HTTP/1.1\r\nHost: {host}\r\n{proof}" }
	port := w.urls["OUTLETS"][len("127.0.0.1"):]
	named := func(value string) string { return line + f.field + ": " + value + "\r\n" }
	all := []attack{
		{"a good request", line + "{proof}", 200, false},
		{"localhost", host("localhost" + port), 200, false},

		// DNS rebinding.
		{"Host of an attacker", host("attacker.example"), 403, false},
		{"Host of an attacker with the port", host("attacker.example" + port), 403, false},
		{"another port", host("127.0.0.1:1"), 403, false},
		{"a name that begins like the address", host("127.0.0.1.nip.io"), 403, false},
		{"localhost with a dot", host("localhost."), 403, false},
		{"another loopback address", host("127.0.0.2" + port), 403, false},
		{"an empty Host", host(""), 400, false},
		{"two Hosts", "{method} {target} HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n{proof}", 400, true},
		{"HTTP/1.0 without Host", "{method} {target} HTTP/1.0\r\n{proof}", 400, false},
		{"HTTP/1.1 without Host", "{method} {target} HTTP/1.1\r\n{proof}", 400, true},
		{"an absolute target elsewhere", at("http://evil.example{target}"), 403, false},

		// Web pages.
		{"Origin", with("Origin: http://{host}"), 403, false},
		{"Origin null", with("Origin: null"), 403, false},
		{"Sec-Fetch-Site", with("Sec-Fetch-Site: same-origin"), 403, false},
		{"Sec-Fetch-Mode, which Node sends", with("Sec-Fetch-Mode: cors"), 200, false},
		{"a preflight", "OPTIONS {target} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://a.example\r\nAccess-Control-Request-Method: GET\r\n", 403, false},

		// Proxies.
		{"X-Forwarded-For", with("X-Forwarded-For: 127.0.0.1"), f.forwarded, false},
		{"x-forwarded-for", with("x-forwarded-for: 127.0.0.1"), f.forwarded, false},
		{"X-Forwarded-For, empty", with("X-Forwarded-For:"), f.forwarded, false},
		{"X-Forwarded-For, twice", with("X-Forwarded-For: a\r\nX-Forwarded-For: b"), f.forwarded, false},
		{"X-Forwarded-Host", with("X-Forwarded-Host: {host}"), f.forwarded, false},
		{"X-Forwarded-Proto", with("X-Forwarded-Proto: http"), f.forwarded, false},
		{"Forwarded", with("Forwarded: for=127.0.0.1"), f.forwarded, false},
		{"Via", with("Via: 1.1 proxy"), f.forwarded, false},

		// The header or secret.
		{"without proof", line, f.missing, false},
		{"an empty proof", named(""), f.missing, false},
		{"the proof without its first character", named(f.proof[1:]), f.wrong, false},
		{"the proof without its last character", named(f.proof[:len(f.proof)-1]), f.wrong, false},
		{"the proof and more", named(f.proof + "x"), f.wrong, false},
		{"the proof doubled", named(f.proof + ", " + f.proof), f.wrong, false},
		{"the proof twice", line + "{proof}{proof}", 400, false},
		{"the proof after a lie", named("x") + "{proof}", 400, false},
		{"the proof in the query", "{method} {target}" + separator(f.target) + url.QueryEscape(f.field) + "=" + url.QueryEscape(f.proof) + " HTTP/1.1\r\nHost: {host}\r\n", f.missing, false},
		{"a proof of 1 MiB", named(strings.Repeat("x", 1<<20)), 431, true},

		// Paths.
		{"a slash more in front", at("/{target}"), 200, false},
		{"a way in and out", at("/x/..{target}"), 404, false},
		{"a way in and out, escaped", at("/x/%2e%2e{target}"), 404, false},
		{"up", at("/..{target}"), 404, false},
		{"here", at("/.{target}"), 404, false},
		{"down and up", at("{path}/../.."), 404, false},
		{"NUL at the end", at("{path}%00"), 404, false},
		{"a parameter", at("{path};x"), 404, false},
		{"an escaped slash at the end", at("{path}%2f"), 404, false},
		{"an escaped slash in front", at("/%2f{target}"), 404, false},
		{"a space at the end", at("{path}%20"), 404, false},
		{"something below", at("{path}/x"), 404, false},
		{"16 KiB", at("{path}/" + strings.Repeat("x", 16<<10)), 431, true},
		{"a profiler", at("/debug/pprof/"), 404, false},
		{"variables", at("/debug/vars"), 404, false},
		{"metrics, which are elsewhere", at("/metrics"), 404, false},
		{"the instance document of Azure", at("/metadata/instance?api-version=2021-02-01"), 404, false},

		// The shape of a request.
		{"a header block of 64 KiB", with("A: " + strings.Repeat("x", 64<<10)), 431, true},
		{"1000 fields", with(strings.TrimSuffix(strings.Repeat("A: 1\r\n", 1000), "\r\n")), 431, false},
		{"NUL in a field", with("A: \x00"), 400, true},
		{"two lengths", with("Content-Length: 1\r\nContent-Length: 2") + "\r\nxx", 400, true},
		{"an unknown transfer coding", with("Transfer-Encoding: xchunked") + "\r\n0\r\n\r\n", 501, true},
		{"5 KiB of body", with("Connection: close\r\nContent-Length: 5120") + "\r\n" + strings.Repeat("x", 5<<10), 413, false},
	}
	if f.form == "" {
		all = append(all,
			attack{"1 byte of body", with("Connection: close\r\nContent-Length: 1") + "\r\nx", 200, false},
			attack{"a body in chunks", with("Transfer-Encoding: chunked") + "\r\n0\r\n\r\n", 400, false},
			attack{"chunks and a length", with("Content-Length: 6\r\nTransfer-Encoding: chunked") + "\r\n0\r\n\r\n", 400, false},
		)
	}
	if inner := strings.Index(f.target[1:], "/"); inner > 0 {
		before, after := f.target[:inner+1], f.target[inner+2:]
		all = append(all,
			attack{"a slash more inside", at(before + "//" + after), 404, false},
			attack{"a dot inside", at(before + "/./" + after), 404, false},
			attack{"an escaped slash inside", at(before + "%2F" + after), 404, false},
			attack{"a way out and in", at(before + "/.." + f.target), 404, false},
		)
	}
	if !f.foldsCase {
		path, _, _ := strings.Cut(f.target, "?")
		all = append(all, attack{"in upper case", at(strings.ToUpper(path)), 404, false})
	}
	return all
}

// separator is what a parameter is added to a target with.
func separator(target string) string {
	if strings.Contains(target, "?") {
		return "&"
	}
	return "?"
}

// A refused request gets its status and no credential, is counted once, asks no cloud, and changes
// nothing for the next one.
func TestAttacks(t *testing.T) {
	w := newWorld(t)
	_, all := allFlavours(w)
	for _, f := range all {
		t.Run(f.name, func(t *testing.T) {
			good := f.request(w, goodRequest)
			credential := anySecret.FindString(w.say(good))
			if credential == "" {
				t.Fatalf("a good request yields %s", w.say(good))
			}
			want, exchanges := w.reads(), w.exchanges()
			for _, a := range f.attacks(w) {
				request := f.request(w, a.request)
				got := w.say(request)
				if status(got) != a.want {
					t.Errorf("%s: status = %d, want %d; the answer to %.300q is %.1000s", a.name, status(got), a.want, request, got)
				}
				if found := anySecret.FindString(got); found != "" && a.want != 200 {
					t.Errorf("%s: a credential leaves with the status %d", a.name, status(got))
				} else if a.want == 200 && found != credential {
					t.Errorf("%s: the credential is %.12q…, want %.12q…", a.name, found, credential)
				}
				if strings.Contains(strings.ToLower(got), "\naccess-control-") {
					t.Errorf("%s: web pages are let in by %s", a.name, got)
				}
				if a.want != 200 {
					_, _ = w.log.Write([]byte(got + "\n")) // see lookForSecrets
				}
				if !a.early {
					want[status(got)]++
				}
			}
			eventually(t, "every answer is counted", func() bool { return maps.Equal(w.reads(), want) })
			if got := w.exchanges(); got != exchanges {
				t.Errorf("the clouds were asked %d times", got-exchanges)
			}
			if got := w.say(good); anySecret.FindString(got) != credential {
				t.Errorf("a good request now yields %.200s", got)
			}
		})
	}
}

// What needs no proof to be refused is refused on every path that any outlet has.
func TestNoPathAnswersAStranger(t *testing.T) {
	w := newWorld(t)
	a, all := allFlavours(w)
	forwarded := map[string]int{}
	for _, f := range all {
		forwarded[f.kind] = f.forwarded
	}
	methods := []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"}
	for _, p := range a.Protocols() {
		for path, route := range p.Routes {
			target := (&url.URL{Path: path}).EscapedPath()
			check := func(what, method, fields string, want int) {
				t.Helper()
				got := w.say(method + " " + target + " HTTP/1.1\r\n" + fields + "Connection: close\r\n\r\n")
				if status(got) != want || anySecret.MatchString(got) {
					t.Errorf("%s, %s: %s = %.500s, want %d", p.Name, what, method, got, want)
				}
				if want == 405 && !strings.Contains(got, "\nAllow: ") {
					t.Errorf("%s: %s %s: no Allow in %s", p.Name, method, target, got)
				}
			}
			host := fmt.Sprintf("Host: %s\r\n", w.urls["OUTLETS"])
			for _, method := range methods {
				if !slices.Contains(route.Methods, method) {
					check("wrong method", method, host, 405)
				}
			}
			method := route.Methods[0]
			check("rebound", method, "Host: attacker.example\r\n", 403)
			check("another port", method, "Host: 127.0.0.1:1\r\n", 403)
			check("no host", method, "Host:\r\n", 400)
			for _, field := range []string{"Origin", "Sec-Fetch-Site"} {
				check(field, method, host+field+": null\r\n", 403)
			}
			for _, field := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Via"} {
				check(field, method, host+field+":\r\n", forwarded[p.Name])
			}
		}
	}
}

// A thousand requests for all flavours in turn, sent at once over one connection: each gets its own
// credential.
func TestPipelinedFlavoursAreNotMixedUp(t *testing.T) {
	w := newWorld(t)
	_, all := allFlavours(w)
	var own []string
	distinct := map[string]bool{}
	for _, f := range all {
		credential := anySecret.FindString(w.say(f.request(w, goodRequest)))
		own = append(own, credential)
		distinct[credential] = true
	}
	if len(distinct) < 6 || distinct[""] {
		t.Fatalf("%d flavours yield %d credentials, want one each, and most of them different", len(all), len(distinct))
	}
	const n = 1000
	var text strings.Builder
	for i := range n {
		request := all[i%len(all)].request(w, goodRequest)
		if i < n-1 {
			request = strings.Replace(request, "Connection: close\r\n", "", 1)
		}
		text.WriteString(request)
	}
	answers := bufio.NewReader(strings.NewReader(w.say(text.String())))
	for i := range n {
		got, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		body, err := io.ReadAll(got.Body)
		if err != nil || anySecret.FindString(string(body)) != own[i%len(own)] {
			t.Fatalf("answer %d, for %s, holds another credential, %v", i, all[i%len(own)].name, err)
		}
	}
	if _, err := answers.Peek(1); err != io.EOF {
		t.Errorf("there are more answers than requests: %v", err)
	}
}

// More connections than an outlet takes leave the probes alone, and the outlet is there again when they
// are gone.
func TestConnectionsPastTheCapDoNotReachTheProbes(t *testing.T) {
	w := newWorld(t)
	allFlavours(w)
	var idle []net.Conn
	for range 1500 {
		conn, err := net.Dial("tcp", w.urls["OUTLETS"])
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, conn)
	}
	for _, path := range []string{"/livez", "/readyz", "/startupz", "/metrics"} {
		if got := w.get(w.urls["PROBES"], path); got.status != http.StatusOK {
			t.Errorf("%s = %d %s", path, got.status, got.body)
		}
	}
	for _, conn := range idle {
		_ = conn.Close()
	}
	eventually(t, "the outlets answer again", func() bool {
		got, err := w.try(w.urls["OUTLETS"], "/aws/aws", "Authorization: "+w.secretFile("aws"))
		return err == nil && got.status == http.StatusOK
	})
}
