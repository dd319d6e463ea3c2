//go:build !linux

package main

import (
	"errors"
	"net"
	"net/netip"
)

// configure is for Pods: on this system an address of the machine itself would change.
func configure(*net.Interface, []netip.Addr) error {
	return errors.New("this works on Linux only")
}
