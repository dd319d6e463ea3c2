package conformance_test

import (
	"archive/zip"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// keycloakVersion is the newest release whose server Maven found: it knows the libraries of 26.8.0 and
// 26.8.1, but not their archives. This one runs on Java 17.
const keycloakVersion = "26.7.5"

// mavenCopy downloads an artifact; the version is pinned because what Maven takes by default depends
// on who packaged Maven.
const mavenCopy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"

// What TestMain hides behind a developer's environment, proxies that lead nowhere included.
var (
	ownEnvironment     = os.Environ()
	ownCache, errCache = os.UserCacheDir()
)

// installKeycloak returns the directory of a Keycloak with the features, empty for those that it has
// by default. It stays in the user's cache: downloading, unpacking and building it takes half a minute.
// A machine that cannot have it skips the test, and fails it in CI.
func installKeycloak(t *testing.T, variant, features string) string {
	t.Helper()
	needs(t, "java")
	if errCache != nil {
		noKeycloak(t, errCache.Error())
	}
	cache := filepath.Join(ownCache, "wisp-conformance")
	home := filepath.Join(cache, "keycloak-"+keycloakVersion+"-"+variant)
	if _, err := os.Stat(home); err == nil {
		return home
	}
	needs(t, "mvn")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	unfinished, err := os.MkdirTemp(cache, "unfinished-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(unfinished)
	unpacked := filepath.Join(unfinished, "keycloak")
	unzipKeycloak(t, downloadKeycloak(t, cache, unfinished), unpacked)

	build := []string{"build", "--db=dev-mem"}
	if features != "" {
		build = append(build, "--features="+features)
	}
	start := time.Now()
	if out, err := outside(exec.CommandContext(t.Context(), filepath.Join(unpacked, "bin", "kc.sh"), build...)).CombinedOutput(); err != nil {
		t.Fatalf("kc.sh %q: %v\n%s", build, err, out)
	}
	t.Logf("Keycloak %s was built in %v", keycloakVersion, time.Since(start).Round(time.Second))
	if err := os.Rename(unpacked, home); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	return home
}

// needs makes sure that a program is there and runs.
func needs(t *testing.T, program string) {
	t.Helper()
	if err := exec.CommandContext(t.Context(), program, "-version").Run(); err != nil {
		noKeycloak(t, program+" -version: "+err.Error())
	}
}

// noKeycloak ends the test for a reason that has nothing to do with wisp.
func noKeycloak(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s, and CI has to have Keycloak", reason)
	}
	t.Skip("no Keycloak: " + reason)
}

// downloadKeycloak returns the path of the archive in the cache.
func downloadKeycloak(t *testing.T, cache, unfinished string) string {
	t.Helper()
	name := "keycloak-quarkus-dist-" + keycloakVersion + ".zip"
	archive := filepath.Join(cache, name)
	if _, err := os.Stat(archive); err == nil {
		return archive
	}
	start := time.Now()
	for try := 1; ; try++ { // a registry may have a bad moment
		copying := outside(exec.CommandContext(t.Context(), "mvn", "--batch-mode", "--quiet", mavenCopy,
			"-Dartifact=org.keycloak:keycloak-quarkus-dist:"+keycloakVersion+":zip", "-DoutputDirectory="+unfinished))
		copying.Dir = unfinished // no project
		out, err := copying.CombinedOutput()
		if err == nil {
			break
		}
		if try == 3 {
			noKeycloak(t, "Maven: "+err.Error()+"\n"+string(out))
		}
		<-time.After(10 * time.Second)
	}
	if err := os.Rename(filepath.Join(unfinished, name), archive); err != nil {
		t.Fatal(err)
	}
	t.Logf("Keycloak %s was downloaded in %v", keycloakVersion, time.Since(start).Round(time.Second))
	return archive
}

// unzipKeycloak unpacks the archive's one directory to a path.
func unzipKeycloak(t *testing.T, archive, path string) {
	t.Helper()
	files, err := zip.OpenReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	top, err := fs.Sub(files, "keycloak-"+keycloakVersion)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(path, top); err != nil {
		t.Fatal(err)
	}
}

// outside has a command run in the environment that the tests were started in.
func outside(command *exec.Cmd) *exec.Cmd {
	command.Env = ownEnvironment
	return command
}
