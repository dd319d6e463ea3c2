package agent

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// deadBeat is how long a scheduler may stand still before it counts as hung.
const deadBeat = time.Minute

// readinessLenient is the readiness of a wisp whose Pod stays in its Services while a cloud is away.
const readinessLenient = "lenient"

// health answers the probes and, unless turned off, /metrics. It has its own listener, so that no
// flood of an outlet can keep a probe from its answer, and shows no secret, so that it may be bound to
// the Pod's address, where the kubelet asks.
func (a *Agent) health() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /startupz", func(w http.ResponseWriter, r *http.Request) { probe(w, r, a.unstarted()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { probe(w, r, a.unready()) })
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, r *http.Request) { probe(w, r, a.hung()) })
	if !a.config.Health.Metrics.Off {
		mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
			a.meters.write(w)
		})
	}
	return mux
}

// probe answers 200 if nothing is in the way, else 503. With ?verbose it says what is, by the
// identities' names.
func probe(w http.ResponseWriter, r *http.Request, obstacles []string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if len(obstacles) == 0 {
		fmt.Fprintln(w, "ok")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	if !r.URL.Query().Has("verbose") {
		fmt.Fprintln(w, "not ok")
		return
	}
	fmt.Fprintln(w, strings.Join(obstacles, "\n"))
}

// unstarted lists what has not happened once yet: a credential of each required identity, and every
// file. Once all has, it stays so.
func (a *Agent) unstarted() []string {
	if a.started.Load() {
		return nil
	}
	var missing []string
	for _, i := range a.identities {
		if i.required && !i.obtained.Load() {
			missing = append(missing, fmt.Sprintf("identity %s has no credential yet", i.identity.Name()))
		}
	}
	for _, w := range a.writers {
		if w.required && !w.writer.Written() {
			missing = append(missing, fmt.Sprintf("%s is not written yet", w.path))
		}
	}
	if len(missing) == 0 {
		a.started.Store(true)
	}
	return missing
}

// unready lists what is missing now.
func (a *Agent) unready() []string {
	if a.draining.Load() {
		return []string{"wisp is shutting down"}
	}
	if a.config.Health.Readiness == readinessLenient {
		return slices.Concat(a.unstarted(), a.hung())
	}
	var missing []string
	for _, i := range a.identities {
		if status := i.identity.Status(); i.required && !status.Usable {
			missing = append(missing, fmt.Sprintf("identity %s has no usable credential (%s)", i.identity.Name(), status.State))
		}
	}
	return missing
}

// hung lists schedulers that stand still. What a cloud does is never a reason.
func (a *Agent) hung() []string {
	var hung []string
	for _, i := range a.identities {
		if since := i.identity.Status().SinceBeat; since > deadBeat {
			hung = append(hung, fmt.Sprintf("identity %s: the scheduler stands still for %v", i.identity.Name(), since.Round(time.Second)))
		}
	}
	return hung
}

// healthServer has the patience of a probe.
func (a *Agent) healthServer() *http.Server {
	return &http.Server{
		Handler:           a.health(),
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: 2 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    8 << 10,
	}
}
