package hypervisor

import (
	"log/slog"
	"sync"

	"libvirt.org/go/libvirt"
)

var eventLoop sync.Once

// startEventLoop starts libvirt's event loop, which serves all connections of the process
// and must be registered before the first of them. libvirt cannot stop it, so it runs as
// long as the process.
func startEventLoop() {
	eventLoop.Do(func() {
		if err := libvirt.EventRegisterDefaultImpl(); err != nil {
			panic("libvirt's event loop cannot be registered: " + err.Error())
		}
		go func() {
			for {
				if err := libvirt.EventRunDefaultImpl(); err != nil {
					slog.Error("libvirt's event loop", "error", err)
				}
			}
		}()
	})
}

// subscribe registers the callbacks for everything that can change what we know of a
// domain. It returns their unregister functions, also with an error. After their
// connection is lost, the callbacks are not called any more, but keep its memory until
// unsubscribe.
func (h *Host) subscribe(conn *libvirt.Connect) (callbacks []func() error, err error) {
	changed := func(d *libvirt.Domain) {
		// The handle contains the UUID: no call to libvirtd.
		uuid, err := d.GetUUIDString()
		if err != nil {
			h.log.Error("an event of a domain without UUID", "error", err)
			return
		}
		for _, l := range h.listeners {
			l.DomainChanged(h, uuid)
		}
	}
	register := []func() (int, error){
		func() (int, error) {
			return conn.DomainEventLifecycleRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain, e *libvirt.DomainEventLifecycle) {
				h.noteRun(d, e.Event)
				changed(d)
			})
		},
		func() (int, error) {
			return conn.DomainEventRebootRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain) { changed(d) })
		},
		func() (int, error) {
			return conn.DomainEventMetadataChangeRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain, _ *libvirt.DomainEventMetadataChange) { changed(d) })
		},
		func() (int, error) {
			return conn.DomainEventDeviceAddedRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain, _ *libvirt.DomainEventDeviceAdded) { changed(d) })
		},
		func() (int, error) {
			return conn.DomainEventDeviceRemovedRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain, _ *libvirt.DomainEventDeviceRemoved) { changed(d) })
		},
		func() (int, error) {
			return conn.DomainEventBalloonChangeRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain, _ *libvirt.DomainEventBalloonChange) { changed(d) })
		},
		func() (int, error) {
			return conn.DomainEventTrayChangeRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain, _ *libvirt.DomainEventTrayChange) { changed(d) })
		},
		func() (int, error) {
			return conn.DomainEventAgentLifecycleRegister(nil, func(_ *libvirt.Connect, d *libvirt.Domain, _ *libvirt.DomainEventAgentLifecycle) {
				if id, err := d.GetUUIDString(); err == nil {
					h.agents.changed(id)
				}
				changed(d)
			})
		},
		func() (int, error) {
			return conn.DomainEventBlockJob2Register(nil, func(_ *libvirt.Connect, d *libvirt.Domain, _ *libvirt.DomainEventBlockJob) {
				if id, err := d.GetUUIDString(); err == nil {
					h.jobs.ended(id)
				}
				changed(d)
			})
		},
	}
	for _, r := range register {
		id, err := r()
		if err != nil {
			return callbacks, err
		}
		callbacks = append(callbacks, func() error { return conn.DomainEventDeregister(id) })
	}
	unregister, err := h.watchBlockJobs(conn)
	if err != nil { // the host can be used even if its libvirt does not support this
		h.log.Warn("block jobs are seen only when they end: libvirt does not pass on QEMU's events", "error", err)
	}
	if unregister != nil {
		callbacks = append(callbacks, unregister)
	}
	return callbacks, nil
}

// noteRun records that a domain's QEMU process started or ended.
func (h *Host) noteRun(d *libvirt.Domain, what libvirt.DomainEventType) {
	id, err := d.GetUUIDString()
	if err != nil {
		return // see changed
	}
	switch what {
	case libvirt.DOMAIN_EVENT_STARTED:
		h.jobs.started(id)
	case libvirt.DOMAIN_EVENT_STOPPED:
		h.jobs.forget(id)
		h.agents.forget(id)
	}
}

// unsubscribe unregisters the callbacks of a connection that is not used any more.
func unsubscribe(callbacks []func() error) {
	for _, unregister := range callbacks {
		// Without a connection it fails, but still frees the callback.
		_ = unregister()
	}
}
