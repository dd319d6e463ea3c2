package endpoints_test

import (
	"strings"
	"testing"

	"github.com/wisp-sidecar/wisp/endpoints"
	"github.com/wisp-sidecar/wisp/refresher"
)

func TestMatches(t *testing.T) {
	tests := []struct {
		name   string
		sent   string
		secret refresher.Secret
		want   bool
	}{
		{"the secret", "hunter2", "hunter2", true},
		{"another one of the same length", "hunter3", "hunter2", false},
		{"its beginning", "hunter", "hunter2", false},
		{"its end", "unter2", "hunter2", false},
		{"more than the secret", "hunter22", "hunter2", false},
		{"the secret twice", "hunter2hunter2", "hunter2", false},
		{"the secret with a line break", "hunter2\n", "hunter2", false},
		{"the secret with a scheme", "Bearer hunter2", "hunter2", false},
		{"another case", "Hunter2", "hunter2", false},
		{"what a Secret prints", refresher.Redacted, "hunter2", false},
		{"nothing", "", "hunter2", false},
		{"nothing, and no secret", "", "", false},
		{"something, and no secret", "hunter2", "", false},
		{"a mebibyte", strings.Repeat("x", 1<<20), "hunter2", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := endpoints.Matches(test.sent, test.secret); got != test.want {
				t.Errorf("Matches = %v, want %v", got, test.want)
			}
		})
	}
}
