package agent_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/wisp-sidecar/wisp/agent"
)

var readmeBlock = regexp.MustCompile("(?s)<!-- test: (config|pod) -->\n```yaml\n(.*?)```")

// What the README offers for copying is accepted as it stands.
func TestReadmeConfigurations(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for n, block := range readmeBlock.FindAllSubmatch(readme, -1) {
		kind, text := string(block[1]), block[2]
		kinds[kind]++
		if kind == "pod" {
			text = configInPod(t, text)
		}
		if _, err := agent.Parse(fmt.Sprintf("README block %d", n), text); err != nil {
			t.Error(err)
		}
	}
	if kinds["config"] < 2 || kinds["pod"] != 1 {
		t.Errorf("blocks found in the README: %v, want some of config and one of pod", kinds)
	}
}

// configInPod returns the wisp.yaml of the ConfigMap among the manifests.
func configInPod(t *testing.T, manifests []byte) []byte {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(manifests))
	var config string
	for {
		var manifest struct {
			Kind string            `yaml:"kind"`
			Data map[string]string `yaml:"data"`
		}
		if err := decoder.Decode(&manifest); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("manifests: %v", err)
		}
		if manifest.Kind == "ConfigMap" {
			config = manifest.Data["wisp.yaml"]
		}
	}
	if config == "" {
		t.Fatal("the manifests have no ConfigMap with a wisp.yaml")
	}
	return []byte(config)
}
