package image

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// File is an image's open file. It is valid only until the function that OpenImage calls
// returns, and not safe for concurrent use. It buffers only one block.
type File struct {
	// Bytes is its length.
	Bytes int64
	// Version changes whenever the file does.
	Version string

	ctx    context.Context // valid for one call only
	v      *storagepool.File
	stream *libvirt.Stream // nil until the first Read after opening or Seek
	r      *bufio.Reader   // of stream
	offset int64
}

var _ io.ReadSeeker = (*File)(nil)

// OpenImage calls f with the file of an image. It uses a dedicated connection, so f may
// run for a long time. Errors: fault.ImageNotFound, ImageNotReady for an image that is
// still being uploaded or verified, PoolUnavailable, HostUnreachable.
func (s *Service) OpenImage(ctx context.Context, host, id string, f func(*File) error) error {
	img, err := s.Image(host, id)
	if err != nil {
		return err
	}
	if img.Path == "" || img.State == Uploading || img.State == Verifying {
		return fault.New(fault.ImageNotReady, "Image %q can't be read: it is %s.", id, img.State)
	}
	opened := false
	err = s.o.Pools.ImagesPool(img.Host).Volume(ctx, volumeName(img), func(v *storagepool.File) error {
		opened = true
		file := &File{ctx: ctx, v: v}
		defer file.close()
		info, err := v.GetInfoFlags(libvirt.STORAGE_VOL_GET_PHYSICAL)
		if err != nil {
			return err
		}
		file.Bytes = int64(info.Allocation) //nolint:gosec // bytes of a real file
		def, err := v.Describe()
		if err != nil {
			return err
		}
		file.Version = fmt.Sprintf("%x", file.Bytes)
		if def.Target != nil && def.Target.Timestamps != nil {
			file.Version += "-" + def.Target.Timestamps.Mtime
		}
		return f(file)
	})
	if !opened && errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
		return NotFound(id)
	}
	return err
}

// Read continues where the last Read or Seek ended.
func (f *File) Read(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	if f.offset >= f.Bytes {
		return 0, io.EOF
	}
	if f.stream == nil {
		stream, err := f.v.Conn.NewStream(0)
		if err != nil {
			return 0, err
		}
		if err := f.v.Download(stream, uint64(f.offset), uint64(f.Bytes-f.offset), 0); err != nil { //nolint:gosec // neither is negative
			_ = stream.Free()
			return 0, err
		}
		f.stream, f.r = stream, bufio.NewReaderSize(storagepool.StreamReader{Stream: stream}, storagepool.BlockBytes)
	}
	n, err := f.r.Read(p)
	f.offset += int64(n)
	if errors.Is(err, io.EOF) && f.offset < f.Bytes {
		err = io.ErrUnexpectedEOF // the file has become shorter
	}
	return n, err
}

// Seek implements io.Seeker.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.offset
	case io.SeekEnd:
		offset += f.Bytes
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning of an image")
	}
	if offset != f.offset {
		f.close()
		f.offset = offset
	}
	return offset, nil
}

// close closes the stream, if any, and discards its buffered data.
func (f *File) close() {
	if f.stream != nil {
		_ = f.stream.Abort()
		_ = f.stream.Free()
		f.stream, f.r = nil, nil
	}
}
