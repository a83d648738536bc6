package domain

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// Redefine replaces a managed domain's definition by another one, which libvirt validates. A
// running guest uses it after its next start. The UUID and the name must not change. The VNC
// password, which GET omits, is kept, and so is the SandboxLabs metadata if the new
// definition has none.
//
// If versions are given, one of them must be the version (see VersionOf) of the current
// definition, which is what XML returns for the next start; otherwise the error is
// fault.NodeBusy.
func (s *Service) Redefine(ctx context.Context, id, text string, versions ...string) (Node, error) {
	var def libvirtxml.Domain
	if err := def.Unmarshal(text); err != nil {
		return Node{}, fault.Wrap(err, fault.Invalid, "Invalid domain XML. Start from `GET /api/nodes/%s/xml?inactive=true`.", id)
	}
	return s.change(ctx, id, "node.redefine", "redefine", func(ctx context.Context, n Node, d *libvirt.Domain) error {
		if err := mustBeManaged(n, "changed"); err != nil {
			return err
		}
		switch {
		case !n.Persistent:
			return fault.New(fault.Unsupported, "Domain %q is transient. Define it with `virsh define` first.", n.Name)
		case def.UUID != n.ID:
			return fault.New(fault.Invalid, "The uuid in the XML must be %s, the node's id.", n.ID)
		case def.Name != n.Name:
			return fault.New(fault.Invalid, "The name in the XML must be %q. To rename the node, change its name.", n.Name)
		}
		if len(versions) > 0 {
			now, err := d.GetXMLDesc(libvirt.DOMAIN_XML_INACTIVE)
			if err != nil {
				return err
			}
			if !slices.Contains(versions, VersionOf(now)) {
				return fault.New(fault.NodeBusy, "The definition of node %q was changed meanwhile, or yours is that of the running guest. Start again from `GET /api/nodes/%s/xml?inactive=true`.", n.Name, n.ID)
			}
		}
		if err := checkNotSaved(d, n, "redefined"); err != nil {
			return err
		}
		now, err := definition.Of(d, libvirt.DOMAIN_XML_INACTIVE)
		if err != nil {
			return err
		}
		host, err := s.o.Hosts.Host(n.Host)
		if err != nil {
			return err
		}
		if err := s.checkCards(host, now, &def); err != nil {
			return err
		}
		text, err := withPasswords(d, text, &def)
		if err != nil {
			return err
		}
		ours, err := d.GetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, definition.Namespace, libvirt.DOMAIN_AFFECT_CONFIG)
		if err != nil {
			return err
		}
		conn, err := d.DomainGetConnect()
		if err != nil {
			return err
		}
		defer func() { _, _ = conn.Close() }()
		has := false
		if def.Metadata != nil {
			_, has = definition.FindMetadata(def.Metadata.XML)
		}
		if has {
			return define(conn, text)
		}
		data := revertData{ID: n.ID, Metadata: ours}
		failure, unsettled := s.apply(ctx, store.Change{
			Kind: revertIntent, Host: n.Host, Data: data,
			Do: func(context.Context) error { return define(conn, text) },
			Settle: func(ctx context.Context, failure error) error {
				if failure != nil {
					return nil //nolint:nilerr // Apply returns it; the definition is the old one
				}
				return s.settleRevert(ctx, n.Host, data)
			},
		})
		return errors.Join(failure, unsettled)
	})
}

// VersionOf returns a version that identifies an XML text.
func VersionOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

func define(conn *libvirt.Connect, text string) error {
	d, err := conn.DomainDefineXMLFlags(text, libvirt.DOMAIN_DEFINE_VALIDATE)
	if err != nil {
		return err
	}
	return d.Free()
}

// withPasswords copies the current VNC passwords into a definition, for each screen at the
// same index that has none.
func withPasswords(d *libvirt.Domain, text string, def *libvirtxml.Domain) (string, error) {
	old, err := d.GetXMLDesc(libvirt.DOMAIN_XML_INACTIVE | libvirt.DOMAIN_XML_SECURE)
	if err != nil {
		return "", err
	}
	var now libvirtxml.Domain
	if err := now.Unmarshal(old); err != nil {
		return "", err
	}
	screens, err := elements(text, "domain", "devices", "graphics")
	if err != nil || def.Devices == nil || now.Devices == nil {
		return text, err
	}
	for i := len(screens) - 1; i >= 0; i-- { // from the last one, because an insertion moves the text after it
		if i >= len(now.Devices.Graphics) || i >= len(def.Devices.Graphics) {
			continue
		}
		was, is := now.Devices.Graphics[i].VNC, def.Devices.Graphics[i].VNC
		if was == nil || is == nil || was.Passwd == "" || is.Passwd != "" {
			continue
		}
		at := screens[i].start + len("<"+screens[i].name)
		text = text[:at] + ` passwd="` + escaped(was.Passwd) + `"` + text[at:]
	}
	return text, nil
}
