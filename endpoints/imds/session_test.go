package imds_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/endpoints/imds"
	"github.com/wisp-sidecar/wisp/refresher"
)

func TestTTL(t *testing.T) {
	good := []string{"1", "9", "60", "300", "21599", "21600"}
	bad := []string{
		"", "0", "00", "-1", "-0", "21601", "99999", "100000", "1.5", "1e3", "+5", "0x10", "1_000", "007", "six", "1 2", "1,2", "60s",
		"18446744073709551617", strings.Repeat("1", 30), strings.Repeat("0", 29) + "1", "\u0661", "\uff11", "\u00a01",
	}
	x := newOutlet(t, full(nil))
	ask := func(ttl string) *http.Response {
		return x.ask("PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: " + ttl)
	}
	for _, ttl := range good {
		answer := ask(ttl)
		if echo := answer.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds"); answer.StatusCode != http.StatusOK || echo != ttl {
			t.Errorf("lifetime %q: %d, echo %q, want 200 and the same", ttl, answer.StatusCode, echo)
		}
	}
	for _, ttl := range bad {
		answer := ask(ttl)
		if answer.StatusCode != http.StatusBadRequest || answer.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds") != "" {
			t.Errorf("lifetime %q: %d, want 400 without an echo", ttl, answer.StatusCode)
		}
	}
}

// A token is plain text that can be sent back as it is, and each is another.
func TestTokenText(t *testing.T) {
	x := newOutlet(t, full(nil))
	again := endpointstest.Body(t, x.ask("PUT //latest/api/token/ HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 21600\n\nan ignored body"))
	for _, token := range []string{x.token, again} {
		if len(token) < 8 || len(token) > 1024 || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("token %q", token)
		}
	}
	if again == x.token {
		t.Error("two tokens are the same")
	}
}

func TestTokens(t *testing.T) {
	x, other := newOutlet(t, full(endpointstest.YieldDefault(credential))), newOutlet(t, full(endpointstest.YieldDefault(credential)))
	good := x.token
	flipped := func(n int) string {
		text := []byte(good)
		text[n] ^= 1
		return string(text)
	}
	last := func() string { // the next character of the alphabet, which differs in the bits that a decoder may ignore
		text := []byte(good)
		text[len(text)-1]++
		return string(text)
	}
	tests := []struct {
		name, fields string
		want, wantV1 int
	}{
		{"right", "X-aws-ec2-metadata-token: " + good, 200, 200},
		{"right, in another case", "x-AWS-EC2-metadata-token: " + good, 200, 200},
		{"right, with blanks around", "X-aws-ec2-metadata-token:   " + good + "  ", 200, 200},
		{"none", "", 401, 200},
		{"empty", "X-aws-ec2-metadata-token:", 401, 401},
		{"garbage", "X-aws-ec2-metadata-token: x", 401, 401},
		{"garbage of the right length", "X-aws-ec2-metadata-token: " + strings.Repeat("A", len(good)), 401, 401},
		{"of another process", "X-aws-ec2-metadata-token: " + other.token, 401, 401},
		{"its beginning", "X-aws-ec2-metadata-token: " + good[:len(good)-1], 401, 401},
		{"its end", "X-aws-ec2-metadata-token: " + good[1:], 401, 401},
		{"more than it", "X-aws-ec2-metadata-token: " + good + "A", 401, 401},
		{"padded", "X-aws-ec2-metadata-token: " + good + "==", 401, 401},
		{"doubled", "X-aws-ec2-metadata-token: " + good + good, 401, 401},
		{"with a bearer in front", "X-aws-ec2-metadata-token: Bearer " + good, 401, 401},
		{"with one bit of its time flipped", "X-aws-ec2-metadata-token: " + flipped(3), 401, 401},
		{"with one bit of its random part flipped", "X-aws-ec2-metadata-token: " + flipped(20), 401, 401},
		{"with one bit of its code flipped", "X-aws-ec2-metadata-token: " + flipped(60), 401, 401},
		{"with a spare bit flipped", "X-aws-ec2-metadata-token: " + last(), 401, 401},
		{"in another header", "Authorization: " + good, 401, 200},
		{"twice", "X-aws-ec2-metadata-token: " + good + "\nX-aws-ec2-metadata-token: " + good, 400, 400},
		{"a wrong one first", "X-aws-ec2-metadata-token: x\nX-aws-ec2-metadata-token: " + good, 400, 400},
	}
	protocol := imds.New(v1(full(endpointstest.YieldDefault(credential))))
	allowing := &outlet{TB: t, Handler: endpointstest.Serve(t, protocol)}
	allowing.token = endpointstest.Body(t, allowing.ask("PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 21600"))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, path := range []string{"/latest/", roles, roles + role, document, "/latest/meta-data/placement/region"} {
				if answer := x.ask("GET " + path + " HTTP/1.1\n" + test.fields); answer.StatusCode != test.want {
					t.Errorf("GET %s = %d, want %d", path, answer.StatusCode, test.want)
				}
				fields := strings.ReplaceAll(test.fields, good, allowing.token)
				if strings.Contains(test.name, "flipped") {
					fields = test.fields
				}
				if answer := allowing.ask("GET " + path + " HTTP/1.1\n" + fields); answer.StatusCode != test.wantV1 {
					t.Errorf("with version 1 GET %s = %d, want %d", path, answer.StatusCode, test.wantV1)
				}
			}
			// What there is, is not told without a token; a path elsewhere is nobody's.
			unknown := map[bool]int{true: http.StatusNotFound, false: test.want}[test.want == http.StatusOK]
			for _, path := range []string{"/latest/user-data", roles + "other", "/latest/x/../y"} {
				if answer := x.ask("GET " + path + " HTTP/1.1\n" + test.fields); answer.StatusCode != unknown {
					t.Errorf("GET %s = %d, want %d", path, answer.StatusCode, unknown)
				}
			}
		})
	}
}

// Whatever becomes of the credential and whatever else is sent, there is a token at once: the SDKs for Go,
// JavaScript and .NET take a 403, 404 or 405 for a server that knows version 1 only, and remember that.
func TestPutAlwaysGivesAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		for name, p := range map[string]endpointstest.Provider{
			"a credential": endpointstest.YieldDefault(credential), "none yet": endpointstest.Fail(refresher.Transient, "AccessDenied"), "none, as the cloud refuses": endpointstest.Fail(refresher.Denied, "AccessDenied"), "a defect": nil,
		} {
			for _, o := range []imds.Options{full(p), bare(p), v1(full(p))} {
				x := newOutlet(t, o)
				for _, token := range []string{"", "X-aws-ec2-metadata-token: x\n", "X-aws-ec2-metadata-token: TOKEN\n"} {
					if answer := x.ask("PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 60\n" + token); answer.StatusCode != http.StatusOK {
						t.Errorf("%s: PUT with %q = %d, want 200", name, token, answer.StatusCode)
					}
				}
			}
		}
		if held := time.Since(start); held != 0 {
			t.Errorf("the tokens took %v", held)
		}
	})
}

func TestTokensExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newOutlet(t, full(endpointstest.YieldDefault(credential)))
		six := x.token
		for _, seconds := range []int{1, 300, 21600} {
			x.token = endpointstest.Body(t, x.ask("PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: "+strconv.Itoa(seconds)))
			time.Sleep(time.Duration(seconds)*time.Second - time.Nanosecond)
			if answer := x.get(roles); answer.StatusCode != http.StatusOK {
				t.Errorf("just before %d s: %d, want 200", seconds, answer.StatusCode)
			}
			time.Sleep(time.Nanosecond)
			if answer := x.get(roles); answer.StatusCode != http.StatusUnauthorized {
				t.Errorf("after %d s: %d, want 401", seconds, answer.StatusCode)
			}
		}
		x.token = six
		if answer := x.get(roles); answer.StatusCode != http.StatusUnauthorized {
			t.Errorf("after more than six hours: %d, want 401", answer.StatusCode)
		}
	})
}

// Whoever asks for many tokens pushes nobody else's out, and takes no memory.
func TestManyTokens(t *testing.T) {
	x := newOutlet(t, full(endpointstest.YieldDefault(credential)))
	put := imds.New(full(endpointstest.YieldDefault(credential))).Routes["/latest/api/token"].Handler
	r := httptest.NewRequest(http.MethodPut, "/latest/api/token", nil)
	r.Header.Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
	w := discard{http.Header{}}
	before := heap()
	for range 100_000 {
		if refusal := put(w, r); refusal != nil {
			t.Fatal(refusal)
		}
	}
	if after := heap(); after > before+2<<20 {
		t.Errorf("100 000 tokens hold %d bytes", after-before)
	}
	for range 1000 { // with the gate, and on the same protocol as the first token
		x.ask("PUT /latest/api/token HTTP/1.1\nX-aws-ec2-metadata-token-ttl-seconds: 21600")
	}
	if answer := x.get(roles); answer.StatusCode != http.StatusOK {
		t.Errorf("the first token: %d, want 200", answer.StatusCode)
	}
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
