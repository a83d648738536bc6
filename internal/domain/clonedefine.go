package domain

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"path"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// dropClone undefines the domain of a clone that failed.
func (s *Service) dropClone(ctx context.Context, host, id string) error {
	ctx, cancel := store.Outlasting(ctx)
	defer cancel()
	return s.withDomain(ctx, "node.undo-clone", Node{ID: id, Host: host}, func(d *libvirt.Domain) error { return d.Undefine() })
}

// cloneSeed creates the clone's cloud-init seed: the source's content with a new instance id
// and hostname.
func (s *Service) cloneSeed(ctx context.Context, n Node, c Clone) (file string, err error) {
	content, err := s.o.Storage.ReadNodeFile(ctx, n.Host, n.ID+seedSuffix)
	if err == nil {
		content, err = reseed(content, c.ID, c.Name)
	}
	if err != nil {
		return "", err
	}
	return s.o.Storage.PutNodeVolume(ctx, n.Host, c.ID+seedSuffix, content)
}

// defineClone defines the clone: the source's definition with its own name, ids, disks and
// addresses.
func (s *Service) defineClone(ctx context.Context, n Node, def *libvirtxml.Domain, files map[string]string, c Clone) error {
	log, err := s.o.Storage.ConsoleLog(n.Host, c.ID)
	if err != nil {
		return err
	}
	if err := s.cloneVariables(ctx, n, def, c); err != nil {
		return fmt.Errorf("copy the variables of the firmware: %w", err)
	}
	md := definition.NewMetadata(s.ownerElement(c.Owner), n.OSType, n.Image, time.Now())
	if len(n.Tags) > 0 {
		md.Tags = &definition.TagList{Tags: n.Tags}
	}
	text, err := xml.Marshal(md)
	if err != nil {
		return err
	}
	def.Metadata = &libvirtxml.DomainMetadata{XML: string(text)}
	def.UUID, def.Name, def.ID = c.ID, c.Name, nil
	if def.GenID != nil {
		def.GenID = &libvirtxml.DomainGenID{} // libvirt generates a new one
	}
	for i := range def.Devices.Disks {
		disk := &def.Devices.Disks[i]
		if disk.Target != nil && files[disk.Target.Dev] != "" {
			disk.Source = fileSource(files[disk.Target.Dev])
		}
	}
	for i := range def.Devices.Interfaces {
		def.Devices.Interfaces[i].MAC = &libvirtxml.DomainInterfaceMAC{Address: newMAC()}
	}
	for i := range def.Devices.Graphics {
		if v := def.Devices.Graphics[i].VNC; v != nil {
			v.Port, v.AutoPort, v.WebSocket, v.Socket = -1, "yes", 0, ""
			if v.Passwd != "" {
				v.Passwd, v.PasswdValidTo = rand.Text()[:8], ""
			}
		}
	}
	for i := range def.Devices.Serials {
		def.Devices.Serials[i].Log = cloneLog(def.Devices.Serials[i].Log, n.ID, log)
	}
	for i := range def.Devices.Consoles {
		def.Devices.Consoles[i].Log = cloneLog(def.Devices.Consoles[i].Log, n.ID, log)
	}
	out, err := def.Marshal()
	if err != nil {
		return err
	}
	return s.o.Hosts.Do(ctx, n.Host, "node.define-clone", func(conn *libvirt.Connect) error {
		err := define(conn, out)
		if err == nil {
			return nil
		}
		if other, lookup := conn.LookupDomainByName(c.Name); lookup == nil {
			_ = other.Free()
			return nameTaken(n.Host, c.Name)
		}
		return err
	})
}

// cloneLog returns the console log of a clone: two nodes must not share a file.
func cloneLog(log *libvirtxml.DomainChardevLog, source, file string) *libvirtxml.DomainChardevLog {
	if log == nil || path.Base(log.File) != source+".log" {
		return nil
	}
	return &libvirtxml.DomainChardevLog{File: file, Append: log.Append}
}

// settleClone removes the files of a linked clone that was not defined, and the overlays that
// the source did not switch to. It is idempotent.
func (s *Service) settleClone(ctx context.Context, host string, data cloneData) error {
	if err := s.undoCreate(ctx, host, createData{ID: data.ID, Volumes: data.Volumes}); err != nil {
		return err
	}
	for _, volume := range data.Fresh {
		if err := s.settleDisk(ctx, host, diskData{ID: data.Source, Volume: volume}); err != nil {
			return err
		}
	}
	source := Node{ID: data.Source, Host: host}
	err := s.withDomain(ctx, "node.recover-clone", source, func(d *libvirt.Domain) error {
		for _, volume := range data.Fresh {
			if err := s.writeDown(ctx, d, source, volume); err != nil {
				return err
			}
		}
		return nil
	})
	if isGone(err) {
		return nil
	}
	return err
}
