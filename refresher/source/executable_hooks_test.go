package source

import "time"

// SetPatience replaces e's timeout, which tests cannot wait for, and the time between asking a program
// to end and killing it. Zero leaves as it is.
func (e *Executable) SetPatience(timeout, grace time.Duration) {
	if timeout != 0 {
		e.options.Timeout = timeout
	}
	if grace != 0 {
		e.grace = grace
	}
}
