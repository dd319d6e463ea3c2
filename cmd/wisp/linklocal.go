package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/spf13/cobra"

	"github.com/wisp-sidecar/wisp/endpoints"
)

// linkLocalAddresses are those at which wisp answers with WISP_LINK_LOCAL.
var linkLocalAddresses = [][4]byte{{169, 254, 169, 254}, {169, 254, 170, 2}}

func newLinkLocal() *cobra.Command {
	return &cobra.Command{
		Use:   "link-local",
		Short: "Give the Pod's loopback interface the addresses of metadata services",
		Long: `link-local gives the loopback interface 169.254.169.254 and 169.254.170.2, where clients look for metadata
services that cannot be told another address, and brings it up. What is there already stays. It is for an
init container with the capability NET_ADMIN, and no other; wisp run then needs none:
WISP_LINK_LOCAL=true makes it answer there.

Exit code 1: it could not be done. 2: the Pod has the network of its node (WISP_POD_IP equals WISP_HOST_IP).`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if onHostNetwork(os.Getenv) {
				return &usageError{errors.New("wisp link-local: the Pod has the network of its node (hostNetwork), which would lose its metadata service")}
			}
			if err := takeLinkLocal(); err != nil {
				return fmt.Errorf("wisp link-local: %w", err)
			}
			return nil
		},
	}
}

// takeLinkLocal gives the loopback interface the addresses, or nothing if another interface has one.
func takeLinkLocal() error {
	lo, err := loopbackInterface()
	if err != nil {
		return err
	}
	var missing [][4]byte
	for _, ip := range linkLocalAddresses {
		on, err := endpoints.OnLoopback(netip.AddrFrom4(ip))
		if err != nil {
			return err
		}
		if !on {
			missing = append(missing, ip)
		}
	}
	return configure(lo, missing)
}

func loopbackInterface() (*net.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for n := range all {
		if all[n].Flags&net.FlagLoopback != 0 {
			return &all[n], nil
		}
	}
	return nil, errors.New("there is no loopback interface")
}
