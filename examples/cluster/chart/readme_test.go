package chart_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// leaves are the values that are no objects, or empty ones, by path.
func leaves(prefix string, value any, all map[string]string) map[string]string {
	members, ok := value.(map[string]any)
	if ok && len(members) > 0 {
		for _, key := range slices.Sorted(maps.Keys(members)) {
			leaves(prefix+"."+key, members[key], all)
		}
		return all
	}
	all[prefix[1:]] = fmt.Sprint(value)
	if ok {
		all[prefix[1:]] = "{}"
	}
	return all
}

// The chart's README lists each value with its default, and no others.
func TestREADMEListsValues(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chartDir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(chartDir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)` \\| (?:`([^`]*)` )?\\|[^|]*\\|$").FindAllSubmatch(readme, -1) {
		listed[string(row[1])] = string(row[2])
	}
	if diff := cmp.Diff(leaves("", values, map[string]string{}), listed); diff != "" {
		t.Errorf("values.yaml and the README differ (-values +README):\n%s", diff)
	}
}
