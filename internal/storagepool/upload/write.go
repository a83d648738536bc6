package upload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"hash"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
)

// blocks of an upload are in memory: one that is read, one that is sent, one
// that is hashed, and one that waits.
const blocks = 4

// The offset of an upload is written down when so much came since the last time,
// or after so long; a killed service or libvirtd loses what came after it. What
// came is known to be in the volume when its stream was finished.
const (
	stepBytes = 64 << 20
	stepTime  = 5 * time.Second
)

// take moves r into an upload that the caller holds. The row is kept up to date,
// and so is what the database has of it.
func (s *Service) take(ctx context.Context, row *record, r io.Reader, check func() error) error {
	r = source{r}
	var head []byte
	empty := row.Volume == "" || row.Offset == int64(len(row.Head))
	if empty && !row.Part {
		var err error
		if head, err = s.takeHead(ctx, row, r, check); err != nil || head == nil {
			return err
		}
	}
	images := s.o.Pools.ImagesPool(row.Host)
	return images.Dial(ctx, func(h *storagepool.Handle) error {
		w := &writing{s: s, pool: images, h: h, row: row, check: check, limit: row.Size}
		var err error
		if row.Once {
			w.limit = s.o.MaxImageBytes
		}
		if empty {
			// What the database has of the head is not in the volume.
			r = io.MultiReader(bytes.NewReader(head), r)
			w.sum = sha256.New()
			err = w.make(ctx)
		} else {
			err = w.find()
		}
		if err != nil {
			return err
		}
		defer func() { _ = w.vol.Free() }()
		return w.run(ctx, r)
	})
}

// takeHead gathers the first bytes of an upload, until there are enough of them
// to be judged, and decides the volume's name. It returns no head when there are
// too few, which were kept in the database.
func (s *Service) takeHead(ctx context.Context, row *record, r io.Reader, check func() error) ([]byte, error) {
	need := int64(diskimage.HeaderBytes)
	if !row.Once {
		need = min(need, row.Size)
	}
	head := make([]byte, need)
	n := copy(head, row.Head)
	more, readErr := io.ReadFull(r, head[n:])
	head = head[:n+more]
	ended := errors.Is(readErr, io.EOF) || errors.Is(readErr, io.ErrUnexpectedEOF)
	if readErr != nil && (!ended || !row.Once) {
		if ended {
			readErr = nil // the client is free to send little at a time
		}
		if readErr == nil && check != nil {
			readErr = check()
		}
		if check != nil && readErr != nil {
			return nil, readErr
		}
		return nil, errors.Join(s.keepHead(ctx, row, head), readErr)
	}
	format, err := diskimage.RecogniseIncoming(head)
	if err != nil {
		if check != nil { // the bytes may be damaged: then the client sends them again
			if _, copyErr := io.Copy(io.Discard, r); copyErr != nil {
				return nil, copyErr
			}
			if wrong := check(); wrong != nil {
				return nil, wrong
			}
		}
		return nil, err
	}
	row.Format = format
	return head, nil
}

// writing is the way of an upload's bytes into its volume.
type writing struct {
	s     *Service
	pool  storagepool.Pool
	h     *storagepool.Handle // of pool
	row   *record
	check func() error
	limit int64 // the offset that may not be passed

	vol   *libvirt.StorageVol
	start int64     // where this begins
	sum   hash.Hash // of what is before it
	// fresh is where the file ended when this began: behind it there are zeros
	// already.
	fresh int64
}

// make makes the volume, which must not be there unless an earlier attempt made it.
func (w *writing) make(ctx context.Context) error {
	name := w.row.firstVolume()
	tried := w.row.Volume != ""
	if tried {
		if err := w.h.Drop(ctx, w.row.Volume); err != nil {
			return err
		}
	}
	err := w.s.name(ctx, w.row, name)
	if err != nil {
		return err
	}
	w.vol, err = w.h.MakeEmpty(name, storagepool.ImageMode)
	if errors.Is(err, libvirt.ERR_STORAGE_VOL_EXIST) && !tried {
		w.row.Volume = "" // somebody else's: it is not ours to remove
		return errors.Join(image.VolumeExists(w.row.Host, name), w.s.saveUpload(ctx, *w.row))
	}
	if err != nil {
		return w.h.Fault(err)
	}
	return nil
}

// find takes up a volume that bytes were written to before.
func (w *writing) find() error {
	var err error
	// libvirt may not have seen it since libvirtd was killed.
	if w.vol, err = w.h.Find(w.row.Volume); errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
		return w.s.lost(w.row.ID)
	}
	if err != nil {
		return err
	}
	info, err := w.vol.GetInfoFlags(libvirt.STORAGE_VOL_GET_PHYSICAL)
	if err == nil {
		if w.fresh = int64(info.Allocation); w.fresh < w.row.Offset { //nolint:gosec // bytes of a real file
			err = w.s.lost(w.row.ID)
		}
	}
	if err == nil {
		w.start = w.row.Offset
		w.sum, err = w.row.digest()
	}
	if err != nil {
		_ = w.vol.Free()
	}
	return err
}

// lost tells that what an upload had stored is gone.
func (s *Service) lost(id string) error {
	return fault.New(fault.UploadIncomplete, "The data of upload %q was removed from storage pool %q by another program. Cancel this upload and start a new one.", id, s.o.Pools.ImagesPool("").Name())
}

// piece is a block on its way.
type piece struct {
	block []byte
	step  bool // the offset is to be written down behind it
}

// run moves r into the volume. Reading, sending and hashing overlap, each at
// another block; the blocks go round. r is read by the caller's goroutine, and no
// more when run returns.
func (w *writing) run(ctx context.Context, r io.Reader) error {
	free := make(chan []byte, blocks)
	for range blocks {
		free <- make([]byte, storagepool.BlockBytes)
	}
	received, sent := make(chan piece), make(chan piece)
	// What came is kept when the client has gone.
	g, stopped := errgroup.WithContext(context.WithoutCancel(ctx))
	g.Go(func() error {
		defer close(sent)
		return w.send(stopped, received, sent)
	})
	g.Go(func() error { return w.account(stopped, sent, free) })
	readErr := w.read(ctx, stopped, r, free, received)
	close(received)
	if err := g.Wait(); err != nil {
		return err
	}
	return readErr
}

// read fills the free blocks from r, until r ends or the others have failed.
func (w *writing) read(ctx, stopped context.Context, r io.Reader, free <-chan []byte, received chan<- piece) error {
	total, since, last := w.start, int64(0), time.Now()
	for {
		var block []byte
		select {
		case block = <-free:
		case <-stopped.Done():
			return nil // their error is told
		}
		n, err := io.ReadFull(r, block)
		ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) // the end, or the end within this block
		if ended {
			err = nil
		}
		total, since = total+int64(n), since+int64(n)
		switch {
		case total > w.limit:
			err = w.s.tooLarge()
		case err == nil && ended && w.check != nil:
			err = w.check()
		case err == nil:
			err = ctx.Err()
		}
		over := ended || err != nil
		if over && since == 0 {
			return err // there is nothing to keep
		}
		p := piece{block[:n], over || since >= stepBytes || time.Since(last) >= stepTime}
		if w.check != nil {
			p.step = over && err == nil
		}
		if p.step {
			since, last = 0, time.Now()
		}
		if total > w.limit || (w.check != nil && err != nil) {
			return err // nothing of it is kept
		}
		select {
		case received <- p:
		case <-stopped.Done():
			return nil
		}
		if over {
			return err
		}
	}
}

// send writes the blocks into the volume. Before a step goes on, all that came
// before it is in the volume.
func (w *writing) send(ctx context.Context, received <-chan piece, sent chan<- piece) error {
	var stream *libvirt.Stream
	defer func() {
		if stream != nil {
			_ = stream.Abort() // its error would only repeat ours
			_ = stream.Free()
		}
	}()
	offset, looked, step := w.start, w.start, false
	for p := range received {
		// Where nothing is written down in between, all is kept or nothing; else what came
		// before is on record by now.
		if step || offset-looked >= stepBytes {
			looked = offset
			if err := w.mayGoOn(ctx, min(stepBytes, w.limit-offset)); err != nil {
				return err
			}
		}
		if stream == nil {
			var err error
			if stream, err = w.open(offset); err != nil {
				return w.h.Fault(err)
			}
		}
		if err := w.put(stream, offset, p.block); err != nil {
			return w.h.Fault(err)
		}
		offset += int64(len(p.block))
		if p.step {
			// libvirt reports late: a full disk may show up here alone.
			err := stream.Finish()
			_ = stream.Free()
			if stream = nil; err != nil {
				return w.h.Fault(err)
			}
		}
		step = p.step
		select {
		case sent <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// mayGoOn answers fault.StorageFull when the pool has no room for so many more bytes
// beside what is kept free. Others fill it, too, and of what comes in one request
// nobody knows the end.
func (w *writing) mayGoOn(ctx context.Context, bytes int64) error {
	return w.pool.Do(ctx, func(h *storagepool.Handle) error {
		available, kept, err := h.Left(ctx)
		if err == nil && available < kept+bytes {
			err = fault.New(fault.StorageFull, "Storage pool %q is full: %d MiB are free, of which %d MiB are reserved for growing disks. Delete unused nodes or images, or enlarge the pool.", h.Name, available>>20, kept>>20)
		}
		return err
	})
}

// open opens a stream into the volume.
func (w *writing) open(offset int64) (*libvirt.Stream, error) {
	stream, err := w.h.Conn.NewStream(0)
	if err != nil {
		return nil, err
	}
	if err := w.vol.Upload(stream, uint64(offset), 0, libvirt.STORAGE_VOL_UPLOAD_SPARSE_STREAM); err != nil { //nolint:gosec // not negative
		_ = stream.Free()
		return nil, err
	}
	return stream, nil
}

// zeros is what a block is compared with.
var zeros [storagepool.BlockBytes]byte

// put sends a block; one of zeros becomes a hole where nothing was before.
func (w *writing) put(stream *libvirt.Stream, offset int64, block []byte) error {
	if len(block) > 0 && offset >= w.fresh && bytes.Equal(block, zeros[:len(block)]) {
		return stream.SendHole(int64(len(block)), 0)
	}
	for len(block) > 0 {
		n, err := stream.Send(block)
		if err != nil {
			return err
		}
		block = block[n:]
	}
	return nil
}

// account hashes the blocks, and writes the steps down, also when what follows could not be
// sent.
func (w *writing) account(ctx context.Context, sent <-chan piece, free chan<- []byte) error {
	ctx = context.WithoutCancel(ctx)
	offset := w.start
	for p := range sent {
		w.sum.Write(p.block)
		offset += int64(len(p.block))
		if p.step {
			state, err := w.sum.(encoding.BinaryMarshaler).MarshalBinary()
			if err != nil {
				return err
			}
			if err := w.s.store(ctx, w.row, offset, state); err != nil {
				return err
			}
		}
		free <- p.block[:cap(p.block)]
	}
	return nil
}

// source is what a client sends. A connection that breaks off reads as
// io.ErrUnexpectedEOF, which must not pass for the end of a block: every
// failure becomes fault.UploadIncomplete.
type source struct{ r io.Reader }

func (s source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && fault.CodeOf(err) == fault.Internal {
		err = fault.Wrap(noted{err}, fault.UploadIncomplete, "The upload ended before the image was complete. Upload it again, or resume it.")
	}
	return n, err
}

// noted keeps an error for the log, and ends its chain there: io.ErrUnexpectedEOF
// below must not be found by errors.Is.
type noted struct{ err error }

func (n noted) Error() string { return n.err.Error() }
