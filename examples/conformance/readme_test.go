package conformance_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var readmeBlock = regexp.MustCompile("(?s)<!-- test: tools -->\n```sh\n(.*?)```")

// What the README offers for copying into a shell works as printed, but for where the playground and
// the binary are.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := readmeBlock.FindAllSubmatch(readme, -1)
	if len(blocks) != 5 {
		t.Fatalf("the README has %d blocks of commands, want 5", len(blocks))
	}
	for _, block := range blocks {
		script := strings.NewReplacer("/tmp/wisp", "'"+play.dir+"'", "dist/wisp", play.wisp).Replace(string(block[1]))
		c := command{name: "the README's clients", script: script, needs: "aws --version && gcloud --version && curl --version"}
		t.Run(strings.Fields(script)[0], func(t *testing.T) {
			c.mustBeThere(t)
			if out := c.run(t); strings.Count(out, "\n") < 3 {
				t.Errorf("the commands print too little: %d bytes", len(out))
			}
		})
	}
}
