package upstream_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/wisp-sidecar/wisp/refresher/upstream"
)

func TestSeconds(t *testing.T) {
	for _, test := range []struct {
		text string
		want time.Duration
		ok   bool
	}{
		{`3599`, 3599 * time.Second, true},
		{`"3599"`, 3599 * time.Second, true},
		{`3599.9`, 3599 * time.Second, true},
		{`0`, 0, true},
		{`-1`, 0, true},
		{`"-1e300"`, 0, true},
		{`1e300`, 100 * 365 * 24 * time.Hour, true},
		{`null`, 0, true},
		{`"soon"`, 0, false},
		{`""`, 0, false},
		{`{}`, 0, false},
		{`[1]`, 0, false},
		{`true`, 0, false},
	} {
		var s upstream.Seconds
		err := json.Unmarshal([]byte(test.text), &s)
		if got := s.Duration(); (err == nil) != test.ok || got != test.want {
			t.Errorf("%s is %v, %v; want %v, ok: %v", test.text, got, err, test.want, test.ok)
		}
	}
}
