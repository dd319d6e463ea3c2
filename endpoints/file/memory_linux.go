package file

import (
	"os"
	"syscall"
)

// Magic numbers of file systems that live in memory. Source: statfs(2).
const (
	tmpfsMagic = 0x01021994
	ramfsMagic = 0x858458f6
)

// inMemory reports whether a directory's content is gone after a restart of the machine.
func inMemory(dir *os.Root) bool {
	handle, err := dir.Open(".")
	if err != nil {
		return false
	}
	defer handle.Close()
	var stat syscall.Statfs_t
	if err := syscall.Fstatfs(int(handle.Fd()), &stat); err != nil {
		return false
	}
	// The field's type differs between architectures.
	return uint32(stat.Type) == tmpfsMagic || uint32(stat.Type) == ramfsMagic
}
