package agent_test

import (
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/agent"
	"github.com/wisp-sidecar/wisp/agent/inject"
	"github.com/wisp-sidecar/wisp/agent/inject/injecttest"
)

// A podContainer is what these tests need of one.
type podContainer struct {
	Name string
	Args []string
	Env  []struct {
		Name, Value string
		ValueFrom   *struct{ FieldRef struct{ FieldPath string } }
	}
}

// environment is what the kubelet makes of the variables, of which the last one of a name counts.
func (c podContainer) environment() map[string]string {
	fields := map[string]string{"status.podIP": "10.0.0.7", "status.hostIP": "10.0.0.1", "metadata.uid": "0b7e4a4e-2f5c-4d3c-9c1b-0123456789ab"}
	all := map[string]string{}
	for _, v := range c.Env {
		all[v.Name] = v.Value
		if v.ValueFrom != nil {
			all[v.Name] = fields[v.ValueFrom.FieldRef.FieldPath]
		}
	}
	return all
}

// containers are those of a Pod, by name.
func containers(t *testing.T, pod []byte) map[string]podContainer {
	t.Helper()
	var p struct {
		Spec struct{ InitContainers, Containers []podContainer }
	}
	if err := json.Unmarshal(pod, &p); err != nil {
		t.Fatal(err)
	}
	all := map[string]podContainer{}
	for _, c := range append(p.Spec.InitContainers, p.Spec.Containers...) {
		all[c.Name] = c
	}
	return all
}

// What is injected is what wisp understands: for every Pod of the table the sidecar finds its identities and
// outlets in its variables, and the applications' variables are those that wisp env prints there.
func TestInjectionSpeaksToWisp(t *testing.T) {
	ran := 0
	for _, c := range injecttest.Read(t, filepath.Join("inject", "testdata")) {
		result, pod := injected(t, c)
		if result == nil || len(result.Patch) == 0 {
			continue
		}
		before, after := containers(t, c.Pod), containers(t, pod)
		sidecar := after["wisp"]
		if slices.Contains(sidecar.Args, "--config") {
			continue // its document can be anything
		}
		ran++
		variables := sidecar.environment()
		config, _, err := agent.Detect(environment(variables, nil))
		if err != nil {
			t.Errorf("%s: the sidecar says:\n%v", c.Name, err)
			continue
		}
		if config.Health.Listen != "10.0.0.7:"+variables["WISP_HEALTH_PORT"] || config.Log.Level != variables["WISP_LOG_LEVEL"] || config.Shared != "/run/wisp" {
			t.Errorf("%s: the sidecar listens at %s, logs at %s and shares %s", c.Name, config.Health.Listen, config.Log.Level, config.Shared)
		}
		if variables["WISP_OUTLETS"] == "" {
			continue // nobody is led anywhere
		}
		// At link-local addresses clients look without being told to.
		linkLocal := variables["WISP_LINK_LOCAL"] != ""
		delete(variables, "WISP_LINK_LOCAL")
		if config, _, err = agent.Detect(environment(variables, nil)); err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for _, o := range config.Outlets {
			kinds = append(kinds, o.Outlet.Kind)
		}
		if got := strings.Join(kinds, ","); got != variables["WISP_OUTLETS"] {
			t.Errorf("%s: the sidecar has the outlets %s, want %s", c.Name, got, variables["WISP_OUTLETS"])
		}
		e, err := config.ClientEnvironment(agent.ClientEnvironmentOptions{WithoutSecrets: true})
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		want := map[string]string{}
		for _, section := range e.Sections {
			for _, v := range section.Set {
				want[v.Name] = v.Value
				if v.Secret {
					want[v.Name] = "0b7e4a4e-2f5c-4d3c-9c1b-0123456789ab"
				}
			}
		}
		delete(want, "NO_PROXY") // only where there is a proxy
		delete(want, "no_proxy")
		if linkLocal {
			delete(want, "AWS_EC2_METADATA_DISABLED")
		}
		for name, was := range before {
			compareVariables(t, c.Name+"/"+name, was.environment(), after[name].environment(), want)
		}
	}
	if ran < 40 {
		t.Errorf("only %d Pods were looked at", ran)
	}
}

// compareVariables holds what a container has got against what leads to wisp.
func compareVariables(t *testing.T, whose string, was, is, want map[string]string) {
	t.Helper()
	added := map[string]string{}
	for name, value := range is {
		if _, there := was[name]; !there && !strings.EqualFold(name, "NO_PROXY") {
			added[name] = value
		}
	}
	want = maps.Clone(want)
	for name := range was {
		delete(want, name)
	}
	// Skipped containers get nothing, and those of AKS's list nothing of Entra's.
	skipped := map[string][]string{
		"skip_containers/logs": nil, "skip_containers/setup": nil, "skip_containers_semicolons/logs": nil, "skip_containers_semicolons/setup": nil,
		"skip_all/app": nil, "bypass_skipped/app": nil, "taken_mount/logs": nil, "classic/setup": nil,
		"already_injected/wisp": nil, "late_container/wisp": nil, "late_container_elsewhere/wisp": nil, "classic_late/wisp": nil, "classic_late/setup": nil,
		"bypass_skipped/logs": {"AWS"}, "skip_vendor/logs": {"AWS", "GCE", "GOOGLE"}, "skip_vendor/setup": {"AWS", "GCE", "GOOGLE"},
	}
	if prefixes, ok := skipped[whose]; ok {
		maps.DeleteFunc(want, func(name, _ string) bool {
			return !slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
		})
	}
	if diff := cmp.Diff(want, added); diff != "" {
		t.Errorf("%s: variables (-wisp env +injected):\n%s", whose, diff)
	}
}

// injected is what becomes of a Pod; nil if it is refused.
func injected(t *testing.T, c injecttest.Case) (*inject.Result, []byte) {
	t.Helper()
	policy, err := inject.ParsePolicy(c.Policy)
	if err != nil {
		t.Fatal(err)
	}
	result, err := policy.Inject(c.Request())
	if _, refused := errors.AsType[*inject.Refusal](err); refused {
		return nil, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	pod, err := injecttest.Apply(c.Pod, result.Patch)
	if err != nil {
		t.Fatal(err)
	}
	return result, pod
}

// Injection accepts no value that the sidecar would not start with: in a crash loop nobody thinks of an annotation.
func TestInjectionAcceptsNoMoreThanWisp(t *testing.T) {
	const (
		pool   = "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/"
		own    = inject.Prefix
		client = "66666666-7777-8888-9999-000000000000"
	)
	good := map[string]string{
		own + "aws-role-arn": "arn:aws:iam::123456789012:role/reports", own + "aws-region": "eu-west-1",
		own + "google-audience": pool + "cluster/providers/cluster", own + "google-service-account": "reports@shop-prod.iam.gserviceaccount.com",
		own + "azure-client-id": client, own + "azure-tenant-id": client,
	}
	long := func(n int) string { return strings.Repeat("a", n) }
	for key, values := range map[string][]string{
		own + "aws-role-arn": {
			"arn:aws:iam::123456789012:role/a", "arn:aws:iam::123456789012:role/x/y_+=,.@-/" + long(64), "arn:aws:iam::123456789012:role/" + long(65),
			"arn:aws:iam::123456789012:role/", "arn:aws:iam::123456789012:role//a", "arn:aws:iam::123456789012:role/a/", "arn:aws:iam::12345678901:role/a",
			"arn:aws:iam::123456789012:user/a", "arn:aws:iam:::role/a", "arn:minio:iam:::role/a", "arn:aws:iam::123456789012:role/a b", "arn:aws:iam::123456789012:role/$(A)",
			"arn:aws:iam::123456789012:role/a\n", " arn:aws:iam::123456789012:role/a", "arn:aws:iam::123456789012:role/ä", "arn:aws:iam::123456789012:role/" + strings.Repeat("a/", 400) + "a",
		},
		own + "aws-region": {"us-gov-west-1", "eu-west-1", "aws-global", "x", "EU-WEST-1", "-eu", "eu-", "eu--west", "eu west", "eu.west", long(40), long(41), long(64), "eu-west-1\n"},
		own + "google-audience": {
			pool + "abcd/providers/abcd", pool + long(32) + "/providers/" + long(32), pool + "abc/providers/abcd", pool + long(33) + "/providers/abcd", pool + "abcd/providers/" + long(33),
			"https:" + pool + "abcd/providers/abcd", "//iam.googleapis.com/projects/shop/locations/global/workloadIdentityPools/abcd/providers/abcd",
			"//iam.example.com/projects/1/locations/global/workloadIdentityPools/abcd/providers/abcd", pool + "abcd/providers/abcd/x",
			"//iam.googleapis.com/locations/global/workforcePools/people/providers/okta", "//iam.googleapis.com/locations/global/workforcePools/short/providers/okta",
			"identitynamespace:shop-prod.svc.id.goog:https://container.googleapis.com/v1/projects/shop/locations/x/clusters/y", "identitynamespace:shop:https://x.example",
			"identitynamespace:shop.svc.id.goog:http://x.example", "identitynamespace:shop.svc.id.goog:https://$(X)", "identitynamespace:shop.svc.id.goog:https://a b",
			"identitynamespace:.svc.id.goog:https://x",
		},
		own + "google-service-account": {
			"abcdef@p.iam.gserviceaccount.com", long(30) + "@shop.example.iam.gserviceaccount.com", "abcde@p.iam.gserviceaccount.com", long(31) + "@p.iam.gserviceaccount.com",
			"123456789-compute@developer.gserviceaccount.com", "shop@appspot.gserviceaccount.com", "1234567890", "123456789", strings.Repeat("1", 31), "someone@example.com",
			"reports@p.iam.gserviceaccount.com/x", "REPORTS@p.iam.gserviceaccount.com", "reports@$(p).iam.gserviceaccount.com", "reports@p.iam.gserviceaccount.com\n", "@p.iam.gserviceaccount.com",
		},
		own + "azure-client-id": {client, strings.ToUpper("abcdefab-7777-8888-9999-000000000000"), "reports", client + "0", "{" + client + "}", "6666666677778888 9999000000000000", client + "\n"},
		own + "azure-tenant-id": {
			client, "shop.onmicrosoft.com", "a.b-c.example", "common", "organizations", "consumers", "localhost", "shop..example", "-a.example", "a-.example", "a.exampl3", "a.e",
			"shop.example/x", "shop.example?x", "$(X).example", long(63) + ".example", long(64) + ".example", strings.Repeat("a.", 11) + "example",
		},
		own + "port":        {"1024", "65535", "1023", "65536", "0", "09911", "9911.0", "+9911", "-1", "http", "127.0.0.1:9911", "99999"},
		own + "health-port": {"1024", "65535", "1023", "65536", "080", "9,910"},
		own + "log-level":   {"debug", "info", "warn", "error", "INFO", "trace", "info "},
		own + "outlets":     {"awsContainer", "imds,azureIMDS", "file", "bearer", "awscontainer", "gceMetadata;appService"},
	} {
		accepted := 0
		for _, value := range values {
			annotations := maps.Clone(good)
			annotations[key] = value
			text, err := json.Marshal(map[string]any{
				"metadata": map[string]any{"labels": map[string]string{inject.Label: "true"}, "annotations": annotations},
				"spec":     map[string]any{"containers": []any{map[string]string{"name": "app"}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			result, pod := injected(t, injecttest.Case{Pod: text, Policy: []byte(`{"image": "wisp:dev"}`)})
			if result == nil {
				continue
			}
			variables := containers(t, pod)["wisp"].environment()
			if accepted++; key == own+"aws-region" {
				// In which partition a region is, is not a matter of its form.
				delete(variables, "AWS_ROLE_ARN")
				variables = with(variables, map[string]string{"AWS_ROLE_ARN": roleIn(value)})
			}
			if _, _, err := agent.Detect(environment(variables, nil)); err != nil {
				t.Errorf("%s: injection accepts %q, and wisp says\n%v", key, value, err)
			}
		}
		if accepted == 0 || accepted == len(values) {
			t.Errorf("%s: %d of %d samples are accepted", key, accepted, len(values))
		}
	}
}

// roleIn is a role that goes with a region.
func roleIn(region string) string {
	partition := "aws"
	if strings.HasPrefix(region, "us-gov-") {
		partition = "aws-us-gov"
	}
	return "arn:" + partition + ":iam::123456789012:role/reports"
}

// Every variable that clients believe before wisp is refused, warned of, or set by injection itself.
func TestInjectionKnowsAllBypasses(t *testing.T) {
	const three = `"wisp-sidecar.github.io/aws-role-arn": "arn:aws:iam::123456789012:role/reports", "wisp-sidecar.github.io/aws-region": "eu-west-1",
		"wisp-sidecar.github.io/google-audience": "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/cluster/providers/cluster",
		"wisp-sidecar.github.io/azure-client-id": "66666666-7777-8888-9999-000000000000", "wisp-sidecar.github.io/azure-tenant-id": "shop.example",
		"wisp-sidecar.github.io/outlets": "awsContainer,imds,gceMetadata,appService,azureIMDS"`
	for _, name := range agent.Bypasses() {
		pod := `{"metadata": {"labels": {"wisp-sidecar.github.io/inject": "true"}, "annotations": {` + three + `}},
			"spec": {"containers": [{"name": "app", "env": [{"name": "` + name + `", "value": "x"}]}]}}`
		result, _ := injected(t, injecttest.Case{Pod: []byte(pod), Policy: []byte(`{"image": "wisp:dev"}`)})
		if result == nil {
			continue // refused, as the only thing that is wrong
		}
		said := slices.ContainsFunc(result.Warnings, func(warning string) bool {
			return strings.HasPrefix(warning, "container app has ") && strings.Contains(warning, name)
		})
		if !said && name != "AWS_EC2_METADATA_DISABLED" { // which imds among the outlets leaves to the application
			t.Errorf("nobody says a word of %s: %q", name, result.Warnings)
		}
	}
}
