package kubelet

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// numbers are those of the capabilities that containers have if they say nothing, as containerd gives them, and
// of NET_ADMIN.
var numbers = map[corev1.Capability]int{
	"CHOWN": unix.CAP_CHOWN, "DAC_OVERRIDE": unix.CAP_DAC_OVERRIDE, "FSETID": unix.CAP_FSETID, "FOWNER": unix.CAP_FOWNER,
	"MKNOD": unix.CAP_MKNOD, "NET_RAW": unix.CAP_NET_RAW, "SETGID": unix.CAP_SETGID, "SETUID": unix.CAP_SETUID,
	"SETFCAP": unix.CAP_SETFCAP, "SETPCAP": unix.CAP_SETPCAP, "NET_BIND_SERVICE": unix.CAP_NET_BIND_SERVICE,
	"SYS_CHROOT": unix.CAP_SYS_CHROOT, "KILL": unix.CAP_KILL, "AUDIT_WRITE": unix.CAP_AUDIT_WRITE,
	"NET_ADMIN": unix.CAP_NET_ADMIN,
}

// capabilities are what is left of them when some are dropped and added.
func capabilities(c *corev1.Capabilities) ([]int, error) {
	if c == nil {
		c = &corev1.Capabilities{}
	}
	has := map[corev1.Capability]bool{}
	for name := range numbers {
		has[name] = name != "NET_ADMIN" && !slices.Contains(c.Drop, name) && !slices.Contains(c.Drop, "ALL")
	}
	for _, name := range c.Add {
		if _, known := numbers[name]; !known {
			return nil, fmt.Errorf("the capability %s is more than the fake kubelet can give", name)
		}
		has[name] = true
	}
	var left []int
	for name, given := range has {
		if given {
			left = append(left, numbers[name])
		}
	}
	return left, nil
}
