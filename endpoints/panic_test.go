package endpoints_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
)

// A handler that panics is a defect of ours: the caller gets the protocol's own error, the log says so
// loudly, and what the handler choked on, which may be a secret, is in neither.
func TestHandlerPanics(t *testing.T) {
	for _, test := range []struct {
		name   string
		writes bool
		want   int
	}{
		{"before it has answered: the caller is told", false, http.StatusInternalServerError},
		{"with half an answer out: the connection ends", true, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			protocol := vault()
			protocol.Routes["/vault/broken"] = endpoints.Route{
				Methods: endpoints.Read,
				Handler: func(w http.ResponseWriter, _ *http.Request) *endpoints.Refusal {
					if test.writes {
						w.WriteHeader(http.StatusOK)
					}
					panic(errors.New(treasure))
				},
			}
			var log bytes.Buffer
			server, err := endpoints.NewServer(endpoints.ServerOptions{
				Protocols: []*endpoints.Protocol{protocol},
				Log:       slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})),
			})
			if err != nil {
				t.Fatal(err)
			}
			answer, text := 0, ""
			aborted := func() (p any) {
				defer func() { p = recover() }()
				response := ask(t, server, good(t, "GET", "/vault/broken"))
				answer, text = response.StatusCode, endpointstest.Body(t, response)
				return nil
			}()
			if test.want == 0 && aborted != http.ErrAbortHandler {
				t.Errorf("the server goes on after half an answer (%v)", aborted)
			}
			if test.want != 0 && (aborted != nil || answer != test.want || !strings.HasPrefix(text, "vault: ")) {
				t.Errorf("answer = %d %q (panic %v), want %d from the protocol", answer, text, aborted, test.want)
			}
			if !strings.Contains(log.String(), "handler panicked") {
				t.Error("the log does not say that a handler panicked")
			}
			if strings.Contains(log.String()+text, treasure) {
				t.Error("what the handler choked on is shown")
			}
		})
	}
}
