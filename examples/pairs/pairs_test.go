package pairs_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wisp-sidecar/wisp/examples/pairs"
)

// What a workload can prove itself with, and whom to.
func TestEveryPairThatMakesSense(t *testing.T) {
	all := []string{"aws", "entra", "google", "oauthSTS"}
	want := map[string][]string{
		"file": all, "url": all, "executable": all, "githubActions": all,
		"azureIMDS":                       {"aws", "google"},
		"gceMetadata":                     {"aws", "entra"},
		"awsCallerIdentity (aws)":         {"google"},
		"awsCallerIdentity (instance)":    {"google"},
		"awsCallerIdentity (container)":   {"google"},
		"awsCallerIdentity (environment)": {"google"},
		"identity (google)":               {"aws", "entra", "oauthSTS"}, // by ID token
		"identity (entra)":                {"aws", "google", "oauthSTS"},
		"identity (oauthSTS)":             {"aws", "entra", "google"},
		"file (SAML)":                     {"google", "oauthSTS"},
	}
	world, err := pairs.NewWorld(pairs.Options{URL: "http://127.0.0.1:1", Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	names := map[string]bool{}
	for _, pair := range world.Pairs() {
		got[pair.Source] = append(got[pair.Source], pair.Cloud)
		if names[pair.Name] {
			t.Errorf("two pairs have the name %s", pair.Name)
		}
		names[pair.Name] = true
	}
	for _, clouds := range got {
		slices.Sort(clouds)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the pairs differ (-want +got):\n%s", diff)
	}
	document := pairs.Document(world.Pairs()...)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if n := strings.Count(document, "- name: "+name+"\n"); n != 1 {
			t.Errorf("the document has the identity %s %d times, want once", name, n)
		}
	}
}
