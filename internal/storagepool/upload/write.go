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

// blocks is how many blocks of an upload are in memory: one each for reading, sending and
// hashing, and one that waits.
const blocks = 4

// The offset of an upload is saved after this much data, or this much time, since the last
// save. If the service or libvirtd is killed, the data after the saved offset is lost.
// Data is known to be in the volume only when its stream has finished.
const (
	stepBytes = 64 << 20
	stepTime  = 5 * time.Second
)

// take copies r into an upload that the caller has locked, and keeps row and the database
// up to date.
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
			// The head is in the database, but not in the volume.
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

// takeHead reads the first bytes of an upload until there are enough to detect the format,
// which it records in row. It returns a nil head if there are too few, after saving them
// in the database.
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
			readErr = nil // the client may send little at a time
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
		if check != nil { // the bytes may be damaged: then the client should send them again
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

// writing is the transfer of an upload's data into its volume.
type writing struct {
	s     *Service
	pool  storagepool.Pool
	h     *storagepool.Handle // an open handle of pool
	row   *record
	check func() error
	limit int64 // the maximum offset

	vol   *libvirt.StorageVol
	start int64     // the offset where this transfer begins
	sum   hash.Hash // of the data before start
	// fresh is where the file ended when this transfer began: data behind it reads as
	// zeros already.
	fresh int64
}

// make creates the volume, which must not exist unless an earlier attempt created it.
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
		w.row.Volume = "" // created by another program: never remove it
		return errors.Join(image.VolumeExists(w.row.Host, name), w.s.saveUpload(ctx, *w.row))
	}
	if err != nil {
		return w.h.Fault(err)
	}
	return nil
}

// find opens a volume that an earlier request has written to.
func (w *writing) find() error {
	var err error
	// libvirt might not know it after libvirtd was killed.
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

// lost returns the error for an upload whose stored data is gone.
func (s *Service) lost(id string) error {
	return fault.New(fault.UploadIncomplete, "The data of upload %q was removed from storage pool %q by another program. Cancel this upload and start a new one.", id, s.o.Pools.ImagesPool("").Name())
}

// piece is a block on its way to the volume.
type piece struct {
	block []byte
	step  bool // save the offset after it
}

// run copies r into the volume. Reading, sending and hashing overlap, each with another
// block; the blocks are reused. Only the caller's goroutine reads r, and not after run
// returns.
func (w *writing) run(ctx context.Context, r io.Reader) error {
	free := make(chan []byte, blocks)
	for range blocks {
		free <- make([]byte, storagepool.BlockBytes)
	}
	received, sent := make(chan piece), make(chan piece)
	// The received data is saved even if the client disconnects.
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

// read fills free blocks from r, until r ends or another stage fails.
func (w *writing) read(ctx, stopped context.Context, r io.Reader, free <-chan []byte, received chan<- piece) error {
	total, since, last := w.start, int64(0), time.Now()
	for {
		var block []byte
		select {
		case block = <-free:
		case <-stopped.Done():
			return nil // run returns their error
		}
		n, err := io.ReadFull(r, block)
		ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) // EOF, possibly within this block
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
			return err // nothing to save
		}
		p := piece{block[:n], over || since >= stepBytes || time.Since(last) >= stepTime}
		if w.check != nil {
			p.step = over && err == nil
		}
		if p.step {
			since, last = 0, time.Now()
		}
		if total > w.limit || (w.check != nil && err != nil) {
			return err // nothing is kept
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

// send writes the blocks to the volume. It passes a step on only when all data before it
// is in the volume.
func (w *writing) send(ctx context.Context, received <-chan piece, sent chan<- piece) error {
	var stream *libvirt.Stream
	defer func() {
		if stream != nil {
			_ = stream.Abort() // its error would only repeat the first one
			_ = stream.Free()
		}
	}()
	offset, looked, step := w.start, w.start, false
	for p := range received {
		// If no offset is saved in between, all data is kept or none; otherwise the data
		// before offset is already recorded.
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
			// libvirt reports errors late: a full disk may show up only here.
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

// mayGoOn returns fault.StorageFull if the pool does not have the given number of free
// bytes in addition to those that must stay free. Others fill the pool too, and the size
// of an upload in one request is not known.
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

// zeros is compared with blocks to find those that contain only zeros.
var zeros [storagepool.BlockBytes]byte

// put sends a block. A block of zeros becomes a hole if nothing was written there before.
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

// account hashes the blocks and saves the offset after each step, even if later blocks
// could not be sent.
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

// source reads what a client sends. A broken connection returns io.ErrUnexpectedEOF, which
// must not be mistaken for the end of a block, so source turns every error into
// fault.UploadIncomplete.
type source struct{ r io.Reader }

func (s source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && fault.CodeOf(err) == fault.Internal {
		err = fault.Wrap(noted{err}, fault.UploadIncomplete, "The upload ended before the image was complete. Upload it again, or resume it.")
	}
	return n, err
}

// noted keeps an error for the log, but hides its chain, so that errors.Is does not find
// io.ErrUnexpectedEOF in it.
type noted struct{ err error }

func (n noted) Error() string { return n.err.Error() }
