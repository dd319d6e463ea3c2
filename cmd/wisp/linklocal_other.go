//go:build !linux

package main

import (
	"errors"
	"net"
)

// configure is for Pods: on this system an address of the machine itself would change.
func configure(*net.Interface, [][4]byte) error {
	return errors.New("this works on Linux only")
}
