package disk

import (
	"context"
	"errors"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// maxReadBytes is the maximum size of a file that is read into memory.
const maxReadBytes = 4 << 20

// PutNodeVolume writes a small file to a new volume of the nodes pool and returns its path
// on the host. The names of a node's volumes must begin with its id.
func (s *Service) PutNodeVolume(ctx context.Context, host, name string, content []byte) (path string, err error) {
	err = s.pools.NodesPool(host).Dial(ctx, func(h *storagepool.Handle) error {
		vol, err := h.MakeEmpty(name, "")
		if err != nil {
			return h.Fault(err)
		}
		defer func() { _ = vol.Free() }()
		stream, err := h.Conn.NewStream(0)
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
				return h.Fault(err)
			}
			content = content[n:]
		}
		if err := stream.Finish(); err != nil {
			return h.Fault(err)
		}
		path, err = vol.GetPath()
		return err
	})
	return path, err
}

// ReadVariables returns the contents of a host's file with a domain's firmware variables
// (NVRAM); found is false if the file does not exist. The file is in the nodes pool or in
// libvirt's default NVRAM folder. Errors: fault.Unsupported for a file that is too large,
// HostUnreachable.
func (s *Service) ReadVariables(ctx context.Context, host, file string) (content []byte, found bool, err error) {
	err = s.pools.FileAt(ctx, host, file, func(v *storagepool.File) error {
		found = true
		content, err = v.ReadPart(0, maxReadBytes+1)
		return err
	})
	if err == nil && len(content) > maxReadBytes {
		err = fault.New(fault.Unsupported, "The variables in %s have more than %d bytes.", file, maxReadBytes)
	}
	return content, found, err
}

// DeleteVariables removes a file that ReadVariables reads. It returns nil if the file does
// not exist.
func (s *Service) DeleteVariables(ctx context.Context, host, file string) error {
	return s.pools.FileAt(ctx, host, file, func(v *storagepool.File) error {
		err := v.Delete(libvirt.STORAGE_VOL_DELETE_NORMAL)
		if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
			return nil
		}
		return err
	})
}

// ReadNodeFile returns the contents of a small file in the nodes pool. It returns
// fault.Unsupported for a file that is too large, and a libvirt error for a file that does
// not exist.
func (s *Service) ReadNodeFile(ctx context.Context, host, name string) (content []byte, err error) {
	err = s.pools.NodesPool(host).Volume(ctx, name, func(v *storagepool.File) (err error) {
		content, err = v.ReadPart(0, maxReadBytes+1)
		return err
	})
	if err == nil && len(content) > maxReadBytes {
		err = fault.New(fault.Unsupported, "The file %q in the nodes pool is larger than %d bytes.", name, maxReadBytes)
	}
	return content, err
}
