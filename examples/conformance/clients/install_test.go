package clients_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// An installation is where clients are.
type installation struct {
	drivers     string   // testdata
	python      string   // the directory of the virtual environment's programs
	node        string   // Node.js,
	scripts     string   // and the directory of what runs on it
	java        []string // the beginning of a command
	goDriver    string
	wisp        string
	unavailable map[string]error // ecosystems that this machine cannot have
}

// The ecosystems that clients come from.
const (
	pypi    = "pip"
	npm     = "npm"
	maven   = "Maven"
	modules = "Go modules"
	apt     = "apt"
)

// mavenCopy is pinned because what Maven takes by default depends on who packaged Maven.
const mavenCopy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

// install installs all clients that are not there yet, and builds wisp and the drivers.
func install(t *testing.T) *installation {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache = filepath.Join(cache, "wisp-conformance")
	programs := t.TempDir()
	here, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	kit := &installation{drivers: here, unavailable: map[string]error{}, goDriver: filepath.Join(programs, "driver"), wisp: filepath.Join(programs, "wisp")}
	in := func(language string) string { return filepath.Join(here, language) }

	var mu sync.Mutex // guards kit.unavailable
	var doing sync.WaitGroup
	do := func(ecosystem string, work func() error) {
		doing.Go(func() {
			start := time.Now()
			err := work()
			t.Logf("%s: ready after %v", ecosystem, time.Since(start).Round(100*time.Millisecond))
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				kit.unavailable[ecosystem] = err
			}
		})
	}
	do(pypi, func() error {
		home, err := once(cache, "python", in("python/requirements.txt"), func(home string) error {
			return errors.Join(
				command(home, "python3", "-m", "venv", "."),
				command(home, "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", in("python/requirements.txt")))
		})
		kit.python = filepath.Join(home, "bin")
		return err
	})
	do(npm, func() error {
		home, err := once(cache, "node", in("node/package-lock.json"), func(home string) error {
			return errors.Join(
				os.CopyFS(home, os.DirFS(in("node"))),
				command(home, "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"))
		})
		if err != nil {
			return err
		}
		// Programs look for modules above themselves.
		work := filepath.Join(programs, "node")
		if err := errors.Join(os.CopyFS(work, os.DirFS(in("node"))), os.Symlink(filepath.Join(home, "node_modules"), filepath.Join(work, "node_modules"))); err != nil {
			return err
		}
		node, err := filepath.Glob(filepath.Join(home, "node_modules", "node-*", "bin", "node"))
		if err != nil || len(node) != 1 {
			return fmt.Errorf("npm has installed %d Node.js for this kind of machine, want one (%w)", len(node), err)
		}
		kit.node, kit.scripts = node[0], work
		return nil
	})
	do(maven, func() error {
		home, err := once(cache, "java", in("java/pom.xml"), func(home string) error {
			return command(home, "mvn", "--batch-mode", "--quiet", "--file", in("java/pom.xml"), mavenCopy,
				"-DincludeScope=runtime", "-DoutputDirectory="+home)
		})
		if err != nil {
			return err
		}
		classes, jars := filepath.Join(programs, "java"), filepath.Join(home, "*")
		sources, err := filepath.Glob(in("java/*.java"))
		if err != nil {
			return err
		}
		kit.java = []string{"java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classes + ":" + jars}
		return command(here, "javac", append([]string{"-d", classes, "-cp", jars}, sources...)...)
	})
	do(modules, func() error {
		return errors.Join(
			command(".", "go", "build", "-o", kit.goDriver, "./driver"),
			command("../../..", "go", "build", "-o", kit.wisp, "./cmd/wisp"))
	})
	do(apt, func() error { return command(".", "gcloud", "--version") })
	doing.Wait()
	if err := kit.unavailable[modules]; err != nil {
		t.Fatal(err)
	}
	return kit
}

// once has a directory of the cache filled if it is not there yet: it is known by its manifest.
func once(cache, name, manifest string, fill func(home string) error) (string, error) {
	text, err := os.ReadFile(manifest)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	home := filepath.Join(cache, name+"-"+hex.EncodeToString(sum[:6]))
	complete := filepath.Join(home, ".complete")
	if _, err := os.Stat(complete); err == nil {
		return home, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(home + ".lock") // against another run
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	if _, err := os.Stat(complete); err == nil {
		return home, nil
	}
	// Virtual environments cannot be moved, so this is not renamed when it is complete.
	if err := errors.Join(os.RemoveAll(home), os.MkdirAll(home, 0o755)); err != nil {
		return "", err
	}
	// A registry may have a bad moment.
	err = fill(home)
	for range 2 {
		if err == nil {
			break
		}
		<-time.After(10 * time.Second)
		if err = errors.Join(os.RemoveAll(home), os.MkdirAll(home, 0o755)); err == nil {
			err = fill(home)
		}
	}
	if err != nil {
		return "", err
	}
	return home, os.WriteFile(complete, nil, 0o644)
}

// command runs a program, which says why if it fails.
func command(dir, program string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}
