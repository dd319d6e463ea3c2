package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/agent/inject"
	"github.com/wisp-sidecar/wisp/agent/inject/injecttest"
)

// apiVolume is the name of the volume with the API server's token, which is random.
var apiVolume = regexp.MustCompile(`kube-api-access-[a-z0-9]{5}`)

// An outcome is what comes of a Pod.
type outcome struct {
	Pod      string   // as the server has it, in JSON; empty if it is refused
	Refusal  string   // wisp's sentence, or another's
	Warnings []string // sorted
}

// differs has the Pods of which the modes make something else, with the beginning of each one's refusal. A webhook is
// asked before Pod Security, a validating policy after it.
var differs = map[string]map[string]string{
	"pod_security_besides": {policyMode: "violates PodSecurity", webhookMode: refusal + "link-local mode needs NET_ADMIN"},
}

// The table is the one that wisp inject's tests have. On the API server each of its Pods must come out the same
// whoever injects: the policy, the webhook, or package inject, whose result is what the server makes of a Pod that has
// been injected before it came. The table's policies are the values of the chart.
func TestTable(t *testing.T) {
	cases := injecttest.Read(t, "../../agent/inject/testdata")
	if len(cases) < 40 {
		t.Errorf("the table has %d Pods, want 40 or more", len(cases))
	}
	modes := []*cluster{clusterOf(t, policyMode), clusterOf(t, webhookMode)}
	groups := map[string][]injecttest.Case{}
	for _, c := range cases {
		groups[string(c.Policy)] = append(groups[string(c.Policy)], c)
	}
	for _, document := range slices.Sorted(maps.Keys(groups)) {
		var v values
		must(t, json.Unmarshal([]byte(document), &v))
		images := map[string]string{}
		for _, c := range modes {
			if c.mode == policyMode && v["sidecar"] == "classic" {
				continue // the chart refuses that
			}
			images[c.mode] = c.install(t, chartValues(v))
		}
		for _, pod := range groups[document] {
			for _, c := range modes {
				if images[c.mode] != "" {
					t.Run(pod.Name+"/"+c.mode, func(t *testing.T) { c.tryCase(t, pod, images[c.mode]) })
				}
			}
		}
	}
}

// chartValues are a policy document in the chart's words.
func chartValues(document values) values {
	v := maps.Clone(document)
	delete(v, "image")
	image := map[string]any{}
	for from, to := range map[string]string{"imagePullPolicy": "pullPolicy", "imagePullSecrets": "pullSecrets"} {
		if value, there := v[from]; there {
			image[to] = value
			delete(v, from)
		}
	}
	v["image"] = image
	return v
}

// tryCase compares what the cluster's mode makes of a Pod with what package inject does.
func (c *cluster) tryCase(t *testing.T, pod injecttest.Case, image string) {
	namespace := strings.ReplaceAll(pod.Name, "_", "-")
	c.namespace(t, namespace, pod.NamespaceLabels)
	c.account(t, namespace, pod.Account.Name, pod.Account.Annotations)
	if said, otherwise := differs[pod.Name]; otherwise {
		if _, err := c.create(t.Context(), namespace, pod.Pod); err == nil || !strings.Contains(err.Error(), said[c.mode]) {
			t.Errorf("refusal = %v, want %s", err, said[c.mode])
		}
		return
	}
	wanted := c.expect(t, namespace, pod, image)
	compare := func(ctx context.Context) error {
		c.warnings.take()
		made, err := c.create(ctx, namespace, pod.Pod)
		got := outcome{Refusal: sentence(err), Warnings: c.warnings.take()}
		if err == nil {
			got.Pod = string(compact(t, made))
		}
		if d := cmp.Diff(wanted, got); d != "" {
			return errors.New("differs from package inject's (-):\n" + d)
		}
		if err != nil {
			return nil
		}
		// Once more, as a controller would that copies Pods.
		again, err := c.create(ctx, namespace, fresh(t, made))
		if err != nil {
			return fmt.Errorf("the second pass: %w", err)
		}
		if d := cmp.Diff(got.Pod, string(compact(t, again))); d != "" {
			return errors.New("the second pass changes (-):\n" + d)
		}
		return nil
	}
	c.await(t, pod.Comment, compare) // the policy is in force, only the account is new
}

// expect is what package inject makes of a case.
func (c *cluster) expect(t *testing.T, namespace string, pod injecttest.Case, image string) outcome {
	t.Helper()
	var document map[string]any
	must(t, json.Unmarshal(pod.Policy, &document))
	document["image"] = image
	text, err := json.Marshal(document)
	must(t, err)
	policy, err := inject.ParsePolicy(text)
	must(t, err)

	// As the server shows it to those who inject: with its defaults, and a token of its own.
	hidden, label := asked(t, pod.Pod)
	shown, err := c.create(t.Context(), namespace, hidden)
	if err != nil {
		return outcome{Refusal: sentence(err)} // nobody gets to see it
	}
	request := pod.Request()
	request.Pod = withLabel(t, shown, label)
	result, err := policy.Inject(request)
	if refused, ok := errors.AsType[*inject.Refusal](err); ok {
		return outcome{Refusal: strings.NewReplacer("\n", " ", "\r", " ").Replace(refused.Error())}
	}
	must(t, err)
	injected, err := injecttest.Apply(request.Pod, result.Patch)
	must(t, err)
	hidden, _ = asked(t, injected)
	c.warnings.take()
	made, err := c.create(t.Context(), namespace, hidden)
	if err != nil {
		return outcome{Refusal: sentence(err)}
	}
	expected := outcome{Pod: string(compact(t, withLabel(t, made, label))), Warnings: append(c.warnings.take(), result.Warnings...)}
	slices.Sort(expected.Warnings)
	expected.Warnings = slices.Compact(expected.Warnings)
	return expected
}

// asked takes the label that asks for injection off a Pod.
func asked(t *testing.T, pod []byte) (without []byte, label string) {
	t.Helper()
	var parsed map[string]any
	must(t, json.Unmarshal(pod, &parsed))
	labels, _ := parsed["metadata"].(map[string]any)["labels"].(map[string]any)
	if value, there := labels[injectLabel]; there {
		label = fmt.Sprint(value)
		delete(labels, injectLabel)
	}
	text, err := json.Marshal(parsed)
	must(t, err)
	return fresh(t, text), label
}

// fresh takes off what the server gives a Pod that is made.
func fresh(t *testing.T, pod []byte) []byte {
	t.Helper()
	var parsed map[string]any
	must(t, json.Unmarshal(pod, &parsed))
	metadata := parsed["metadata"].(map[string]any)
	delete(metadata, "uid")
	delete(metadata, "managedFields")
	text, err := json.Marshal(parsed)
	must(t, err)
	return text
}

// withLabel puts it on again.
func withLabel(t *testing.T, pod []byte, label string) []byte {
	t.Helper()
	if label == "" {
		return pod
	}
	var parsed map[string]any
	must(t, json.Unmarshal(pod, &parsed))
	metadata := parsed["metadata"].(map[string]any)
	labels, _ := metadata["labels"].(map[string]any)
	if labels == nil {
		labels = map[string]any{}
		metadata["labels"] = labels
	}
	labels[injectLabel] = label
	text, err := json.Marshal(parsed)
	must(t, err)
	return text
}
