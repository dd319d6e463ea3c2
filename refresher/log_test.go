package refresher_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/refresher"
)

// lines is a log as text, without the times.
func lines(log *strings.Builder) *slog.Logger {
	return slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

// A failure is told once, not at each of its many retries; a new one, or the same one again after a
// success, is told at once.
func TestFailuresAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		plain := failure(refresher.Transient, "") // a failure need not have a code
		s := &service{life: time.Hour, answer: func(n int, _ *refresher.Attempt) error {
			return []error{plain, plain, plain, errDown, errDown, nil, errDown, nil}[n-1]
		}}
		s.start(t, refresher.Options{Floor: floor, Log: lines(&log)})
		for s.calls() < 8 {
			time.Sleep(time.Second)
		}
		synctest.Wait()
		var levels []string
		for line := range strings.Lines(log.String()) {
			levels = append(levels, strings.Fields(line)[0])
		}
		want := "level=WARN level=DEBUG level=DEBUG level=WARN level=DEBUG level=INFO level=WARN level=INFO"
		if got := strings.Join(levels, " "); got != want {
			t.Errorf("levels = %v, want %v; log:\n%s", got, want, log.String())
		}
	})
}

func TestLogOfAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := &service{answer: func(_ int, a *refresher.Attempt) error {
			a.Record(func(d *refresher.AttemptData) { d.RequestID, d.Body = "req-1", []byte("eyJ.secret") })
			return &refresher.Error{Class: refresher.Denied, Code: "AccessDenied", Hint: "check the trust policy"}
		}}
		s.start(t, refresher.Options{Floor: floor, Log: lines(&log)})
		synctest.Wait()
		text := log.String()
		for _, part := range []string{"class=denied", "err=AccessDenied", "retry_in=", `hint="check the trust policy"`, "request_id=req-1"} {
			if !strings.Contains(text, part) {
				t.Errorf("the log lacks %s:\n%s", part, text)
			}
		}
		if strings.Contains(text, "secret") {
			t.Errorf("the log quotes the answer:\n%s", text)
		}
	})
}

func TestShortLifetimeIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := &service{life: 15 * time.Minute}
		s.start(t, refresher.Options{Floor: floor, Log: lines(&log)})
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings, want 1:\n%s", n, log.String())
		}
		if text := log.String(); strings.Contains(text, "token") {
			t.Errorf("the log shows the credential:\n%s", text)
		}
	})
}
