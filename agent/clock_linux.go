package agent

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/wisp-sidecar/wisp/refresher"
)

// systemClock counts elapsed time by CLOCK_BOOTTIME, which goes on while the machine is suspended;
// Go's own monotonic clock does not.
func systemClock() *refresher.Clock {
	return &refresher.Clock{Elapsed: func() time.Duration {
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
			// Linux has had it since 2.6.39. The wall clock is the best that is left.
			return time.Duration(time.Now().UnixNano())
		}
		return time.Duration(now.Nano())
	}}
}
