package main

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/sandboxlabs/sandboxlabs/internal/domain"
)

func addNetworkFlags(f *pflag.FlagSet) {
	f.String("user-network", "off", "off or on: allow user-mode networking, with which guests can reach all services on the loopback address of their host")
	f.String("default-network", domain.DefaultNetworkName, "libvirt network of new nodes; must not be one that a user created")
	f.String("lab-subnets", "10.128.0.0/9", "private IPv4 blocks, separated by commas, from which networks get their subnets; only administrators can choose other subnets")
}

// minBlockBits and maxBlockBits are the limits for the prefix lengths in lab-subnets.
const minBlockBits, maxBlockBits = 8, 29

// parseNetworks reads the networks that nodes may be connected to.
func (c *config) parseNetworks(k *koanf.Koanf) error {
	// YAML reads a bare `off` as false.
	switch mode := k.String("user-network"); mode {
	case "off", "false":
	case "on", "true":
		c.Networks.UserMode = true
	case "isolated":
		return fmt.Errorf("user-network: isolated is not available: no release of libvirt can tell QEMU to keep a guest with user-mode networking (restrict=on) from its host; set user-network to off, or to on")
	default:
		return fmt.Errorf("user-network: %q is neither off nor on", mode)
	}
	c.Networks.Default = k.String("default-network")
	if c.Networks.Default == "" || slices.Contains([]string{domain.UserNetwork, domain.NoNetwork}, c.Networks.Default) {
		return fmt.Errorf("default-network: %q is not the name of a network; the default is %q", c.Networks.Default, domain.DefaultNetworkName)
	}
	blocks := k.Strings("lab-subnets")
	if len(blocks) == 0 { // flags and the environment give the list as one string
		blocks = strings.Split(k.String("lab-subnets"), ",")
	}
	for _, text := range blocks {
		block, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil || !block.Addr().Is4() || !block.Addr().IsPrivate() || block != block.Masked() || block.Bits() < minBlockBits || block.Bits() > maxBlockBits {
			return fmt.Errorf("lab-subnets: %q is not a private block of IPv4 with %d to %d bits, such as 10.128.0.0/9", text, minBlockBits, maxBlockBits)
		}
		c.Networks.Subnets = append(c.Networks.Subnets, block)
	}
	if c.AuthOff {
		c.Networks.LetIn = []int{0, os.Getuid()}
	}
	return nil
}
