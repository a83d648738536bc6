package policy

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
)

// Join returns an error if another account owns the network of a host, and it is in no lab that rights
// allow to manage: the user cannot connect a node to it. It ignores a missing network, which package
// domain reports.
func (g *Guard) Join(ctx context.Context, rights access.Rights, host, name string) error {
	if name == "" || name == domain.UserNetwork || name == domain.NoNetwork || rights.Role.AtLeast(access.RoleAdmin) {
		return nil // "" is the default network, which belongs to no account
	}
	v, err := g.o.Networks.Network(ctx, host, name)
	if fault.CodeOf(err) == fault.NotFound {
		return nil
	}
	if err != nil || !v.Managed || v.Owner == rights.OwnerID() {
		return err
	}
	labs, err := g.o.Labs.List(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(labs, func(l lab.Lab) bool {
		return l.Has(lab.Network, v.ID) && rights.On(LabObject(l)) == access.Manage
	}) {
		return nil
	}
	return fault.New(fault.Forbidden, "Network %q belongs to %s. Ask them to connect the node in a lab, or use another network.", v.Name, g.networkOwner(v))
}

// DeleteNetwork returns an error if another account owns the network, or if nodes are connected to it.
// The error names those nodes that the user may view.
func (g *Guard) DeleteNetwork(rights access.Rights, v domain.Network) error {
	if !rights.Role.AtLeast(access.RoleAdmin) && v.Owner != rights.OwnerID() {
		return fault.New(fault.Forbidden, "Network %q belongs to %s. Ask them, or an administrator.", v.Name, g.networkOwner(v))
	}
	if len(v.Nodes) == 0 {
		return nil
	}
	var names []string
	for _, n := range v.Nodes {
		if rights.On(NodeObject(n)) != access.None {
			names = append(names, n.Name)
		}
	}
	names = names[:min(10, len(names))]
	if others := len(v.Nodes) - len(names); others > 0 {
		names = append(names, counted(others, "other node"))
	}
	return fault.New(fault.NodeBusy, "Network %q has nodes on it: %s. Delete them, or detach their interfaces, first.", v.Name, strings.Join(names, ", "))
}

// networkOwner names a network's owner in a sentence.
func (g *Guard) networkOwner(v domain.Network) string {
	return cmp.Or(OwnerName(g.o.Accounts, v.Owner, v.OwnerName), "an administrator")
}

// Gain returns an error if a revert or a clone would give a node something that the user could not
// give it now: so nobody gets back what was taken away from them.
func (g *Guard) Gain(ctx context.Context, rights access.Rights, n domain.Node, gain domain.Gain) error {
	for _, network := range gain.Networks {
		if err := g.Join(ctx, rights, n.Host, network); err != nil {
			return brings(err, "a card on network %q", network)
		}
	}
	for _, file := range gain.Files {
		if err := g.readFile(rights, n.Host, file); err != nil {
			return brings(err, "the disk or medium %s", file)
		}
	}
	if len(gain.Devices) > 0 && !rights.Role.AtLeast(access.RoleAdmin) {
		return fault.New(fault.Forbidden, "This adds devices of host %q to node %q. Only administrators can add them.", n.Host, n.Name)
	}
	return nil
}

// readFile returns an error if the user cannot insert a file of a host into a drive.
func (g *Guard) readFile(rights access.Rights, host, file string) error {
	images := g.o.Images.Images()
	i := slices.IndexFunc(images, func(v image.Image) bool { return v.Host == host && v.Path == file })
	if i < 0 {
		if rights.Role.AtLeast(access.RoleAdmin) {
			return nil
		}
		return fault.New(fault.Forbidden, "It is not an image. Ask an administrator.")
	}
	if err := needImage(rights, images[i], access.Use); err != nil {
		return err
	}
	_, err := g.o.Images.Usable(host, images[i].ID)
	return err
}

// brings puts what a change would bring before the reason why it is refused.
func brings(err error, what string, args ...any) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	return fault.Wrap(err, f.Code, "This brings "+what+". %s", append(args, f.Message)...)
}
