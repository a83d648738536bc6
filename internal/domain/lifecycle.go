package domain

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// Start starts a node. It does nothing if the node runs, and returns an error if it is
// paused. If users have its console open, the guest runs only after their consoles are
// attached, so that they see the whole boot output.
func (s *Service) Start(ctx context.Context, id string) (Node, error) {
	return s.change(ctx, id, "node.start", "start", func(ctx context.Context, n Node, d *libvirt.Domain) error {
		state, err := inventory.StateOf(d)
		if err != nil {
			return err
		}
		switch state {
		case Running, Starting:
			return nil
		case Paused:
			return fault.New(fault.NodeRunning, "Node %q is paused. Resume it.", n.Name)
		case Stopping:
			return fault.New(fault.NodeBusy, "Node %q is shutting down. Start it when it has stopped.", n.Name)
		case Crashed:
			if active, err := d.IsActive(); err != nil {
				return err
			} else if active {
				return fault.New(fault.NodeRunning, "Node %q has crashed. Force it off first.", n.Name)
			}
		}
		if err := s.checkStart(ctx, n, d); err != nil {
			return err
		}
		if s.audience == nil || s.audience.Viewers(id) == 0 {
			err = create(d, libvirt.DOMAIN_NONE)
		} else {
			err = s.startWatched(ctx, n, d)
		}
		if err = s.explainStart(n, d, err); fault.CodeOf(err) != fault.Internal {
			return err
		}
		var lv libvirt.Error
		if saved, known := definition.HasSavedState(d); known == nil && saved && errors.As(err, &lv) {
			return fault.Wrap(err, fault.Hypervisor, "libvirt could not continue node %q from its saved state: %s. Mend that, or discard the saved state (POST /api/nodes/%s/discard-saved-state) to boot the node.", n.Name, lv.Message, n.ID)
		}
		return err
	})
}

// checkImages returns fault.ImageNotReady if an image that the domain uses is not the one
// that was verified. It ignores other problems with the files and leaves them to libvirt, so
// that nodes start even while the images pool cannot be read.
func (s *Service) checkImages(ctx context.Context, n Node, def *libvirtxml.Domain) error {
	files := readFiles(def, n.ID)
	if def.Devices != nil {
		files = append(files, definition.FilesBelow(def.Devices.Disks)...)
	}
	if len(files) == 0 {
		return nil
	}
	var changed *fault.Error
	if err := s.o.Storage.CheckFiles(ctx, n.Host, files...); !errors.As(err, &changed) || changed.Code != fault.ImageNotReady {
		return nil
	}
	return fault.Wrap(changed, changed.Code, "Cannot start node %q. %s", n.Name, changed.Message)
}

// explainStart replaces libvirt's error by what the node lacks, if that is known.
func (s *Service) explainStart(n Node, d *libvirt.Domain, err error) error {
	if !errors.As(err, &libvirt.Error{}) {
		return err
	}
	def, unknown := definition.Of(d, libvirt.DOMAIN_XML_INACTIVE)
	if unknown != nil {
		return err
	}
	var lack *fault.Error
	if !errors.As(s.inv.Lack(d, def, n.Host), &lack) {
		return err
	}
	return fault.Wrap(err, lack.Code, "Cannot start node %q. %s", n.Name, lack.Message)
}

// create starts a domain. It retries once if QEMU itself failed: another program may have
// taken the VNC port between libvirt's choice and QEMU's use of it.
func create(d *libvirt.Domain, flags libvirt.DomainCreateFlags) error {
	err := d.CreateWithFlags(flags)
	if !errors.Is(err, libvirt.ERR_INTERNAL_ERROR) {
		return err
	}
	return d.CreateWithFlags(flags)
}

// attachPatience is how long a start waits for the consoles.
const attachPatience = 2 * time.Second

// startWatched starts the guest paused, and resumes it when its viewers are attached. If a
// crash leaves it paused, recovery resumes it.
func (s *Service) startWatched(ctx context.Context, n Node, d *libvirt.Domain) error {
	failure, unsettled := s.apply(ctx, store.Change{
		Kind: startIntent, Host: n.Host, Data: startData{ID: n.ID},
		Do: func(ctx context.Context) error {
			s.inv.SetStarting(n.ID, true)
			if err := create(d, libvirt.DOMAIN_START_PAUSED); err != nil {
				return err
			}
			s.inv.Await(ctx, n.Host, n.ID)
			wait, cancel := context.WithTimeout(ctx, attachPatience)
			defer cancel()
			s.audience.AwaitAttached(wait, n.ID)
			return nil
		},
		Settle: func(_ context.Context, failure error) error {
			if failure != nil {
				return nil //nolint:nilerr // Apply returns it; there is nothing to undo: the node does not run
			}
			return d.Resume()
		},
	})
	s.inv.SetStarting(n.ID, false)
	return errors.Join(failure, unsettled)
}

// Stop asks the guest to shut down (the ACPI power button) and returns immediately; force
// powers it off. It does nothing if the node is off. A transient domain, which no longer
// exists once it is off, is returned in its last known form with state stopped.
func (s *Service) Stop(ctx context.Context, id string, force bool) (Node, error) {
	var was Node
	n, err := s.change(ctx, id, "node.stop", "stop", func(ctx context.Context, n Node, d *libvirt.Domain) error {
		was = n
		active, err := d.IsActive() // a crashed domain may be active
		if err != nil || !active {
			return err
		}
		if force {
			return s.forceOff(ctx, n.ID, d)
		}
		state, err := inventory.StateOf(d)
		switch {
		case err != nil:
			return err
		case state == Crashed:
			return fault.New(fault.NodeNotRunning, "Node %q has crashed. Force it off.", n.Name)
		case state == Paused:
			return fault.New(fault.NodeNotRunning, "Node %q is paused. Resume it first, or force it off.", n.Name)
		}
		s.unstick(ctx, id)
		// Without the flag, libvirt would wait for a guest agent, which might not exist.
		return d.ShutdownFlags(libvirt.DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
	})
	if fault.CodeOf(err) == fault.NodeNotFound && was.ID != "" && !was.Persistent {
		was.State, was.VNCPort, was.VNCSocket = Stopped, 0, ""
		return was, nil
	}
	return n, err
}

// Reboot asks the guest to reboot (ACPI).
func (s *Service) Reboot(ctx context.Context, id string) (Node, error) {
	return s.whileRunning(ctx, id, "reboot", func(d *libvirt.Domain) error {
		s.unstick(ctx, id)
		return d.Reboot(libvirt.DOMAIN_REBOOT_ACPI_POWER_BTN)
	})
}

// Reset resets the guest without asking it, like a reset button.
func (s *Service) Reset(ctx context.Context, id string) (Node, error) {
	return s.whileRunning(ctx, id, "reset", func(d *libvirt.Domain) error {
		s.unstick(ctx, id)
		return d.Reset(0)
	})
}

// Pause stops the guest's CPUs. It does nothing if the node is paused.
func (s *Service) Pause(ctx context.Context, id string) (Node, error) {
	return s.whileRunning(ctx, id, "pause", func(d *libvirt.Domain) error {
		if state, err := inventory.StateOf(d); err != nil || state == Paused {
			return err
		}
		return d.Suspend()
	})
}

// Resume continues a paused guest. It does nothing if the node runs.
func (s *Service) Resume(ctx context.Context, id string) (Node, error) {
	return s.whileRunning(ctx, id, "resume", func(d *libvirt.Domain) error {
		if state, err := inventory.StateOf(d); err != nil || state == Running {
			return err
		}
		return d.Resume()
	})
}

// whileRunning is change for a node that has a QEMU process.
func (s *Service) whileRunning(ctx context.Context, id, verb string, f func(d *libvirt.Domain) error) (Node, error) {
	return s.change(ctx, id, "node."+verb, verb, func(_ context.Context, n Node, d *libvirt.Domain) error {
		active, err := d.IsActive()
		if err != nil {
			return err
		}
		if !active {
			return fault.New(fault.NodeNotRunning, "Node %q is not running. Start it first.", n.Name)
		}
		return f(d)
	})
}

// Adopt makes a domain managed by writing the SandboxLabs metadata into it. Nothing else in
// the domain changes.
func (s *Service) Adopt(ctx context.Context, id, owner string) (Node, error) {
	return s.change(ctx, id, "node.adopt", "adopt", func(_ context.Context, n Node, d *libvirt.Domain) error {
		switch {
		case n.Managed:
			return fault.New(fault.NodeManaged, "Node %q is already managed.", n.Name)
		case !n.Persistent:
			return fault.New(fault.Unsupported, "Domain %q is transient. Define it with `virsh define` first.", n.Name)
		}
		if err := s.checkAdopted(n, d); err != nil {
			return err
		}
		if err := checkNotSaved(d, n, "adopted"); err != nil {
			return err
		}
		text, err := xml.Marshal(definition.NewMetadata(s.ownerElement(owner), n.OSType, ImageRef{}, time.Now()))
		if err != nil {
			return err
		}
		impact := libvirt.DOMAIN_AFFECT_CONFIG
		if active, err := d.IsActive(); err != nil {
			return err
		} else if active {
			impact |= libvirt.DOMAIN_AFFECT_LIVE
		}
		return setMetadata(d, string(text), impact)
	})
}

// XML returns the domain's XML from libvirt, without secrets: the current one, or with next
// the one for the next start. A transient domain has only the current one.
func (s *Service) XML(ctx context.Context, id string, next bool) (string, error) {
	n, err := s.inv.Node(id)
	if err != nil {
		return "", err
	}
	var text string
	err = s.withDomain(ctx, "node.xml", n, func(d *libvirt.Domain) (err error) {
		var which libvirt.DomainXMLFlags
		if next {
			persistent, err := d.IsPersistent()
			if err != nil {
				return err
			}
			if persistent {
				which = libvirt.DOMAIN_XML_INACTIVE
			}
		}
		text, err = d.GetXMLDesc(which)
		return err
	})
	if err != nil {
		return "", explain(err, "read", n.Name)
	}
	return text, nil
}

// mustBeOff returns an error if the node is not off. done completes the message.
func mustBeOff(d *libvirt.Domain, n Node, done string) error {
	active, err := d.IsActive()
	if err != nil {
		return err
	}
	if active {
		return fault.New(fault.NodeRunning, "Node %q is running and can't be %s. Stop it first.", n.Name, done)
	}
	return nil
}

// mustBeManaged returns an error if the node is not managed by SandboxLabs.
func mustBeManaged(n Node, verb string) error {
	if n.Managed {
		return nil
	}
	return fault.New(fault.NodeNotManaged, "Node %q is unmanaged and can't be %s. Adopt it first (POST /api/nodes/%s/adopt).", n.Name, verb, n.ID)
}

// forceOff powers a running domain off.
func (s *Service) forceOff(ctx context.Context, id string, d *libvirt.Domain) error {
	active, err := d.IsActive()
	if err != nil || !active {
		return err
	}
	return s.withoutConsoles(ctx, id, d, true, func() error {
		err := d.Destroy()
		if err == nil {
			return nil
		}
		if active, again := d.IsActive(); again == nil && !active {
			return nil // it stopped on its own
		}
		return fmt.Errorf("pull the plug: %w", err)
	})
}

// letGoPatience is how long consoles may take to close.
const letGoPatience = 5 * time.Second

// withoutConsoles calls f, which ends a domain's QEMU process or its serial ports, while none
// of this service's connections has its console open: some releases of libvirtd hang or crash
// if input is pending for a guest that stops. stops is true if the node is off afterwards.
func (s *Service) withoutConsoles(ctx context.Context, id string, d *libvirt.Domain, stops bool, f func() error) error {
	if s.audience == nil {
		return f()
	}
	wait, cancel := context.WithTimeout(ctx, letGoPatience)
	back := s.audience.LetGo(wait, id, stops)
	cancel()
	defer back()
	// libvirtd replies to this only after it has noticed that the connections were closed.
	_, _ = d.IsActive()
	return f()
}

// unstick drops pending console input that would keep the guest from stopping.
func (s *Service) unstick(ctx context.Context, id string) {
	if s.audience == nil {
		return
	}
	wait, cancel := context.WithTimeout(ctx, letGoPatience)
	defer cancel()
	s.audience.Unstick(wait, id)
}
