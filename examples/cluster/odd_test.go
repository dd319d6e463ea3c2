package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// Pods that nobody makes but by mistake, or to do harm.
func TestOddPods(t *testing.T) {
	const (
		first   = "AWS_CONTAINER_CREDENTIALS_FULL_URI" // of the variables that a container gets
		tooMany = refusal + "the Pod has more containers, variables, mounts and volumes than mode policy looks at"
		kept    = "container app has a " + first + " of its own, which is kept: its clients may not ask wisp"
		nothing = `Pod "app" is invalid: spec.containers: Required value`
	)
	tests := map[string]struct {
		spec     string // of the Pod, but for its account
		refusal  string // of both modes
		begins   string // the refusal of both modes, which cut it at different places
		policy   string // refusal of the policy alone, whose time the API server pays
		webhook  string // refusal of the webhook alone, whose memory is its own
		gets     string // a variable that the container app gets
		warnings []string
	}{
		// Admission comes before the API server looks whether it is a Pod at all.
		"no containers":        {spec: `"containers": []`, refusal: nothing},
		"containers are null":  {spec: `"containers": null`, refusal: nothing},
		"a thousand variables": {spec: `"containers": [{"name": "app", "image": "app", "env": [` + many(1000, `{"name": "E%d", "value": "x"}`) + `]}]`, gets: first},
		"ten thousand variables": {
			spec:   `"containers": [{"name": "app", "image": "app", "env": [` + many(10_000, `{"name": "E%d", "value": "x"}`) + `]}]`,
			policy: tooMany, gets: first,
		},
		"ten thousand volumes": {
			spec:   `"containers": [{"name": "app", "image": "app"}], "volumes": [` + many(10_000, `{"name": "v%d", "emptyDir": {}}`) + `]`,
			policy: tooMany, gets: first,
		},
		"two thousand containers": {
			spec:   `"containers": [{"name": "app", "image": "app"}, ` + many(2000, `{"name": "c%d", "image": "app"}`) + `]`,
			policy: tooMany, webhook: refusal + "the Pod has 2001 containers, and 1000 are the most",
		},
		// The refusal is longer than all annotations of a Pod may be together.
		"seven hundred containers with a sentence each": {
			spec: `"containers": [{"name": "app", "image": "app"}, ` +
				many(700, `{"name": "container-of-the-number-%d", "image": "app", "env": [{"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": "/t"}]}`) + `]`,
			begins: refusal + "container container-of-the-number-0 has AWS_WEB_IDENTITY_TOKEN_FILE, with which SDKs pass wisp by",
		},
		"a sidecar of its own": {
			spec: ownSidecar(`{"name": "WISP_OUTLETS", "value": "awsContainer"}`), gets: "AWS_EC2_METADATA_DISABLED", warnings: []string{kept},
		},
		// The values' env can make one, too.
		"a sidecar with a variable twice": {
			spec: ownSidecar(`{"name": "WISP_OUTLETS", "value": "awsContainer"}, {"name": "A", "value": "1"}, {"name": "A", "value": "2"}, ` +
				`{"name": "WISP_PORT", "value": "1"}, {"name": "WISP_PORT", "value": "2"}`),
			gets: "AWS_EC2_METADATA_DISABLED", warnings: []string{kept},
		},
		"a sidecar whose outlets have no end": {spec: ownSidecar(`{"name": "WISP_OUTLETS", "value": "awsContainer, ` + many(50_000, "o%d") + `"}`)},
	}
	for _, mode := range []string{policyMode, webhookMode} {
		c := clusterOf(t, mode)
		c.install(t, tableValues(t))
		c.namespace(t, "odd", nil)
		c.account(t, "odd", "reports", annotations["aws"])
		c.await(t, "the account", func(ctx context.Context) error {
			_, err := c.create(ctx, "odd", plainPod("reports"))
			return err
		})
		for name, test := range tests {
			t.Run(name+"/"+mode, func(t *testing.T) {
				c.warnings.take()
				made, err := c.create(t.Context(), "odd", fmt.Appendf(nil, `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app",
					"labels": {%q: "true"}}, "spec": {"serviceAccountName": "reports", %s}}`, injectLabel, test.spec))
				warnings := slices.DeleteFunc(c.warnings.take(), func(w string) bool { return strings.Contains(w, "hides previous definition") })
				want := test.refusal
				if mode == policyMode && test.policy != "" {
					want = test.policy
				}
				if mode == webhookMode && test.webhook != "" {
					want = test.webhook
				}
				if got := sentence(err); test.begins != "" {
					if !strings.HasPrefix(got, test.begins) {
						t.Errorf("refusal = %.500q, want one that begins with %q", got, test.begins)
					}
					return
				} else if got != want {
					t.Fatalf("refusal = %q, want %q", got, want)
				}
				if err != nil {
					return
				}
				var pod corev1.Pod
				must(t, json.Unmarshal(made, &pod))
				at := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == "app" })
				has := slices.ContainsFunc(pod.Spec.Containers[at].Env, func(v corev1.EnvVar) bool { return v.Name == test.gets })
				if has != (test.gets != "") {
					t.Errorf("the container has %s: %t", test.gets, has)
				}
				if d := cmp.Diff(test.warnings, warnings); d != "" {
					t.Errorf("warnings (-want +got):\n%s", d)
				}
			})
		}
	}
}

// ownSidecar has a container that says it is wisp, and is as its maker likes it.
func ownSidecar(env string) string {
	return `"containers": [
		{"name": "wisp", "image": "own", "env": [` + env + `], "volumeMounts": [{"name": "wisp-tokens", "mountPath": "/tokens"}]},
		{"name": "app", "image": "app", "env": [{"name": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "value": "http://127.0.0.1:1/own"}]}
	], "volumes": [{"name": "wisp-tokens", "emptyDir": {}}, {"name": "wisp-run", "emptyDir": {}}]`
}

// many is a list of n elements, each made of its number.
func many(n int, element string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(element, i)
	}
	return strings.Join(all, ", ")
}
