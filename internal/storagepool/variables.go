package storagepool

import (
	"context"
	"errors"
	"path"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// ReadVariables returns what is in a host's file with the variables of a domain's
// firmware; found is false where there is none. The file is in the nodes pool, or in
// libvirt's own folder for such. Errors: fault.Unsupported for one that is too large,
// HostUnreachable.
func (s *Service) ReadVariables(ctx context.Context, host, file string) (content []byte, found bool, err error) {
	err = s.withFile(ctx, host, file, func(conn *libvirt.Connect, vol *libvirt.StorageVol) error {
		found = true
		content, err = readPart(conn, vol, 0, maxReadBytes+1)
		return err
	})
	if err == nil && len(content) > maxReadBytes {
		err = fault.New(fault.Unsupported, "The variables in %s have more than %d bytes.", file, maxReadBytes)
	}
	return content, found, err
}

// DeleteVariables removes a file as ReadVariables reads; one that is not there is no error.
func (s *Service) DeleteVariables(ctx context.Context, host, file string) error {
	return s.withFile(ctx, host, file, func(_ *libvirt.Connect, vol *libvirt.StorageVol) error {
		err := vol.Delete(libvirt.STORAGE_VOL_DELETE_NORMAL)
		if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
			return nil
		}
		return err
	})
}

// withFile runs f with a file of a host as a volume, on a connection of its own: by a pool
// that lives meanwhile, where no other has the file. It does not call f when there is no
// such file.
func (s *Service) withFile(ctx context.Context, host, file string, f func(*libvirt.Connect, *libvirt.StorageVol) error) error {
	nodes, err := s.pool(host, nodesRole)
	if err != nil {
		return err
	}
	if path.Dir(file) == path.Clean(nodes.path) {
		err := s.withVolume(ctx, host, nodesRole, path.Base(file), func(conn *libvirt.Connect, _ *libvirt.StoragePool, vol *libvirt.StorageVol) error {
			return f(conn, vol)
		})
		if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
			return nil
		}
		return err
	}
	folder := pool{name: nodes.name + filesSuffix, path: path.Dir(file)}
	return s.o.Hosts.Dial(ctx, host, func(conn *libvirt.Connect) error {
		return s.withLook(ctx, conn, host, folder, func(look *libvirt.StoragePool) error {
			vol, err := look.LookupStorageVolByName(path.Base(file))
			if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
				return nil
			}
			if err != nil {
				return err
			}
			defer func() { _ = vol.Free() }()
			return f(conn, vol)
		})
	})
}

// filesSuffix follows the name of the nodes pool in that of the pool by which files in
// folders of others are read.
const filesSuffix = "-files"
