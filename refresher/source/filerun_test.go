package source_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/wisp-sidecar/wisp/refresher"
	"github.com/wisp-sidecar/wisp/refresher/source"
)

// These stories poll: a bubble's time stands still while inotify is waited for.

// within waits for f's change, at most for d, and returns how long it took.
func within(t testing.TB, f *source.File, d time.Duration) time.Duration {
	t.Helper()
	start := time.Now()
	select {
	case <-f.Changed():
	case <-time.After(d):
		t.Fatalf("Changed did not fire within %v; status %+v", d, f.Status())
	}
	return time.Since(start)
}

// wantState lets time pass and looks at the status then.
func wantState(t testing.TB, f *source.File, after time.Duration, want string) {
	t.Helper()
	time.Sleep(after)
	synctest.Wait()
	if got := f.Status().State; got != want {
		t.Errorf("after %v: state %q, want %q", after, got, want)
	}
}

func TestGoodFileIsPolledEveryFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVolume(t)
		v.swap(hourToken(0))
		f := newFile(t, source.FileOptions{Path: v.path(), Poll: true, Watcher: source.NewWatcher(nil)})
		defer run(t, f)()
		for n := range 20 {
			wantState(t, f, time.Duration(n)*100*time.Millisecond, "")
			v.swap(hourToken(n + 1))
			within(t, f, 6*time.Second)
		}
		if got := f.Status().Watch; got != "poll" {
			t.Errorf("watch mode %q, want poll", got)
		}
	})
}

func TestMissingFileIsPolledEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &records{}
		v := newVolume(t)
		f := newFile(t, source.FileOptions{Path: v.path(), Log: slog.New(log)})
		defer run(t, f)()
		wantState(t, f, 1500*time.Millisecond, "")
		wantState(t, f, 100*time.Millisecond, refresher.CodeSubjectMissing)
		wantState(t, f, time.Hour, refresher.CodeSubjectMissing)
		if got := log.count("WARN", "cannot be used", "mount the projected volume"); got != 1 {
			t.Errorf("an hour without a file is %d lines in the log, want 1:\n%v", got, log)
		}

		v.swap(hourToken(1))
		within(t, f, 1200*time.Millisecond)
		wantState(t, f, 0, "")

		// Gone for half a minute: the last good token serves, and the next one is seen soon.
		last := mustToken(t, f)
		remove(t, v.path())
		for range 30 {
			time.Sleep(time.Second)
			if got := mustToken(t, f); got != last {
				t.Fatal("the last good token was not used while the file was away")
			}
		}
		wantState(t, f, 0, refresher.CodeSubjectMissing)
		if err := os.Symlink("..data/token", v.path()); err != nil {
			t.Fatal(err)
		}
		v.swap(hourToken(2))
		within(t, f, 1200*time.Millisecond)

		remove(t, v.path())
		wantState(t, f, 10*time.Second, refresher.CodeSubjectMissing)
		if err := os.Symlink("..data/token", v.path()); err != nil {
			t.Fatal(err)
		}
		wantState(t, f, 1200*time.Millisecond, "")
		if fired(f) {
			t.Error("Changed fired for the token there was before")
		}
	})
}

func TestBadFileIsReadAgainBeforeItIsFlagged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &records{}
		path := filepath.Join(t.TempDir(), "token")
		write(t, path, "x")
		f := newFile(t, source.FileOptions{Path: path, Log: slog.New(log)})
		defer run(t, f)()
		wantState(t, f, 1549*time.Millisecond, "")
		wantState(t, f, time.Millisecond, refresher.CodeSubjectInvalid)

		write(t, path, hourToken(1))
		within(t, f, 1200*time.Millisecond)
		wantState(t, f, 0, "")
		if got := log.count("INFO", "can be used again"); got != 1 {
			t.Errorf("%d lines about the recovery, want 1:\n%v", got, log)
		}

		remove(t, path)
		wantState(t, f, time.Minute, refresher.CodeSubjectMissing)
		write(t, path, "y")
		wantState(t, f, time.Minute, refresher.CodeSubjectInvalid)
		if got := log.count("WARN", "cannot be used"); got != 3 {
			t.Errorf("%d lines about three troubles:\n%v", got, log)
		}
	})
}

func TestSlowRewriteInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "token")
		last := hourToken(1)
		write(t, path, last)
		f := newFile(t, source.FileOptions{Path: path})
		defer run(t, f)()
		synctest.Wait()
		for n := range 10 {
			next := hourToken(2 + n)
			time.Sleep(time.Duration(n) * 370 * time.Millisecond)
			for end := 0; end < len(next); end += 50 {
				write(t, path, next[:end])
				time.Sleep(100 * time.Millisecond)
				if got := mustToken(t, f); got != last {
					t.Fatalf("Token after %d of %d bytes is not the last good one", end, len(next))
				}
			}
			if fired(f) {
				t.Fatal("Changed fired for a part of a token")
			}
			write(t, path, next)
			within(t, f, time.Second)
			if got := mustToken(t, f); got != next {
				t.Fatal("the new token is not used")
			}
			last = next
		}
	})
}

func TestRotationEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVolume(t)
		v.swap(hourToken(0))
		f := newFile(t, source.FileOptions{Path: v.path()})
		defer run(t, f)()
		for n := range 60 {
			token := hourToken(n + 1)
			v.swap(token)
			if got := mustToken(t, f); got != token {
				t.Fatalf("after rotation %d Token is not the newest", n)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestExpiredTokenIsPolledEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVolume(t)
		v.swap(hourToken(0))
		f := newFile(t, source.FileOptions{Path: v.path()})
		defer run(t, f)()
		time.Sleep(time.Hour)
		for n := range 20 {
			now := time.Now()
			v.swap(jwt(claims{"jti": n, "exp": now.Add(5 * time.Second).Unix()}))
			within(t, f, 1200*time.Millisecond)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := run(t, newFile(t, source.FileOptions{Path: filepath.Join(t.TempDir(), "token")}))
		synctest.Wait()
		start := time.Now()
		stop()
		if got := time.Since(start); got != 0 {
			t.Errorf("Run ended %v after its context", got)
		}
	})
}

func TestWarningsAreGivenOncePerContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &records{}
		v := newVolume(t)
		f := newFile(t, source.FileOptions{Path: v.path(), Log: slog.New(log), Audiences: []string{"sts.amazonaws.com", "other"}})
		token := func(issuer, audience string, life time.Duration) string {
			now := time.Now()
			return jwt(claims{"iss": issuer, "aud": audience, "iat": now.Unix(), "exp": now.Add(life).Unix()})
		}
		const (
			short    = "short-lived"
			audience = "another audience"
			issuer   = "another issuer"
			earlier  = "expires earlier"
			again    = "replaced"
		)
		v.swap(token("https://one.test", "sts.amazonaws.com", 19*time.Minute))
		defer run(t, f)()
		for _, step := range []struct {
			name  string
			token string
			want  map[string]int // all so far
		}{
			{"short-lived at start", "", map[string]int{short: 1}},
			{"short-lived later", token("https://one.test", "other", 19*time.Minute+time.Second), map[string]int{short: 1, again: 1}},
			{"another audience", token("https://one.test", "https://kubernetes.default.svc", time.Hour), map[string]int{short: 1, again: 2, audience: 1}},
			{"another issuer", token("https://two.test", "other", 2*time.Hour), map[string]int{short: 1, again: 3, audience: 1, issuer: 1}},
			{"an earlier end", token("https://two.test", "other", time.Hour), map[string]int{short: 1, again: 4, audience: 1, issuer: 1, earlier: 1}},
		} {
			if step.token != "" {
				v.swap(step.token)
			}
			time.Sleep(time.Minute)
			mustToken(t, f)
			for _, message := range []string{short, audience, issuer, earlier, again} {
				if got := log.count(message); got != step.want[message] {
					t.Errorf("%s: %d lines with %q, want %d", step.name, got, message, step.want[message])
				}
			}
		}
		if log.count(audience, "https://kubernetes.default.svc", "sts.amazonaws.com") != 1 {
			t.Error("the warning of another audience lacks the one there is or the one there should be")
		}
		if log.count("replaced", "after=") != 4 {
			t.Error("the log does not tell how long after the one before a token came")
		}
		if t.Failed() {
			t.Logf("the log:\n%v", log)
		}
	})
}

func TestTokenThatIsNeverReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &records{}
		v := newVolume(t)
		v.swap(hourToken(1))
		f := newFile(t, source.FileOptions{Path: v.path(), Log: slog.New(log)})
		defer run(t, f)()
		time.Sleep(53 * time.Minute)
		if f.Status().NotRotated || log.count("has not been replaced") != 0 {
			t.Error("warned before 90 % of the token's life had passed")
		}
		time.Sleep(90 * time.Second)
		if !f.Status().NotRotated || log.count("WARN", "has not been replaced", "subPath") != 1 {
			t.Errorf("no warning at 90 %% of the token's life:\n%v", log)
		}
		time.Sleep(time.Hour)
		v.swap(hourToken(2))
		time.Sleep(2 * time.Second)
		if f.Status().NotRotated {
			t.Error("a token that was replaced still counts as not rotated")
		}
		time.Sleep(2 * time.Hour)
		if got := log.count("has not been replaced"); got != 1 {
			t.Errorf("%d warnings, want 1", got)
		}
	})
}

func TestWithoutInotifyFilesPollAndItIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &records{}
		w := source.NewWatcher(slog.New(log))
		tries := make(chan time.Time, 100)
		w.SetOpen(func() (*fsnotify.Watcher, error) {
			tries <- time.Now()
			return nil, errors.New("too many open files")
		}, 5*time.Minute)
		start := time.Now()
		defer run(t, w)()
		v := newVolume(t)
		v.swap(hourToken(0))
		f := newFile(t, source.FileOptions{Path: v.path(), Watcher: w})
		defer run(t, f)()
		for n := range 5 {
			wantState(t, f, time.Second, "")
			v.swap(hourToken(n + 1))
			within(t, f, 6*time.Second)
			if got := f.Status().Watch; got != "poll" {
				t.Errorf("watch mode %q, want poll", got)
			}
		}
		time.Sleep(time.Until(start.Add(time.Hour)))
		synctest.Wait()
		if got, want := len(tries), 13; got != want {
			t.Errorf("inotify tried %d times in an hour, want %d", got, want)
		}
		for n := range len(tries) {
			if got, want := (<-tries).Sub(start), time.Duration(n)*5*time.Minute; got != want {
				t.Errorf("try %d after %v, want %v", n, got, want)
			}
		}
		if got := log.count("WARN", "inotify is not available"); got != 1 {
			t.Errorf("%d lines in the log, want 1:\n%v", got, log)
		}
	})
}
