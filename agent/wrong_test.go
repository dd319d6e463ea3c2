package agent_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/examples/pairs"
	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/cloudtest"
)

// A wrongInput is something wrong, in the configuration or around it.
type wrongInput struct {
	name string
	// What the identity "reports" has, in YAML, and the identities before it that it is built on.
	source, exchange, before string
	// around makes the world of it wrong, or only gives it a token; nil if nothing is to be done.
	around func(w *wrongWorld)
}

// Whatever is wrong, whoever asks for the credential is told in one line what, of which identity, and in
// a second one what to do about it; and nothing that is a secret. The golden file is what wisp get prints
// after its 20 seconds; of programs, which need real time, what their first failure would be.
func TestWrongInputs(t *testing.T) {
	services := wrongServices(t)
	var told wrongTexts
	inputs := slices.Concat(wrongTokens(), wrongURLs(), wrongPlatforms(), wrongAssertions(), wrongAWSKeys(),
		wrongChains(), wrongRoles(), wrongGoogle(), wrongEntra(), wrongOAuth())
	for _, input := range inputs {
		t.Run(input.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWrongWorld(t, services)
				told.add(t, input, w, w.get(input, 20*time.Second))
			})
		})
	}
	for _, input := range wrongPrograms() {
		t.Run(input.name, func(t *testing.T) {
			t.Parallel()
			w := newWrongWorld(t, services)
			told.add(t, input, w, w.get(input, 0))
		})
	}
	t.Cleanup(func() { // when the parallel ones have ended
		if told.complete(len(inputs) + len(wrongPrograms())) {
			golden(t, filepath.Join("testdata", "wrong", "errors.golden"), told.String())
		}
	})
}

// wrongTexts are the sections of the golden file.
type wrongTexts struct {
	mu   sync.Mutex
	text map[string]string // by the name of the input; guarded by mu
}

// inErrorsGolden has the parts of a text that differ from run to run.
var inErrorsGolden = []struct {
	varies *regexp.Regexp
	as     string
}{
	{regexp.MustCompile(`token [0-9a-f]{8}\b`), "token FINGERPRINT"},
	{regexp.MustCompile(`date/time [0-9]{10}\b`), "date/time SECONDS"},
}

// add judges what was told, and keeps it.
func (x *wrongTexts) add(t *testing.T, input wrongInput, w *wrongWorld, told wrongAnswer) {
	t.Helper()
	first, hint, _ := strings.Cut(told.text, "\n  hint: ")
	where := `identity "reports": `
	if told.class == wrongConfiguration {
		where = "config.yaml: line "
	} else if hint == "" {
		t.Errorf("there is no hint what to do about: %s", first)
	}
	if !strings.HasPrefix(first, where) || strings.Contains(first+hint, "\n") {
		t.Errorf("the text is not one line that begins with %q:\n%s", where, told.text)
	}
	w.lookForSecrets(told.text)
	text := strings.ReplaceAll(told.text, w.dir, "DIR")
	for _, part := range inErrorsGolden {
		text = part.varies.ReplaceAllString(text, part.as)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.text == nil {
		x.text = map[string]string{}
	}
	if x.text[input.name] != "" {
		t.Error("there are two inputs of this name")
	}
	x.text[input.name] = fmt.Sprintf("# %s: %s\n%s\n", input.name, told.class, text)
}

// complete reports whether all inputs were tried: not so if the command line selects some.
func (x *wrongTexts) complete(inputs int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.text) == inputs
}

func (x *wrongTexts) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(x.text)) {
		b.WriteString(x.text[name] + "\n")
	}
	return b.String()
}

// A wrongWorld is the world of one input: the services of all, at the addresses they really have.
type wrongWorld struct {
	*pairs.World
	t       testing.TB
	network *cloudtest.Network
	dir     string            // what documents call ${DIR}
	environ map[string]string // of the agent
	clock   *refresher.Clock  // of the agent
	secrets []string
}

// wrongServices are made at the hour at which each bubble begins, and used by all, because it takes a
// while to make their keys.
func wrongServices(t *testing.T) *pairs.World {
	t.Helper()
	var services *pairs.World
	synctest.Test(t, func(t *testing.T) {
		var err error
		services, err = pairs.NewWorld(pairs.Options{URL: "https://runner.example", Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
	})
	return services
}

func newWrongWorld(t *testing.T, services *pairs.World) *wrongWorld {
	t.Helper()
	w := &wrongWorld{World: services, t: t, network: cloudtest.NewNetwork(), dir: t.TempDir(), environ: map[string]string{}, clock: &refresher.Clock{}}
	for host, service := range map[string]http.Handler{
		"runner.example":                w.GitHub,
		"169.254.169.254":               http.HandlerFunc(w.metadata),
		"169.254.170.23":                w.Container,
		"sts.eu-west-1.amazonaws.com":   w.AWS,
		"sts.googleapis.com":            w.Google,
		"iamcredentials.googleapis.com": w.Google,
		"login.microsoftonline.com":     w.Entra,
		"sts.example":                   w.OAuth,
	} {
		w.network.Handle(host, service)
	}
	t.Cleanup(func() {
		for _, faults := range []interface{ Clear() }{w.Kubernetes, w.GitHub, w.AzureIMDS, w.GCE, w.EC2, w.Container, w.AWS, w.Google, w.Entra, w.OAuth} {
			faults.Clear()
		}
	})
	return w
}

// metadata are those of three clouds, which have the same address.
func (w *wrongWorld) metadata(rw http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/metadata/"):
		w.AzureIMDS.ServeHTTP(rw, r)
	case strings.HasPrefix(r.URL.Path, "/computeMetadata/"):
		w.GCE.ServeHTTP(rw, r)
	default:
		w.EC2.ServeHTTP(rw, r)
	}
}

// answer makes a host give one answer to everything.
func (w *wrongWorld) answer(host string, status int, contentType, body string, fields ...string) {
	w.network.Handle(host, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", contentType)
		for _, field := range fields {
			name, value, _ := strings.Cut(field, ": ")
			rw.Header().Set(name, value)
		}
		rw.WriteHeader(status)
		_, _ = rw.Write([]byte(body))
	}))
}

// file writes a file that documents may refer to as ${DIR}/NAME.
func (w *wrongWorld) file(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// secret notes what must not be told.
func (w *wrongWorld) secret(text string) string {
	w.secrets = append(w.secrets, text)
	return text
}

// token is one of Kubernetes for the workload. The options say what is different about it.
func (w *wrongWorld) token(audience string, o cloudtest.TokenOptions) string {
	o.Namespace, o.ServiceAccount, o.Pod, o.Audience = "shop", "reports", "reports-0", []string{audience}
	return w.secret(w.Kubernetes.Mint(o))
}

func (w *wrongWorld) lookForSecrets(told string) {
	w.t.Helper()
	for _, secret := range w.secrets {
		for _, part := range append(strings.Split(secret, "."), secret) {
			if len(part) >= 8 && strings.Contains(told, part) {
				w.t.Errorf("a secret of %d characters was told:\n%s", len(secret), told)
			}
		}
	}
	if found := anySecret.FindString(told); found != "" {
		w.t.Errorf("something like a secret was told:\n%s", told)
	}
}

// document is the configuration of an input.
func (w *wrongWorld) document(input wrongInput) []byte {
	text := fmt.Sprintf("identities:%s\n- name: reports\n  source: {%s}\n  exchange: {%s}\n",
		strings.TrimRight(input.before, "\n"), input.source, input.exchange)
	return []byte(strings.ReplaceAll(text, "${DIR}", w.dir))
}

// agent makes one that can reach this world only.
func (w *wrongWorld) agent(input wrongInput) (*agent.Agent, error) {
	c, err := agent.Parse("config.yaml", w.document(input))
	if err != nil {
		return nil, err
	}
	c.Through(w.network)
	return agent.New(c, agent.Options{
		Clock:  w.clock,
		Getenv: func(name string) string { return w.environ[name] },
	})
}

// run runs the identities until stop is called. It does without inotify, which a bubble could not wait
// for: files are polled.
func (w *wrongWorld) run(a *agent.Agent, names ...string) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range names {
		if identity, ok := a.Identity(name); ok {
			group.Go(func() error { return identity.Run(ctx) })
		}
	}
	return func() { cancel(); _ = group.Wait() }
}

// A wrongAnswer is what wisp get prints to standard error.
type wrongAnswer struct{ class, text string }

const wrongConfiguration = "exit code 2, for the configuration"

// get asks as wisp get does, for as long as timeout; for 0 until the first failure.
func (w *wrongWorld) get(input wrongInput, timeout time.Duration) wrongAnswer {
	w.t.Helper()
	if input.around != nil {
		input.around(w)
	}
	a, err := w.agent(input)
	if err != nil {
		return wrongAnswer{wrongConfiguration, err.Error()}
	}
	defer w.run(a, "below", "reports")()
	reports, _ := a.Identity("reports")
	if timeout == 0 {
		for _, err = range reports.Watch(w.t.Context(), refresher.Target{}) {
			break
		}
	} else {
		ctx, cancel := context.WithTimeout(w.t.Context(), timeout)
		defer cancel()
		_, err = reports.Credential(ctx, refresher.Target{})
	}
	if err == nil {
		w.t.Fatal("there is a credential")
	}
	failure := refresher.AsError(err)
	text := fmt.Sprintf("identity %q: %v", "reports", err)
	if failure.Hint != "" {
		text += "\n  hint: " + failure.Hint
	}
	return wrongAnswer{failure.Class.String(), text}
}
