// Package reserve keeps addresses of loopback for servers that are started later. An address that is merely found to be
// free may be somebody else's by then; and who dials it meanwhile may end up with itself, for the system takes it for
// free, too.
package reserve
