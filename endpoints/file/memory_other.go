//go:build !linux

package file

import "os"

// inMemory: other systems have no tmpfs that anybody would put credentials on.
func inMemory(*os.Root) bool { return false }
