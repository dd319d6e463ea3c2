package conformance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A door leads from loopback to Google, to a metadata service, and to whatever gives a subject token. It
// remembers what Google was asked and answered.
type door struct {
	*httptest.Server
	ec2      http.Handler     // below /latest/
	subject  http.HandlerFunc // for all other paths
	audience string           // what Google gets to read as the audience; empty: what the client says

	mu    sync.Mutex
	calls []call // guarded by mu
}

// A call is what tests want to know of a call of Google.
type call struct {
	project string // X-Goog-User-Project
	options string // of the token exchange
	answer  string // the status and code of a refusal
	says    string // its description
}

// newDoor opens a door to the Google of the stage, whichever that is when it is used.
func newDoor(s *stage) *door {
	d := &door{subject: http.NotFound, ec2: http.NotFoundHandler()}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/v1/"):
			d.ask(s.google, w, r)
		case strings.HasPrefix(r.URL.Path, "/latest/"):
			d.ec2.ServeHTTP(w, r)
		default:
			d.subject(w, r)
		}
	}))
	s.Cleanup(d.Close)
	return d
}

func (d *door) ask(google http.Handler, w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	form, _ := url.ParseQuery(string(text)) // that of an impersonation is JSON
	c := call{project: r.Header.Get("X-Goog-User-Project"), options: form.Get("options")}
	if d.audience != "" {
		form.Set("audience", d.audience)
		text = []byte(form.Encode())
	}
	r.Body = io.NopCloser(bytes.NewReader(text))
	answer := httptest.NewRecorder()
	google.ServeHTTP(answer, r)
	if answer.Code/100 != 2 {
		c.answer, c.says = refusalIn(answer)
	}
	d.mu.Lock()
	d.calls = append(d.calls, c)
	d.mu.Unlock()
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// refusalIn reads both of Google's forms, and a body that is neither.
func refusalIn(answer *httptest.ResponseRecorder) (code, says string) {
	var oauth struct {
		Code string `json:"error"`
		Says string `json:"error_description"`
	}
	var api struct {
		Error struct{ Status, Message string }
	}
	status := strconv.Itoa(answer.Code) + " "
	if json.Unmarshal(answer.Body.Bytes(), &oauth) == nil {
		return status + oauth.Code, oauth.Says
	}
	if json.Unmarshal(answer.Body.Bytes(), &api) == nil {
		return status + api.Error.Status, api.Error.Message
	}
	return status, answer.Body.String()
}

// asked are all calls so far.
func (d *door) asked() []call {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.calls)
}

// refusal is Google's last one; answer is empty if there was none.
func (d *door) refusal() (answer, says string) {
	for _, c := range slices.Backward(d.asked()) {
		if c.answer != "" {
			return c.answer, c.says
		}
	}
	return "", ""
}

// client leads here whatever the URL is, as if the handshake of TLS were done.
func (d *door) client() *http.Client {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, d.Listener.Addr().String())
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial, DialTLSContext: dial, DisableKeepAlives: true}}
}

// proxy is for clients that are programs of their own: it leads here whatever host they want to be
// connected with, and has a certificate for Google's, which it returns in PEM.
func (d *door) proxy(s *stage) (address, certificate string) {
	tunnel := httptest.NewUnstartedServer(d.Config.Handler)
	pair, certificate := certified(s, "sts.googleapis.com", "iamcredentials.googleapis.com")
	tunnel.TLS = pair
	tunnel.StartTLS()
	s.Cleanup(tunnel.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "only https goes through here", http.StatusBadRequest)
			return
		}
		far, err := net.Dial("tcp", tunnel.Listener.Addr().String())
		if err != nil {
			return
		}
		defer far.Close()
		near, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer near.Close()
		fmt.Fprint(near, "HTTP/1.1 200 Connected\r\n\r\n")
		go func() { _, _ = io.Copy(far, near) }()
		_, _ = io.Copy(near, far)
	}))
	s.Cleanup(proxy.Close)
	return proxy.URL, certificate
}
