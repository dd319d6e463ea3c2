package file_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wisp-sidecar/wisp/endpoints/file"
	"github.com/wisp-sidecar/wisp/refresher"
)

// No delay between two looks at a file is outside of these.
const (
	soonest = 24 * time.Second
	latest  = 36 * time.Second
)

func TestWriterWritesEachCredential(t *testing.T) {
	dir := private(t)
	path := filepath.Join(dir, "token")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: path})
		synctest.Wait()
		if w.Written() {
			t.Error("Written() = true before the first credential")
		}
		contains(t, dir)
		for _, token := range []string{"one", "two", "three"} {
			w.give(bearer(token))
			holds(t, path, token)
			w.succeeds()
			w.pass(20 * time.Minute)
		}
		contains(t, dir, "token")
	})
}

func TestWriterRemovesAnExpiredFile(t *testing.T) {
	path := filepath.Join(private(t), "token")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: path})
		w.give(bearer("first"))
		w.pass(time.Hour - 1)
		holds(t, path, "first")
		w.pass(1)
		contains(t, filepath.Dir(path))
		if err := w.Err(); err != nil {
			t.Errorf("Err() = %v after the removal; the missing credential is the identity's to report", err)
		}
		if !w.Written() {
			t.Error("Written() = false after the removal; it was written once")
		}
		w.pass(time.Hour)
		w.give(bearer("second"))
		holds(t, path, "second")
	})
}

func TestWriterNeverWritesAnExpiredCredential(t *testing.T) {
	dir := private(t)
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: filepath.Join(dir, "token")})
		expired := bearer("expired")
		expired.Expires = time.Now()
		w.give(expired)
		contains(t, dir)
		if w.Written() {
			t.Error("Written() = true")
		}
	})
}

func TestWriterKeepsAnEarlierFileUntilReplaced(t *testing.T) {
	path := filepath.Join(private(t), "token")
	put(t, path, "from the run before")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: path})
		w.pass(10 * time.Minute)
		holds(t, path, "from the run before")
		if w.Written() {
			t.Error("Written() = true for a file of somebody else")
		}
		w.give(bearer("new"))
		holds(t, path, "new")
	})
}

func TestWriterDoesNotWriteWhatIsThere(t *testing.T) {
	path := filepath.Join(private(t), "token")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: path})
		w.give(bearer("same"))
		before, err := os.Stat(path)
		must(t, err)
		for range 10 {
			w.give(bearer("same"))
			w.pass(latest)
		}
		after, err := os.Stat(path)
		must(t, err)
		if !os.SameFile(before, after) {
			t.Error("the file was replaced by one with the same content")
		}
		w.pass(time.Hour - 5*time.Minute)
		holds(t, path, "same") // the expiry is that of the last credential
	})
}

func TestWriterRestoresAFileThatOthersTouched(t *testing.T) {
	dir := private(t)
	path := filepath.Join(dir, "token")
	for name, touch := range map[string]func(t *testing.T){
		"deleted":     func(t *testing.T) { must(t, os.Remove(path)) },
		"overwritten": func(t *testing.T) { put(t, path, "else") },
		"truncated":   func(t *testing.T) { must(t, os.Truncate(path, 0)) },
		"replaced":    func(t *testing.T) { must(t, os.Remove(path)); put(t, path, "token") },
		"opened up":   func(t *testing.T) { must(t, os.Chmod(path, 0o666)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, file.Options{Path: path})
				w.give(bearer("token"))
				touch(t)
				w.pass(latest)
				holds(t, path, "token")
				if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
					t.Errorf("Stat = %v, %v, want mode 0600", info.Mode(), err)
				}
			})
		})
	}
}

func TestWriterRetriesEveryHalfMinute(t *testing.T) {
	dir := private(t)
	path := filepath.Join(dir, "token")
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			must(t, os.Mkdir(path, 0o700))
			w := start(t, file.Options{Path: path, Cleanup: file.CleanupOnExit})
			w.give(bearer("token"))
			w.fails(path)
			must(t, os.Remove(path))
			w.pass(soonest - 1)
			contains(t, dir)
			w.pass(latest - soonest + 1)
			holds(t, path, "token")
			w.succeeds()
		})
	}
}

func TestWriterSurvivesTheLossOfItsDirectory(t *testing.T) {
	dir := private(t)
	path := filepath.Join(dir, "token")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: path})
		w.give(bearer("one"))
		must(t, os.RemoveAll(dir))
		w.give(bearer("two"))
		w.fails(dir + " does not exist")
		w.pass(10 * time.Minute)
		must(t, os.Mkdir(dir, 0o700))
		w.pass(latest)
		holds(t, path, "two")
		w.succeeds()

		// Also without a new credential.
		must(t, os.RemoveAll(dir))
		must(t, os.Mkdir(dir, 0o700))
		w.pass(latest)
		holds(t, path, "two")
	})
}

func TestWriterWaitsForItsDirectory(t *testing.T) {
	dir := filepath.Join(private(t), "mounted", "later")
	path := filepath.Join(dir, "token")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: path})
		synctest.Wait()
		w.fails("the directory " + dir + " does not exist; create it or mount a volume there")
		w.give(bearer("token"))
		must(t, os.MkdirAll(dir, 0o700))
		w.pass(latest)
		holds(t, path, "token")
		w.succeeds()
	})
}

func TestWriterKeepsTheFileWhenACredentialIsUnfit(t *testing.T) {
	path := filepath.Join(private(t), "token")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: path})
		w.give(bearer("good"))
		w.pass(30 * time.Minute)
		for _, token := range []string{"unfit", ""} {
			w.give(bearer(token))
			w.fails(path)
			holds(t, path, "good")
		}
		w.pass(30*time.Minute - 1)
		w.fails(path)
		holds(t, path, "good")
		w.pass(1)
		contains(t, filepath.Dir(path))
		w.give(bearer("better"))
		w.succeeds()
	})
}

func TestWriterLogsAFailureOnceAndNoTokens(t *testing.T) {
	const hidden = "hunter2"
	dir := private(t)
	path := filepath.Join(dir, "token")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: path})
		w.give(bearer(hidden + "1"))
		must(t, os.RemoveAll(dir))
		w.give(bearer(hidden + "2"))
		w.pass(30 * time.Minute)
		w.stop()
		if n := strings.Count(w.log.String(), "cannot be kept up to date"); n != 1 {
			t.Errorf("%d warnings about one failure, want 1:\n%s", n, w.log)
		}
		if strings.Contains(w.log.String()+w.Err().Error(), hidden) {
			t.Errorf("a token shows in %q or\n%s", w.Err(), w.log)
		}
	})
}

func TestWriterRemovesLeftovers(t *testing.T) {
	dir := private(t)
	path := filepath.Join(dir, "token")
	put(t, filepath.Join(dir, ".token.wisp-0123456789abcdef"), "half a to")
	put(t, filepath.Join(dir, ".token.wisp-fedcba9876543210"), "")
	must(t, os.Mkdir(filepath.Join(dir, ".token.wisp-0000000000000000"), 0o700))
	others := []string{
		".other.wisp-0123456789abcdef",        // of another Writer
		".token",                              // the rest: of people
		".token.wisp-",                        //
		".token.wisp-0123456789ABCDEF",        //
		".token.wisp-0123456789abcdef0",       //
		".token.wisp-0123456789abcdef.backup", //
		"token.wisp-0123456789abcdef",         //
	}
	for _, name := range others {
		put(t, filepath.Join(dir, name), "")
	}
	synctest.Test(t, func(t *testing.T) {
		start(t, file.Options{Path: path})
		synctest.Wait()
		contains(t, dir, others[0], ".token", ".token.wisp-", ".token.wisp-0000000000000000", others[3], others[5], others[4], others[6])
	})
}

func TestCleanup(t *testing.T) {
	for _, test := range []struct {
		name    string
		cleanup file.Cleanup
		meddle  string // what somebody writes to the file before the end
		remains string // what remains; empty: no file
	}{
		{"on exit", file.CleanupOnExit, "", ""},
		{"never", file.CleanupNever, "", "token"},
		{"on exit, but it is no longer ours", file.CleanupOnExit, "of somebody else", "of somebody else"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := private(t)
			path := filepath.Join(dir, "token")
			synctest.Test(t, func(t *testing.T) {
				w := start(t, file.Options{Path: path, Cleanup: test.cleanup})
				w.give(bearer("token"))
				if test.meddle != "" {
					put(t, path, test.meddle)
				}
				w.stop()
				if test.remains == "" {
					contains(t, dir)
				} else {
					holds(t, path, test.remains)
				}
			})
		})
	}
}

func TestCleanupLeavesWhatThisRunDidNotWrite(t *testing.T) {
	path := filepath.Join(private(t), "token")
	put(t, path, "from the run before")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, file.Options{Path: path, Cleanup: file.CleanupOnExit})
		synctest.Wait()
		w.stop()
		holds(t, path, "from the run before")
	})
}

// A reluctant identity refuses a target a few times, as one does that does not run yet.
type reluctant struct {
	feed
	refusals int // read and written by the Writer's goroutine only
}

func (r *reluctant) Watch(ctx context.Context, target refresher.Target) iter.Seq2[refresher.Credential, error] {
	if r.refusals > 0 {
		r.refusals--
		return func(yield func(refresher.Credential, error) bool) {
			yield(refresher.Credential{}, errors.New("not running"))
		}
	}
	return r.feed.Watch(ctx, target)
}

func TestWriterAsksAgainForARefusedTarget(t *testing.T) {
	path := filepath.Join(private(t), "token")
	synctest.Test(t, func(t *testing.T) {
		identity := &reluctant{feed: make(feed), refusals: 3}
		writer, err := file.New(file.Options{Path: path, Encode: encode}, identity)
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = writer.Run(ctx) }()
		identity.feed <- bearer("token")
		synctest.Wait()
		holds(t, path, "token")
		cancel()
	})
}

func TestWriterIgnoresFailedExchanges(t *testing.T) {
	path := filepath.Join(private(t), "token")
	synctest.Test(t, func(t *testing.T) {
		writer, err := file.New(file.Options{Path: path, Encode: encode}, failing{})
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = writer.Run(ctx) }()
		synctest.Wait()
		holds(t, path, "token")
		if err := writer.Err(); err != nil {
			t.Errorf("Err() = %v, want nil: the file is as it should be", err)
		}
		cancel()
	})
}

// failing yields one credential and then errors.
type failing struct{}

func (failing) Watch(ctx context.Context, _ refresher.Target) iter.Seq2[refresher.Credential, error] {
	return func(yield func(refresher.Credential, error) bool) {
		yield(bearer("token"), nil)
		for range 3 {
			yield(refresher.Credential{}, errors.New("refused"))
		}
		<-ctx.Done()
	}
}
