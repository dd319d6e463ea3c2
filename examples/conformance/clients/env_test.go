package clients_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
)

// What the clients of the table have in their environments is what wisp env says.
func (c *company) env() {
	for _, o := range outlets {
		if o.kind == "" {
			continue
		}
		c.Run("wisp env/"+o.name, func(t *testing.T) {
			env := exec.Command(c.kit.wisp, "env", o.identity, "--outlet", o.kind, "--format", "json", "--config", filepath.Join(c.stage.dir, "wisp.yaml"))
			text, err := env.Output()
			if err != nil {
				t.Fatal(err)
			}
			var said map[string]string
			if err := json.Unmarshal(text, &said); err != nil {
				t.Fatal(err)
			}
			for name, value := range o.env {
				if said[name] != c.stage.expand(value) {
					t.Errorf("wisp env does not say what clients have here for %s", name)
				}
			}
		})
	}
}
