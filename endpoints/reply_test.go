package endpoints_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/endpoints/endpointstest"
	"github.com/wisp-sidecar/wisp/refresher"
)

func TestReply(t *testing.T) {
	for name, write := range map[string]func(http.ResponseWriter){
		"reply_text":  func(w http.ResponseWriter) { endpoints.Reply(w, http.StatusOK, endpoints.Text, []byte("value")) },
		"reply_empty": func(w http.ResponseWriter) { endpoints.Reply(w, http.StatusNotFound, endpoints.Text, nil) },
		"reply_unavailable": func(w http.ResponseWriter) {
			endpoints.Reply(w, http.StatusServiceUnavailable, endpoints.Text, []byte("later\n"))
		},
		"reply_json": func(w http.ResponseWriter) {
			endpoints.ReplyJSON(w, http.StatusOK, struct {
				A string `json:"a"`
				B int    `json:"b"`
			}{"x", 1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			write(w)
			endpointstest.Golden(t, name, w.Result())
		})
	}
}

// The values of an answer's fields share an array, so one must not reach into the next.
func TestReplyFieldsAreSeparate(t *testing.T) {
	w := httptest.NewRecorder()
	endpoints.Reply(w, http.StatusOK, endpoints.Text, nil)
	w.Header().Add("Content-Type", "another")
	if got := w.Header()["Content-Length"]; len(got) != 1 || got[0] != "0" {
		t.Errorf("Content-Length = %q, want 0", got)
	}
}

func TestSecondsLeft(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for left, want := range map[time.Duration]int64{
		time.Hour:                  3600,
		time.Hour - 1:              3599,
		time.Second:                1,
		999 * time.Millisecond:     0,
		0:                          0,
		-time.Millisecond:          0,
		-time.Hour:                 0,
		100 * 365 * 24 * time.Hour: 3153600000,
		1500*time.Millisecond + 1*time.Microsecond: 1,
	} {
		if got := endpoints.SecondsLeft(refresher.Credential{Expires: now.Add(left)}, now); got != want {
			t.Errorf("SecondsLeft with %v to go = %d, want %d", left, got, want)
		}
	}
}

type providerFunc func(context.Context, refresher.Target) (refresher.Credential, error)

func (f providerFunc) Credential(ctx context.Context, t refresher.Target) (refresher.Credential, error) {
	return f(ctx, t)
}

func TestFetchWaitsNoLongerThanHold(t *testing.T) {
	failure := errors.New("still none")
	patient := providerFunc(func(ctx context.Context, _ refresher.Target) (refresher.Credential, error) {
		<-ctx.Done()
		return refresher.Credential{}, failure
	})
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := endpoints.Fetch(httptest.NewRequest(http.MethodGet, "/", nil), patient, refresher.Target{}, 700*time.Millisecond)
		if waited := time.Since(start); err != failure || waited != 700*time.Millisecond {
			t.Errorf("Fetch returned %v after %v, want %v after 700ms", err, waited, failure)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, _ = endpoints.Fetch(httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil), patient, refresher.Target{}, time.Second)
		if waited := time.Since(start); waited != 100*time.Millisecond {
			t.Errorf("Fetch returned %v after the caller came, want 100ms, when the caller left", waited)
		}
	})
}

func TestFetchPassesTheTarget(t *testing.T) {
	want := refresher.Target{Scope: "a b", Audience: "c"}
	echo := providerFunc(func(_ context.Context, got refresher.Target) (refresher.Credential, error) {
		if got != want {
			t.Errorf("target = %v, want %v", got, want)
		}
		return refresher.Credential{}, nil
	})
	if _, err := endpoints.Fetch(httptest.NewRequest(http.MethodGet, "/", nil), echo, want, time.Second); err != nil {
		t.Error(err)
	}
}
