package upload

import (
	"bytes"
	"context"
	"errors"
	"io"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// unpack creates a volume with the unpacked content of an upload's file. It is the image's
// volume if the content can be used as it is.
func (s *Service) unpack(ctx context.Context, row *record, budget *budget, progress storagepool.Progress) (found inner, err error) {
	progress.Begin("unpacking")
	err = s.o.Pools.ImagesPool(row.Host).Volume(ctx, row.Volume, func(v *storagepool.File) error {
		size, err := v.Bytes()
		if err != nil {
			return err
		}
		return v.Read(ctx, 0, size, func(r io.Reader) error {
			in := &failing{r: &counting{r: r, total: size, progress: progress}}
			found, err = s.unpackFrom(ctx, row, budget, in)
			if in.err != nil { // without this, the unpacker's error would say that the file is damaged
				return in.err
			}
			return err
		})
	})
	return found, err
}

// unpackFrom unpacks a compressed file, or the disk in an archive, which may be
// compressed.
func (s *Service) unpackFrom(ctx context.Context, row *record, budget *budget, r io.Reader) (found inner, err error) {
	packing := row.Format
	d, err := diskimage.NewUnpacker(packing, r)
	if err != nil {
		return inner{}, diskimage.UnpackError(packing, err)
	}
	defer func() { _ = d.Close() }()
	head, err := readHead(d, packing)
	if err != nil {
		return inner{}, err
	}
	in := io.Reader(d)
	var archive *diskimage.Archive
	if diskimage.IsArchive(head) {
		whole := &unpacking{d: io.MultiReader(bytes.NewReader(head), d), packing: packing, left: 2 * s.o.MaxImageBytes, tooLarge: s.unpackedTooLarge}
		if archive, err = diskimage.OpenArchive(packing, whole); err != nil {
			return inner{}, err
		}
		in = archive
		if packing != diskimage.TarPacking {
			packing = diskimage.TarPacking + "." + packing
		}
		if head, err = readHead(in, packing); err != nil {
			return inner{}, err
		}
	}
	if nested := diskimage.PackingOf(head); nested != "" {
		return inner{}, diskimage.NestedError(nested)
	}
	format, err := diskimage.RecogniseDisk(head)
	if err != nil {
		return inner{}, err
	}
	volume := unpackedPrefix + row.ID
	if diskimage.UsedAsIs(format) {
		if err := s.beginResult(ctx, row, format); err != nil {
			return inner{}, err
		}
		volume = row.Result
	}
	found = inner{volume: volume, format: format, packing: packing}
	err = s.fill(ctx, row.Host, volume, &unpacked{ctx: ctx, d: in, head: head, packing: packing, budget: budget})
	if archive != nil {
		found.machine = archive.Machine()
	}
	return found, err
}

// readHead reads the first bytes of the unpacked content. The end of the content and a
// truncated file look the same here; the next read distinguishes them.
func readHead(r io.Reader, packing string) ([]byte, error) {
	head := make([]byte, diskimage.HeaderBytes)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, unpackingError(packing, err)
	}
	return head[:n], nil
}

// unpackingError converts an error of reading a packed file. Errors that already have a
// fault code are returned unchanged.
func unpackingError(packing string, err error) error {
	if fault.CodeOf(err) != fault.Internal {
		return err
	}
	return diskimage.UnpackError(packing, err)
}

// unpacking limits how much of an archive is read: skipping the files around its disk
// takes time too.
type unpacking struct {
	d        io.Reader
	packing  string
	left     int64
	tooLarge func() error
}

// Read returns fault.ImageUnsafe for a compressed archive that is damaged, and
// fault.ImageTooLarge for one that contains too much data.
func (u *unpacking) Read(p []byte) (int, error) {
	n, err := u.d.Read(p)
	if u.left -= int64(n); u.left < 0 {
		return n, u.tooLarge()
	}
	if err != nil && !errors.Is(err, io.EOF) && u.packing != diskimage.TarPacking || errors.Is(err, io.ErrUnexpectedEOF) {
		return n, diskimage.UnpackError(u.packing, err)
	}
	return n, err
}

// unpacked reads the content of a packed file from its beginning.
type unpacked struct {
	ctx     context.Context // valid for one call only
	d       io.Reader
	head    []byte // already read from d
	packing string
	budget  *budget
	given   int64
	held    int64 // bytes reserved in the budget
}

// Read returns fault.ImageUnsafe for a file that is damaged, and fault.ImageTooLarge or
// QuotaExceeded for one that contains too much data. Zeros count, because unpacking them
// takes time.
func (u *unpacked) Read(p []byte) (n int, err error) {
	if len(u.head) > 0 {
		n = copy(p, u.head)
		u.head = u.head[n:]
	} else if n, err = u.d.Read(p); err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return n, unpackingError(u.packing, err)
	}
	u.given += int64(n)
	if limit := u.budget.s.o.MaxImageBytes; u.given > limit {
		return n, u.budget.s.unpackedTooLarge()
	} else if u.given > u.held {
		step := min(max(u.held, storagepool.BlockBytes), stepBytes, limit-u.held)
		if err := u.budget.take(u.ctx, step); err != nil {
			return n, err
		}
		u.held += step
	}
	return n, err
}

// failing records the error of its reader.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// fill recreates the volume name in the images pool and writes the data from r to it.
// Zeros become holes. It reads r on the caller's goroutine.
func (s *Service) fill(ctx context.Context, host, name string, r io.Reader) error {
	images := s.o.Pools.ImagesPool(host)
	return images.Dial(ctx, func(h *storagepool.Handle) error {
		if err := h.Drop(ctx, name); err != nil {
			return err
		}
		available, kept, err := h.Left(ctx)
		if err != nil {
			return err
		}
		w := &writing{s: s, pool: images, h: h, limit: available - kept}
		if w.vol, err = h.MakeEmpty(name, storagepool.ImageMode); err != nil {
			return h.Fault(err)
		}
		defer func() { _ = w.vol.Free() }()
		stream, err := w.open(0)
		if err != nil {
			return h.Fault(err)
		}
		defer func() { _ = stream.Free() }()
		if err := w.pour(ctx, stream, r); err != nil {
			_ = stream.Abort() // its error would only repeat the first one
			return h.Fault(err)
		}
		return h.Fault(stream.Finish())
	})
}

// pour copies r into a stream, one block at a time, and fails if it would write more than
// limit bytes.
func (w *writing) pour(ctx context.Context, stream *libvirt.Stream, r io.Reader) error {
	block := make([]byte, storagepool.BlockBytes)
	for taken, looked := int64(0), int64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if z, ok := r.(zeroSkipper); ok {
			if n := z.SkipZeros(); n > 0 {
				if err := stream.SendHole(n, 0); err != nil {
					return err
				}
			}
		}
		n, err := io.ReadFull(r, block)
		ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !ended {
			return err
		}
		if !bytes.Equal(block[:n], zeros[:n]) {
			if taken += int64(n); taken > w.limit {
				return fault.New(fault.StorageFull, "Not enough space in storage pool %q for the uncompressed file. Delete unused nodes or images, or enlarge the pool.", w.h.Name)
			}
			if taken-looked >= stepBytes {
				looked = taken
				if err := w.mayGoOn(ctx, min(stepBytes, w.limit-taken)); err != nil {
					return err
				}
			}
		}
		if sent := w.put(stream, w.fresh, block[:n]); sent != nil {
			return sent
		}
		if ended {
			return nil
		}
	}
}

// counting reports the progress of reading.
type counting struct {
	r           io.Reader
	done, total int64
	progress    storagepool.Progress
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.done += int64(n)
	c.progress.Progress(c.done, c.total)
	return n, err
}

// zeroSkipper is a reader that can skip zeros without reading them.
type zeroSkipper interface {
	// SkipZeros skips the zeros that come next, and returns their number.
	SkipZeros() int64
}

// SkipZeros calls that of the underlying reader, if it has one.
func (c *counting) SkipZeros() int64 {
	z, ok := c.r.(zeroSkipper)
	if !ok {
		return 0
	}
	n := z.SkipZeros()
	c.done += n
	c.progress.Progress(c.done, c.total)
	return n
}
