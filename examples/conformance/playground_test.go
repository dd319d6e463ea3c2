package conformance_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lifetime is that of the clouds' credentials: shorter than any real one, so that the tests see several.
const lifetime = 40 * time.Second

// A playground is the running program, and how its directory looks from outside.
type playground struct {
	dir     string            // with a blank in it, as a test of env.sh
	wisp    string            // the program, for its one-shot commands
	env     map[string]string // the environment of a shell that has sourced env.sh, with a developer's own settings before
	google  string            // the URL of the fake Google
	entra   string            // and of the fake Entra
	command *exec.Cmd
	end     context.CancelFunc
}

// play is the playground of all tests.
var play *playground

func TestMain(m *testing.M) {
	flag.Parse()
	// What runs in parallel here waits most of the time: the number of processors is no limit for it.
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic(err)
	}
	os.Exit(judge(m))
}

func judge(m *testing.M) int {
	scratch, err := os.MkdirTemp("", "wisp-conformance-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	if play, err = start(scratch); err != nil {
		fmt.Fprintln(os.Stderr, "the playground:", err)
		return 1
	}
	// The SDKs in this process get what a shell gets, and some read it only once.
	os.Clearenv()
	for name, value := range play.env {
		if err := os.Setenv(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code := m.Run()
	if err := play.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "the playground:", err)
		return 1
	}
	return code
}

// start builds the playground and wisp, starts the playground, and waits until it has shown that all is well.
func start(scratch string) (*playground, error) {
	build := exec.Command("go", "build", "-o", scratch+"/", "./examples/playground", "./cmd/wisp")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	home, err := developer(scratch)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.Background())
	p := &playground{dir: filepath.Join(scratch, "a playground"), wisp: filepath.Join(scratch, "wisp"), end: end}
	p.command = exec.CommandContext(ctx, filepath.Join(scratch, "playground"), "-dir", p.dir, "-lifetime", lifetime.String())
	p.command.Stderr = os.Stderr
	p.command.Cancel = func() error { return p.command.Process.Signal(syscall.SIGTERM) }
	p.command.WaitDelay = time.Minute
	stdout, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	if err := await(stdout, "answers were good"); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	config, err := os.ReadFile(filepath.Join(p.dir, "config.yaml"))
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	p.google = part(config, `impersonationUrl: "(.*)"`)
	p.entra = part(config, `authorityHost: "(.*)"`)
	if p.env, err = p.source(home); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// await reads until a line has text, and goes on reading in the background, so that the writer can write.
func await(r io.Reader, text string) error {
	var seen strings.Builder
	for lines := bufio.NewScanner(r); lines.Scan(); {
		seen.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), text) {
			go io.Copy(io.Discard, r)
			return nil
		}
	}
	return fmt.Errorf("it never said %q, but\n%s", text, seen.String())
}

func part(text []byte, pattern string) string {
	if match := regexp.MustCompile(pattern).FindSubmatch(text); match != nil {
		return string(match[1])
	}
	return ""
}

// stop interrupts the playground, which has to take that as a reason to end well.
func (p *playground) stop() error {
	p.end()
	err := p.command.Wait()
	if errors.Is(err, context.Canceled) {
		return nil // exit code 0 after the signal
	}
	return err
}

// source is the environment of a shell with the home directory that has sourced env.sh.
func (p *playground) source(home string) (map[string]string, error) {
	shell := exec.Command("sh", "-euc", `. "$1/env.sh"; exec env -0`, "sh", p.dir)
	shell.Env = append(os.Environ(), settings(home)...)
	shell.Stderr = os.Stderr
	out, err := shell.Output()
	if err != nil {
		return nil, fmt.Errorf("env.sh: %w", err)
	}
	env := map[string]string{}
	for entry := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	return env, nil
}

// developer makes a home directory of somebody who uses the clouds for real, and returns it.
func developer(scratch string) (string, error) {
	home := filepath.Join(scratch, "home")
	for name, text := range map[string]string{
		".aws/credentials": "[default]\naws_access_key_id = AKIDOFTHEDEVELOPER00\naws_secret_access_key = wrong\n",
		".aws/config":      "[default]\nregion = mars-north-1\n",
		".config/gcloud/configurations/config_default": "[core]\naccount = developer@example.com\nproject = of-the-developer\n",
	} {
		path := filepath.Join(home, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			return "", err
		}
	}
	return home, nil
}

// settings are a developer's own variables, each of which would lead some client past wisp.
func settings(home string) []string {
	const deadProxy = "http://127.0.0.1:9"
	return []string{
		"HOME=" + home,
		"AWS_PROFILE=of-the-developer", "AWS_ACCESS_KEY_ID=AKIDOFTHEDEVELOPER00", "AWS_SECRET_ACCESS_KEY=wrong",
		"AWS_ROLE_ARN=arn:aws:iam::999999999999:role/developer", "AWS_WEB_IDENTITY_TOKEN_FILE=/nonexistent",
		"GOOGLE_APPLICATION_CREDENTIALS=/nonexistent", "CLOUDSDK_CORE_ACCOUNT=developer@example.com",
		"AZURE_TENANT_ID=developer", "AZURE_FEDERATED_TOKEN_FILE=/nonexistent",
		"HTTP_PROXY=" + deadProxy, "HTTPS_PROXY=" + deadProxy, "http_proxy=" + deadProxy, "https_proxy=" + deadProxy,
	}
}
