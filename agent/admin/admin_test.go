package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/agent/admin"
	"github.com/wisp-sidecar/wisp/refresher"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A wisp is a Backend that has what it is given.
type wisp struct {
	status     admin.Status
	credential refresher.Credential
	err        error
	asked      admin.Question
	until      time.Time     // the end of the patience of who asked
	quits      chan struct{} // gets a value for each Quit; nil: nobody counts
}

func (w *wisp) Status() admin.Status { return w.status }

func (w *wisp) Quit() {
	if w.quits != nil {
		w.quits <- struct{}{}
	}
}

func (w *wisp) Credential(ctx context.Context, q admin.Question) (refresher.Credential, error) {
	w.asked = q
	w.until, _ = ctx.Deadline()
	return w.credential, w.err
}

func (w *wisp) Refresh(name string) ([]admin.Refreshed, error) {
	if name == "nobody" {
		return nil, admin.ErrUnknown
	}
	return []admin.Refreshed{{Identity: name, Accepted: true}}, nil
}

// patient checks what patience somebody had who began to ask then and has the answer now.
func (w *wisp) patient(t *testing.T, begin time.Time, want time.Duration) {
	t.Helper()
	least, most := time.Until(w.until), w.until.Sub(begin)
	if want < least || want > most {
		t.Errorf("the patience is from %v to %v, want %v", least, most, want)
	}
}

// serve runs a server for w, and returns its socket.
func serve(t *testing.T, w *wisp) string {
	t.Helper()
	path := filepath.Join(short(t), "admin.sock")
	l, err := admin.Listen(t.Context(), path, admin.SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- admin.Serve(ctx, l, w, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve = %v, want nil after its context has ended", err)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Error("the socket outlives its server")
		}
	})
	return path
}

// short is a directory whose path leaves room for a socket's name.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wisp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

var (
	expires = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	key     = refresher.Credential{Expires: expires, Value: refresher.AccessKey{
		ID: "ASIAIOSFODNN7EXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", SessionToken: "IQoJb3JpZ2luX2VjE<&>+/==", AccountID: "123456789012",
	}}
	token = refresher.Credential{Expires: expires, Value: refresher.Bearer{Token: "ya29.c.b0Aaekm1-example_token", Type: refresher.TypeAccessToken}}
)

// What the server hands out arrives as it was, and what was asked for arrives there.
func TestCredential(t *testing.T) {
	for name, credential := range map[string]refresher.Credential{"an access key": key, "a token": token} {
		t.Run(name, func(t *testing.T) {
			w := &wisp{credential: credential}
			client := admin.NewClient(serve(t, w))
			q := admin.Question{
				Identity: "a", Target: refresher.Target{Scope: "x y&z", Audience: "https://app.example/?a=b"},
				Configuration: "digest", Provider: "//iam.googleapis.com/p", Patience: 20 * time.Second,
			}
			begin := time.Now()
			got, err := client.Credential(t.Context(), q)
			w.patient(t, begin, q.Patience)
			q.Patience = 0 // which arrives as a deadline
			if diff := cmp.Diff(credential, got); diff != "" || err != nil {
				t.Errorf("Credential (-want +got), %v:\n%s", err, diff)
			}
			if diff := cmp.Diff(q, w.asked); diff != "" {
				t.Errorf("the question (-want +got):\n%s", diff)
			}
		})
	}
}

// A failure is the same on both sides, but for the cloud's own words, which stay where they are.
func TestCredentialFailures(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want error
	}{
		{"an unknown identity", admin.ErrUnknown, admin.ErrUnknown},
		{"another configuration", admin.ErrOther, admin.ErrOther},
		{
			"a refusal",
			&refresher.Error{Class: refresher.Denied, Code: "AccessDenied", Hint: "mend it", Err: errors.New("words of the cloud")},
			&refresher.Error{Class: refresher.Denied, Code: "AccessDenied", Hint: "mend it", Err: errors.New("the cloud refuses this identity; the log of wisp says why")},
		},
		{
			"an outage",
			&refresher.Error{Class: refresher.Throttled, Err: errors.New("words of the cloud")},
			&refresher.Error{Class: refresher.Throttled, Err: errors.New("there is no credential at the moment; try again")},
		},
		{
			"a scope that is not listed",
			&refresher.Error{Class: refresher.Denied, Code: refresher.CodeTargetNotAllowed, Err: errors.New("x")},
			&refresher.Error{Class: refresher.Denied, Code: refresher.CodeTargetNotAllowed, Err: errors.New("this scope, resource or audience is not allowed by the configuration")},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := admin.NewClient(serve(t, &wisp{err: test.err})).Credential(t.Context(), admin.Question{Patience: time.Second})
			if got, want := describe(err), describe(test.want); got != want {
				t.Errorf("Credential = %s, want %s", got, want)
			}
		})
	}
}

// describe is all that there is to an error.
func describe(err error) string {
	if e, ok := errors.AsType[*refresher.Error](err); ok {
		return fmt.Sprintf("%v, code %q, hint %q: %v", e.Class, e.Code, e.Hint, e.Err)
	}
	return err.Error()
}

// Nobody waits for ever, and the server is not asked to.
func TestPatienceIsBounded(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{
		-time.Second: 0, 0: 0, 3 * time.Second: 3 * time.Second, time.Hour: time.Minute,
	} {
		w := &wisp{credential: token}
		client, begin := admin.NewClient(serve(t, w)), time.Now()
		if _, err := client.Credential(t.Context(), admin.Question{Patience: asked}); err != nil {
			t.Fatal(err)
		}
		w.patient(t, begin, want)
	}
}

func TestCommands(t *testing.T) {
	w := &wisp{quits: make(chan struct{}, 2)}
	client := admin.NewClient(serve(t, w))
	for _, name := range []string{"", "a"} {
		done, err := client.Refresh(t.Context(), name)
		if want := []admin.Refreshed{{Identity: name, Accepted: true}}; err != nil || !cmp.Equal(done, want) {
			t.Errorf("Refresh(%q) = %v, %v, want %v", name, done, err, want)
		}
	}
	if _, err := client.Refresh(t.Context(), "nobody"); !errors.Is(err, admin.ErrUnknown) {
		t.Errorf("Refresh of nobody = %v, want %v", err, admin.ErrUnknown)
	}
	if err := client.Quit(t.Context()); err != nil {
		t.Error(err)
	}
	<-w.quits // after the answer
}

// Others read these bytes, too: scripts and monitoring.
func TestGolden(t *testing.T) {
	written := true
	w := &wisp{credential: key, status: admin.Status{
		Version: "v1.2.3", Started: true,
		Identities: []admin.Identity{
			{Name: "aws", Yields: "an AWS access key", Required: true, State: "fresh", Usable: true, ExpiresIn: 3599, NextAttemptIn: 1800},
			{Name: "azure", Yields: "an Entra token", State: "cold", NextAttemptIn: -1, Failure: &admin.Failure{
				Class: "settling", Code: "AADSTS700213", Hint: "compare the subject", Message: "the log of wisp says more",
			}},
		},
		Outlets: []admin.Outlet{
			{Kind: "awsContainer", Identities: []string{"aws"}, Where: "http://127.0.0.1:9911/aws/aws"},
			{Kind: "file", Identities: []string{"aws"}, Where: "/run/wisp/aws as awsSharedCredentials", Written: &written},
			{Kind: "file", Identities: []string{"aws"}, Where: "/run/wisp/full as json", Written: &written, Failure: "/run/wisp/full: write: no space left on device"},
		},
	}}
	denied := &wisp{err: &refresher.Error{Class: refresher.Denied, Code: "AccessDenied", Hint: "mend it", Err: errors.New("words of the cloud")}}
	for _, test := range []struct {
		name, method, path string
		wisp               *wisp
	}{
		{"status", http.MethodGet, "/v1/status", w},
		{"credential", http.MethodGet, "/v1/credential?identity=aws", w},
		{"credential_denied", http.MethodGet, "/v1/credential?identity=aws", denied},
		{"credential_unknown", http.MethodGet, "/v1/credential?identity=x", &wisp{err: admin.ErrUnknown}},
		{"credential_other", http.MethodGet, "/v1/credential?identity=x&configuration=y", &wisp{err: admin.ErrOther}},
		{"refresh", http.MethodPost, "/v1/refresh?identity=aws", w},
		{"refresh_unknown", http.MethodPost, "/v1/refresh?identity=nobody", w},
		{"refresh_by_get", http.MethodGet, "/v1/refresh", w},
		{"quit", http.MethodPost, "/v1/quit", w},
		{"quit_by_get", http.MethodGet, "/v1/quit", w},
		{"nothing", http.MethodGet, "/", w},
	} {
		t.Run(test.name, func(t *testing.T) {
			socket := serve(t, test.wisp)
			conn, err := net.Dial("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: wisp\r\nConnection: close\r\n\r\n", test.method, test.path)
			answer, err := io.ReadAll(conn)
			if err != nil {
				t.Fatal(err)
			}
			got := strings.ReplaceAll(string(answer), "\r\n", "\n")
			if i := strings.Index(got, "Date: "); i >= 0 {
				got = got[:i] + got[i+strings.Index(got[i:], "\n")+1:]
			}
			path := filepath.Join("testdata", test.name+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
		})
	}
}

// Whatever answers at the socket, the client makes an error of it or a credential, and shows no secret.
func FuzzClient(f *testing.F) {
	f.Add(200, `{"type":"bearer","token":"hunter2-hunter2","expiresAt":"2030-01-02T03:04:05Z"}`)
	f.Add(200, `{"type":"awsAccessKey","accessKeyId":"hunter2-hunter2"}`)
	f.Add(200, `{"token":"hunter2-hunter2"`)
	f.Add(404, `{"message":"there is no such identity"}`)
	f.Add(503, `{"class":"denied","code":"x","message":"y"}`)
	f.Add(503, `null`)
	f.Add(500, ``)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		l, err := net.Listen("unix", filepath.Join(short(t), "s"))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}))
		server.Listener = l
		server.Start()
		defer server.Close()
		c, err := admin.NewClient(l.Addr().String()).Credential(t.Context(), admin.Question{})
		if (err == nil) != (c.Value != nil && status < 300) && err == nil {
			t.Errorf("%d %q: Credential = %v, %v", status, body, c, err)
		}
		if err != nil && status < 300 && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows a secret: %v", err)
		}
		if text, _ := json.Marshal(c); strings.Contains(string(text), "hunter2-hunter2") && strings.Contains(body, "token") {
			t.Errorf("the credential prints: %s", text)
		}
	})
}
