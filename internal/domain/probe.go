package domain

import (
	"context"

	"github.com/google/uuid"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"libvirt.org/go/libvirt"
)

// Probe briefly starts a paused guest without a disk, to check whether QEMU runs with the
// configured accelerator and whether virtlogd records consoles. It leaves nothing behind.
func (s *Service) Probe(ctx context.Context, host string) error {
	h, err := s.o.Hosts.Host(host)
	if err != nil {
		return err
	}
	id := uuid.NewString()
	logPath, err := s.o.Storage.ConsoleLog(h.Name(), id)
	if err != nil {
		return err
	}
	b := build{
		id: id, name: "sandboxlabs-doctor-" + id[:8], accelerator: h.Status().Capabilities.Accelerator,
		ramMiB: MinRAMMiB, cpus: 1, logPath: logPath, metadata: definition.Metadata{},
	}
	err = h.Do(ctx, "node.probe", func(conn *libvirt.Connect) error {
		if s.checkDefaultNetwork(conn, h.Name()) == nil {
			card := nicOn(s.o.Networks.Default)
			b.card = &card
		}
		text, err := b.xml()
		if err != nil {
			return err
		}
		// A transient domain, which libvirt destroys with the connection if Probe does not.
		d, err := conn.DomainCreateXML(text, libvirt.DOMAIN_START_PAUSED|libvirt.DOMAIN_START_AUTODESTROY)
		if err != nil {
			return err
		}
		defer func() { _ = d.Free() }()
		return d.Destroy()
	})
	work, cancel := store.Outlasting(ctx)
	defer cancel()
	if removal := s.o.Storage.DeleteConsoleLog(work, h.Name(), id); err == nil {
		err = removal
	}
	return explain(err, "start", b.name)
}
