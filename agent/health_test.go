package agent_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wisp-sidecar/wisp/agent"
)

// probe asks a probe without a socket.
func (w *world) probe(a *agent.Agent, path string) (status int, body string) {
	recorder := httptest.NewRecorder()
	a.Health().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	_, _ = w.log.Write(recorder.Body.Bytes())
	return recorder.Code, recorder.Body.String()
}

// probes compares the statuses of all probes.
func (w *world) probes(a *agent.Agent, when string, startup, ready, live int) {
	w.Helper()
	for path, want := range map[string]int{"/startupz": startup, "/readyz": ready, "/livez": live} {
		if got, body := w.probe(a, path+"?verbose"); got != want {
			w.Errorf("%s: %s = %d %q, want %d", when, path, got, body, want)
		}
	}
}

// identities runs an agent without its outlets.
func (w *world) identities(a *agent.Agent) {
	ctx, stop := context.WithCancel(context.Background())
	group, ctx := errgroup.WithContext(ctx)
	a.RunIdentities(ctx, group)
	w.Cleanup(func() {
		stop()
		if err := group.Wait(); err != nil {
			w.Error(err)
		}
	})
}

const (
	ok      = http.StatusOK
	waiting = http.StatusServiceUnavailable
)

// A credential that has expired takes a strict wisp out of service, but not one that is lenient: its Pod
// would go with it. What a cloud does never has either of them killed.
func TestReadiness(t *testing.T) {
	for _, test := range []struct {
		readiness string
		expired   int
	}{{"strict", waiting}, {"lenient", ok}} {
		t.Run(test.readiness, func(t *testing.T) {
			w := newWorld(t)
			w.aws.Refuse(true)
			offset := newOffset()
			a := w.agent(w.document(awsIdentity, `
upstream: {allowInsecureLoopback: true}
health: {readiness: `+test.readiness+`}
`), agent.Options{Clock: offset.clock()})
			w.probes(a, "before the start", waiting, waiting, ok)
			if _, body := w.probe(a, "/startupz?verbose"); body != "identity aws has no credential yet\n" {
				t.Errorf("/startupz?verbose = %q", body)
			}
			if _, body := w.probe(a, "/startupz"); body != "not ok\n" {
				t.Errorf("/startupz = %q, want nothing about identities", body)
			}
			w.identities(a)
			identity, _ := a.Identity("aws")
			eventually(t, "a failure", func() bool { return identity.Status().Failure != nil })
			w.probes(a, "without a credential", waiting, waiting, ok)

			w.aws.Refuse(false)
			eventually(t, "a credential", func() bool { return identity.Status().Usable })
			eventually(t, "the startup probe", func() bool { status, _ := w.probe(a, "/startupz"); return status == ok })
			w.probes(a, "with a credential", ok, ok, ok)

			w.aws.Refuse(true)
			offset.forward(2 * time.Hour)
			// Whoever reads now wakes the scheduler, or it would take a while to notice what no real clock does.
			brief, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			if _, err := identity.Credential(brief, agent.Target(nil, "", "")); err == nil {
				t.Error("the expired credential is handed out")
			}
			eventually(t, "the scheduler turns", func() bool { status, _ := w.probe(a, "/livez"); return status == ok })
			w.probes(a, "with an expired credential", ok, test.expired, ok)
		})
	}
}

func TestOptionalIdentitiesAreNotWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.entra.Refuse(true)
	a := w.agent(w.document(awsIdentity+entraIdentity+"  required: false\n", ""), agent.Options{})
	w.identities(a)
	eventually(t, "the startup probe", func() bool { status, _ := w.probe(a, "/startupz"); return status == ok })
	w.probes(a, "without the optional credential", ok, ok, ok)
	optional, _ := a.Identity("azure")
	if optional.Status().Usable {
		t.Error("the optional identity has a credential, so this proves nothing")
	}
	w.entra.Refuse(false)
	eventually(t, "the optional credential", func() bool { return optional.Status().Usable })
}

// Not only the credential, also its file.
func TestStartupWaitsForFiles(t *testing.T) {
	w := newWorld(t)
	a := w.agent(w.document(awsIdentity, `
outlets: [{identity: aws, file: {path: "${DIR}/later/aws", format: json}}]
`), agent.Options{})
	w.identities(a) // but not what writes the file
	identity, _ := a.Identity("aws")
	eventually(t, "a credential", func() bool { return identity.Status().Usable })
	eventually(t, "only the file is missing", func() bool {
		status, body := w.probe(a, "/startupz?verbose")
		return status == waiting && body == "outlets[0].file is not written yet\n"
	})
}

// A file that cannot be written keeps nobody from the credential elsewhere, and everybody can see why.
func TestFileThatCannotBeWritten(t *testing.T) {
	w := newWorld(t)
	a := w.agent(w.document(awsIdentity, `
outlets:
- {identity: aws, awsContainer: {listen: "${OUTLETS}"}}
- {identity: aws, file: {path: "${DIR}/out/aws", format: json}}
`), agent.Options{})
	// What is in its place is not ours.
	path := filepath.Join(w.dir, "out", "aws")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	w.run(a)
	const why = ": refused: it is not a regular file; remove it"
	eventually(t, "the status names the file", func() bool {
		files := a.Status().Outlets[1]
		return files.Failure == path+why && !*files.Written && a.Status().Outlets[0].Failure == ""
	})
	if got := w.get(w.urls["OUTLETS"], "/aws/aws"); got.status != http.StatusOK {
		t.Errorf("the other outlet: %d %s", got.status, got.body)
	}
	w.probes(a, "with a file that cannot be written", waiting, ok, ok)
	told := func() int { return strings.Count(w.log.String(), why) }
	eventually(t, "the log tells of it", func() bool { return told() > 0 }) // after the status
	if n := told(); n != 1 {
		t.Errorf("the log tells of it %d times, want once:\n%s", n, &w.log)
	}
}

// Nothing but a scheduler that stands still ends its life.
func TestHungSchedulerIsNotAlive(t *testing.T) {
	w := newWorld(t)
	clock := newStillClock()
	a := w.agent(w.document(awsIdentity, ""), agent.Options{Clock: clock.clock()})
	clock.forward(59 * time.Second)
	if status, body := w.probe(a, "/livez?verbose"); status != ok {
		t.Errorf("/livez after 59 s = %d %q", status, body)
	}
	clock.forward(2 * time.Second) // and nobody runs it
	if status, body := w.probe(a, "/livez?verbose"); status != waiting || body != "identity aws: the scheduler stands still for 1m1s\n" {
		t.Errorf("/livez after 61 s = %d %q", status, body)
	}
}

func TestHealthPaths(t *testing.T) {
	w := newWorld(t)
	on := w.agent(w.document(awsIdentity, ""), agent.Options{})
	off := w.agent(w.document(awsIdentity, "\nupstream: {allowInsecureLoopback: true}\nhealth: {metrics: {off: true}}\n"), agent.Options{})
	for _, test := range []struct {
		agent  *agent.Agent
		method string
		path   string
		want   int
	}{
		{on, "GET", "/metrics", http.StatusOK},
		{off, "GET", "/metrics", http.StatusNotFound},
		{on, "GET", "/", http.StatusNotFound},
		{on, "GET", "/debug/pprof/", http.StatusNotFound},
		{on, "GET", "/debug/vars", http.StatusNotFound},
		{on, "POST", "/livez", http.StatusMethodNotAllowed},
		{on, "POST", "/quitquitquit", http.StatusNotFound},
		{on, "HEAD", "/livez", http.StatusOK},
	} {
		recorder := httptest.NewRecorder()
		test.agent.Health().ServeHTTP(recorder, httptest.NewRequest(test.method, test.path, nil))
		if recorder.Code != test.want {
			t.Errorf("%s %s = %d, want %d", test.method, test.path, recorder.Code, test.want)
		}
	}
}
