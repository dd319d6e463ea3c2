//go:build !linux

package main

// harden does nothing: this system is for development.
func harden() {}
