package storagepool

import (
	"context"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"
)

// PutNodeVolume writes a small file into a new volume of the nodes pool and
// returns its path on the host. A node's volumes begin with its id.
func (s *Service) PutNodeVolume(ctx context.Context, host, name string, content []byte) (path string, err error) {
	p, err := s.pool(host, nodesRole)
	if err != nil {
		return "", err
	}
	err = s.o.Hosts.Dial(ctx, host, func(conn *libvirt.Connect) error {
		lp, err := conn.LookupStoragePoolByName(p.name)
		if err != nil {
			return poolFault(err, p.name)
		}
		defer func() { _ = lp.Free() }()
		vol, stream, err := startUpload(conn, lp, p.name, libvirtxml.StorageVolume{Name: name})
		if err != nil {
			return err
		}
		defer func() { _, _ = vol.Free(), stream.Free() }()
		for len(content) > 0 {
			n, err := stream.Send(content)
			if err != nil {
				_ = stream.Abort()
				return explainSend(lp, p.name, err)
			}
			content = content[n:]
		}
		if err := stream.Finish(); err != nil {
			return explainSend(lp, p.name, err)
		}
		path, err = vol.GetPath()
		return err
	})
	return path, err
}

// startUpload makes an empty volume and opens a stream into it. It is declared
// as raw and empty, so that libvirt makes a file that grows with what comes; the
// format is read when it is complete. The caller frees both.
func startUpload(conn *libvirt.Connect, lp *libvirt.StoragePool, pool string, def libvirtxml.StorageVolume) (*libvirt.StorageVol, *libvirt.Stream, error) {
	def.Type = "file"
	def.Capacity = &libvirtxml.StorageVolumeSize{Unit: "bytes", Value: 0}
	if def.Target == nil {
		def.Target = &libvirtxml.StorageVolumeTarget{}
	}
	def.Target.Format = &libvirtxml.StorageVolumeTargetFormat{Type: "raw"}
	text, err := def.Marshal()
	if err != nil {
		return nil, nil, err
	}
	vol, err := lp.StorageVolCreateXML(text, 0)
	if err != nil {
		return nil, nil, volumeFault(lp, pool, err)
	}
	stream, err := conn.NewStream(0)
	if err != nil {
		_ = vol.Free()
		return nil, nil, err
	}
	if err := vol.Upload(stream, 0, 0, 0); err != nil {
		_, _ = vol.Free(), stream.Free()
		return nil, nil, err
	}
	return vol, stream, nil
}
