package agent_test

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/wisp-sidecar/wisp"

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

func listPackages(t *testing.T, args ...string) []goPackage {
	t.Helper()
	command := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps,Standard"}, args...)...)
	command.Dir = ".."
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	var list []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); err == io.EOF {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// within reports whether path is one of the roots or below it.
func within(path string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return path == root || strings.HasPrefix(path, root+"/")
	})
}

// The layers: who may import whom. A new leaf has to fit in without a change here.
func TestImportRules(t *testing.T) {
	const (
		engine    = module + "/refresher"
		upstream  = module + "/refresher/upstream"
		cloudtest = module + "/refresher/cloudtest"
		sources   = module + "/refresher/source"
		execution = module + "/refresher/execsource"
		endpoints = module + "/endpoints"
		agent     = module + "/agent"
		webhook   = module + "/cmd/wisp-webhook"
		injection = agent + "/inject"
	)
	exchangers := []string{engine + "/awssts", engine + "/googlests", engine + "/entra", engine + "/oauthsts", engine + "/subject"}
	wireLeaves := []string{endpoints + "/azuretoken", endpoints + "/format", execution}
	standard := map[string]bool{}
	for _, p := range listPackages(t, "std") {
		standard[p.ImportPath] = true
	}

	for _, p := range listPackages(t, "./...") {
		for _, imported := range p.Imports {
			forbidden := func(why string) { t.Errorf("%s imports %s: %s", p.ImportPath, imported, why) }
			own := within(imported, module)
			switch {
			case p.ImportPath == engine:
				if !standard[imported] && !within(imported, "github.com/cenkalti/backoff/v4", "golang.org/x/sync") {
					forbidden("the engine knows only the standard library, backoff and x/sync")
				}
				if within(imported, "net/http", "flag", "os") {
					forbidden("the engine knows no HTTP, no files and no flags")
				}
			case slices.Contains(exchangers, p.ImportPath):
				if own && imported != engine && imported != upstream {
					forbidden("an exchanger knows the engine and the way to the clouds, nothing else of ours")
				}
			case p.ImportPath == sources:
				if own && imported != engine && imported != upstream && imported != execution {
					forbidden("a source knows the engine, how to ask, and what programs answer, nothing else of ours")
				}
			case p.ImportPath == upstream, p.ImportPath == execution:
				if own && imported != engine && imported != upstream {
					forbidden("it knows the engine, nothing else of ours")
				}
			case strings.HasSuffix(p.ImportPath, "test"):
				// Support for tests; TestSidecarClosure sees to it that it stays that.
			case within(p.ImportPath, endpoints):
				if own && imported != engine && imported != endpoints && !slices.Contains(wireLeaves, imported) {
					forbidden("an endpoint knows credentials, not where they come from")
				}
				if !own && !standard[imported] && !within(imported, "golang.org/x/sys") {
					forbidden("an endpoint needs no SDK")
				}
			case p.ImportPath == injection:
				if !standard[imported] {
					forbidden("injection is a pure function of JSON: webhooks and commands give it that, whatever they know of Kubernetes")
				}
			case p.ImportPath == agent:
				if within(imported, cloudtest, module+"/cmd", module+"/examples") {
					forbidden("the agent is what programs are made of, not the other way round")
				}
			}
			if within(imported, "k8s.io", "sigs.k8s.io") && p.ImportPath != webhook {
				forbidden("only the admission webhook speaks with Kubernetes")
			}
			if imported == agent && !within(p.ImportPath, module+"/cmd", module+"/examples") {
				forbidden("only programs import the agent")
			}
			if imported == cloudtest && !within(p.ImportPath, module+"/examples") {
				forbidden("the fakes are for tests and examples")
			}
		}
	}
}

// What is linked into the sidecar: no Kubernetes libraries, no fakes, no test support, no profiler.
func TestSidecarClosure(t *testing.T) {
	for _, p := range listPackages(t, "./cmd/wisp") {
		for _, dependency := range p.Deps {
			if within(dependency, "k8s.io", "sigs.k8s.io", "testing", "net/http/pprof", "expvar") || (within(dependency, module) && strings.HasSuffix(dependency, "test")) {
				t.Errorf("%s depends on %s", p.ImportPath, dependency)
			}
		}
	}
}
