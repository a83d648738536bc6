package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

func newDoctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check libvirt, pools, networks, the database and Guacamole, and say how to fix problems",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withBackend(cmd, func(ctx context.Context, a *app) error {
				r := &report{out: cmd.OutOrStdout()}
				r.ok("database", "", "answers")
				r.changes(ctx, a)
				for _, h := range a.hosts.Hosts() {
					r.host(ctx, a, h)
				}
				if _, err := exec.LookPath("qemu-img"); err != nil {
					r.warn("qemu-img", "", "is not installed, so only the structure of images is checked. Install the package qemu-utils.")
				} else {
					r.ok("qemu-img", "", "is installed")
				}
				if r.failed {
					return errReported
				}
				return r.err
			})
		},
	}
}

// report prints one line for each check.
type report struct {
	out    io.Writer
	failed bool
	err    error // of writing the output
}

func (r *report) line(mark, check, host, text string) {
	if host != "" {
		check += " (" + host + ")"
	}
	if _, err := fmt.Fprintf(r.out, "%-5s %-26s %s\n", mark, check, text); err != nil {
		r.err = err
	}
}

func (r *report) ok(check, host, text string)   { r.line("ok", check, host, text) }
func (r *report) warn(check, host, text string) { r.line("note", check, host, text) }
func (r *report) fail(check, host, text string) {
	r.line("FAIL", check, host, text)
	r.failed = true
}

// changes lists the unfinished changes.
func (r *report) changes(ctx context.Context, a *app) {
	list, err := a.nodes.UnfinishedChanges(ctx)
	if err != nil {
		r.fail("changes", "", explain(err))
		return
	}
	for _, c := range list {
		r.fail("change", c.Host, describeChange(c)+" Remove the cause and run `sandboxlabs change finish "+c.ID+"`, or `sandboxlabs change drop "+c.ID+"`.")
	}
	if len(list) == 0 {
		r.ok("changes", "", "none is unfinished")
	}
}

const lowSpaceBytes = 5 << 30

// host checks one host. It stops at the first failure that makes the remaining checks
// pointless.
func (r *report) host(ctx context.Context, a *app, h *hypervisor.Host) {
	name := h.Name()
	if err := h.Settled(ctx); err != nil {
		r.fail("libvirt", name, explain(err))
		return
	}
	st := h.Status()
	if st.State != hypervisor.Connected {
		r.fail("libvirt", name, fmt.Sprintf("%s: %s. Is libvirtd running, and are you in the group libvirt? `make setup` sees to both.", st.URI, strings.TrimSuffix(st.Problem, ".")))
		return
	}
	c := st.Capabilities
	r.ok("libvirt", name, fmt.Sprintf("%s answers: libvirt %s, QEMU %s, %d CPUs, %d MiB", st.URI, c.LibvirtVersion, c.HypervisorVersion, c.CPUs, c.MemoryMiB))
	for _, warning := range c.Warnings {
		r.warn("libvirt", name, warning)
	}
	if c.Accelerator == "kvm" {
		r.ok("accelerator", name, "kvm. "+c.AcceleratorReason)
	} else {
		r.warn("accelerator", name, c.Accelerator+". "+c.AcceleratorReason)
	}
	if problem := h.KVMProblem(); problem != "" {
		r.warn("kvm", name, problem)
	}
	if err := a.pools.Prepare(ctx, name); err != nil {
		r.fail("pools", name, explain(err))
		return
	}
	for _, p := range a.pools.Pools(name) {
		text := fmt.Sprintf("%s at %s, %d GiB free", p.Name, p.Path, p.Available>>30)
		if p.Available < lowSpaceBytes {
			r.warn("pool "+p.Role, name, text+": little. Images and nodes need some GiB each.")
		} else {
			r.ok("pool "+p.Role, name, text)
		}
	}
	if err := a.pools.TryWrite(ctx, name); err != nil {
		r.fail("pools writable", name, explain(err))
	} else {
		r.ok("pools writable", name, "a volume was made and removed in each")
	}
	r.folders(ctx, a, name)
	r.networks(ctx, a, name)
	r.guacd(ctx, a, h)
	if err := a.nodes.Probe(ctx, name); err != nil {
		r.fail("guest, console log", name, explain(err))
	} else {
		r.ok("guest, console log", name, "a guest starts under "+c.Accelerator+" and its console is recorded")
	}
}

// folders checks that other users of a host cannot access the folders of the pools.
func (r *report) folders(ctx context.Context, a *app, host string) {
	open, err := a.pools.OpenFolders(ctx, host)
	if err != nil {
		r.fail("pools closed", host, explain(err))
		return
	}
	for _, f := range open {
		group := f.QEMUGroup
		if group == "" {
			group = "GROUP-OF-QEMU"
		}
		r.warn("pools closed", host, fmt.Sprintf("every user of the host can enter %s (mode %s) and read the images in it. Run there as root: chgrp %s '%[1]s' && chmod 0710 '%[1]s'; `make setup` does it for the default pools.", f.Path, f.Mode, group))
	}
	if len(open) == 0 {
		r.ok("pools closed", host, "other users of the host can't enter the pools' folders")
	}
}

// networks checks the networks that nodes of a host are connected to.
func (r *report) networks(ctx context.Context, a *app, host string) {
	err := a.nodes.LookAtNetwork(ctx, host)
	switch mode := a.nodes.NetworkMode(host); {
	case err == nil:
		r.ok("network", host, mode+" is active")
	case mode == domain.UserNetwork:
		r.warn("network", host, explain(err)+" Until then nodes get user-mode networking (user-network: on), through which guests reach every service on the host's loopback address.")
	case fault.CodeOf(err) == fault.NetworkUnavailable:
		r.warn("network", host, explain(err))
	default:
		r.fail("network", host, explain(err))
	}
	names, err := a.nodes.UserModeNodes(ctx, host)
	switch {
	case err != nil:
		r.fail("user-mode networking", host, explain(err))
	case len(names) > 0:
		const shown = 10
		text := strings.Join(names[:min(shown, len(names))], ", ")
		if more := len(names) - shown; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		r.warn("user-mode networking", host, "these domains have it, so their guests reach every service on the host's loopback address: "+text+". Detach those cards, and connect the nodes to a network.")
	default:
		r.ok("user-mode networking", host, "no domain has it")
	}
}
