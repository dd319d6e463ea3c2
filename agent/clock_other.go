//go:build !linux

package agent

import "github.com/wisp-sidecar/wisp/refresher"

// systemClock uses Go's clocks.
func systemClock() *refresher.Clock { return &refresher.Clock{} }
