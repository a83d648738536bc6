package storagepool

import (
	"context"

	"libvirt.org/go/libvirt"
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
		vol, err := makeEmpty(lp, name, "")
		if err != nil {
			return volumeFault(lp, p.name, err)
		}
		defer func() { _ = vol.Free() }()
		stream, err := conn.NewStream(0)
		if err != nil {
			return err
		}
		defer func() { _ = stream.Free() }()
		if err := vol.Upload(stream, 0, 0, 0); err != nil {
			return err
		}
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
