package storagepool

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// blockBytes goes to libvirt in one piece. It is what a local socket takes at
// once by default: larger blocks are as fast and take more memory and CPU time,
// small ones are up to a hundred times slower.
const blockBytes = 208 << 10

// blocks of an upload are in memory: one that is read, one that is sent, one
// that is hashed, and one that waits.
const blocks = 4

const uploadIntent = "image.upload"

// uploadData is what recovery needs to undo an upload.
type uploadData struct {
	ID     string `json:"id"`
	Volume string `json:"volume"`
}

// Upload describes an image that comes in.
type Upload struct {
	Host     string // empty: the first host
	FileName string // as the client gave it: hostile
	OSType   string
	Owner    string
	// SizeBytes is what the client announced, 0 when it did not; it is checked
	// against the free space before a byte is taken.
	SizeBytes int64
	// SHA256 is what the client expects the file's digest to be, in hex; empty
	// when it does not say.
	SHA256 string
	// BaseID makes it the base image of that id; empty makes it a custom image.
	BaseID string
}

// Receive streams an image from r into a volume of the images pool. Nothing is
// written before the header was found safe; memory use does not depend on the
// image's size. An upload that fails, or is cut off, leaves nothing behind.
//
// Errors: fault.ImageUnsafe, ImageTooLarge, StorageFull, UploadIncomplete (r
// failed), Invalid (digest), PoolUnavailable, HostUnreachable.
func (s *Service) Receive(ctx context.Context, u Upload, r io.Reader) (Image, error) {
	h, err := s.o.Hosts.Host(u.Host)
	if err != nil {
		return Image{}, err
	}
	buffered := bufio.NewReaderSize(source{r}, HeaderBytes)
	head, err := buffered.Peek(HeaderBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return Image{}, err
	}
	header, err := ParseQcow2(head, MaxVirtualBytes)
	if err != nil {
		return Image{}, err
	}
	if u.SizeBytes > s.o.MaxImageBytes {
		return Image{}, s.tooLarge()
	}
	err = s.withPool(ctx, h.Name(), imagesRole, func(_ *libvirt.Connect, lp *libvirt.StoragePool, p pool) error {
		return checkRoom(lp, p.name, u.SizeBytes)
	})
	if err != nil {
		return Image{}, err
	}

	rec := s.newRecord(h.Name(), u)
	if err := s.mustBeFree(ctx, rec); err != nil {
		return Image{}, err
	}
	done, err := s.begin(ctx, uploadIntent, rec.Host, uploadData{ID: rec.ID, Volume: rec.Volume})
	if err != nil {
		return Image{}, err
	}
	defer done()
	if err := s.o.DB.WithContext(ctx).Where("state = ?", missing).Delete(&record{Host: rec.Host, ID: rec.ID}).Error; err != nil {
		return Image{}, fmt.Errorf("replace the record of an image that is gone: %w", err)
	}
	// Create, not save: a base image that is already there is never overwritten.
	if err := s.o.DB.WithContext(ctx).Create(&rec).Error; err != nil {
		return Image{}, fmt.Errorf("record the image: %w", err)
	}
	if err := s.fill(ctx, rec, u, header, buffered); err != nil {
		ctx, cancel := cleanup(ctx)
		defer cancel()
		if errors.Is(err, libvirt.ERR_STORAGE_VOL_EXIST) { // somebody was faster: it is not ours to remove
			return Image{}, errors.Join(volumeExists(rec), s.forget(ctx, rec.Host, rec.ID))
		}
		return Image{}, errors.Join(err, s.discard(ctx, rec.Host, rec.ID, rec.Volume))
	}
	if err := s.refresh(ctx, rec.Host, false); err != nil {
		return Image{}, err
	}
	return s.Image(rec.Host, rec.ID)
}

// fill writes the volume and marks the record as ready.
func (s *Service) fill(ctx context.Context, rec record, u Upload, header Qcow2, r io.Reader) error {
	if err := s.refresh(ctx, rec.Host, false); err != nil { // shows it as uploading
		return err
	}
	sum := sha256.New()
	n, err := s.write(ctx, rec, r, sum)
	if err != nil {
		return err
	}
	if err := header.Verify(n); err != nil {
		return err
	}
	// What is stored is what counts: its tables are read back.
	if err := s.inspect(ctx, rec.Host, rec.Volume); err != nil {
		return err
	}
	rec.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if u.SHA256 != "" && !strings.EqualFold(u.SHA256, rec.SHA256) {
		return fault.Field("sha256", "The file's SHA-256 is %s, not the one that was given. It was changed or cut off on the way; upload it again.", rec.SHA256)
	}
	rec.State = string(Ready)
	return s.save(ctx, rec)
}

// write streams r into a new volume and into sum, and returns how many bytes
// came. The connection is one of its own: a blocking stream holds up every other
// call.
func (s *Service) write(ctx context.Context, rec record, r io.Reader, sum hash.Hash) (int64, error) {
	p, err := s.pool(rec.Host, imagesRole)
	if err != nil {
		return 0, err
	}
	h, err := s.o.Hosts.Host(rec.Host)
	if err != nil {
		return 0, err
	}
	var written int64
	err = h.Dial(ctx, func(conn *libvirt.Connect) error {
		lp, err := conn.LookupStoragePoolByName(p.name)
		if err != nil {
			return poolFault(err, p.name)
		}
		defer func() { _ = lp.Free() }()
		vol, stream, err := startUpload(conn, lp, p.name, libvirtxml.StorageVolume{
			Name: rec.Volume,
			// QEMU reads a base image as another user than its owner.
			Target: &libvirtxml.StorageVolumeTarget{Permissions: &libvirtxml.StorageVolumeTargetPermissions{Mode: "0644"}},
		})
		if err != nil {
			return err
		}
		defer func() { _, _ = vol.Free(), stream.Free() }()
		written, err = s.send(ctx, stream, r, sum)
		if err != nil {
			_ = stream.Abort() // its error would only repeat ours
			return explainSend(lp, p.name, err)
		}
		// libvirt reports late: a full disk may show up here alone.
		if err := stream.Finish(); err != nil {
			return explainSend(lp, p.name, err)
		}
		return nil
	})
	return written, err
}

// explainSend leaves errors that are already explained, and asks the pool about
// those of libvirt.
func explainSend(lp *libvirt.StoragePool, name string, err error) error {
	var lv libvirt.Error
	if errors.As(err, &lv) {
		return volumeFault(lp, name, err)
	}
	return err
}

// send moves r into the stream and into sum, and returns how many bytes came.
// Reading, sending and hashing overlap, each at another block; the blocks go
// round. r is read by the caller's goroutine, and no more when send returns.
func (s *Service) send(ctx context.Context, stream *libvirt.Stream, r io.Reader, sum hash.Hash) (int64, error) {
	free := make(chan []byte, blocks)
	for range blocks {
		free <- make([]byte, blockBytes)
	}
	received, sent := make(chan []byte), make(chan []byte)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(sent)
		for block := range received {
			for rest := block; len(rest) > 0; {
				n, err := stream.Send(rest)
				if err != nil {
					return err
				}
				rest = rest[n:]
			}
			sent <- block
		}
		return nil
	})
	g.Go(func() error {
		for block := range sent {
			sum.Write(block)
			free <- block[:cap(block)]
		}
		return nil
	})
	total, err := s.take(ctx, r, free, received)
	close(received)
	if failed := g.Wait(); failed != nil {
		return total, failed // err would only say that it was stopped by this
	}
	return total, err
}

// take fills the free blocks from r, until r or ctx ends.
func (s *Service) take(ctx context.Context, r io.Reader, free <-chan []byte, received chan<- []byte) (int64, error) {
	var total int64
	for {
		var block []byte
		select {
		case block = <-free:
		case <-ctx.Done():
			return total, ctx.Err()
		}
		n, err := io.ReadFull(r, block)
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) // the end, or the end within this block
		if err != nil && !last {
			return total, err // before ctx: a connection that breaks off ends both
		}
		total += int64(n)
		if total > s.o.MaxImageBytes {
			return total, s.tooLarge()
		}
		select {
		case received <- block[:n]:
		case <-ctx.Done():
			return total, ctx.Err()
		}
		if last {
			return total, nil
		}
	}
}

// source is what a client sends. A connection that breaks off reads as
// io.ErrUnexpectedEOF, which must not pass for the end of a block: every
// failure becomes fault.UploadIncomplete.
type source struct{ r io.Reader }

func (s source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && fault.CodeOf(err) == fault.Internal {
		err = fault.Wrap(noted{err}, fault.UploadIncomplete, "The upload ended before the image was complete. Nothing was kept; upload it again.")
	}
	return n, err
}

// noted keeps an error for the log, and ends its chain there: io.ErrUnexpectedEOF
// below must not be found by errors.Is.
type noted struct{ err error }

func (n noted) Error() string { return n.err.Error() }

func (s *Service) tooLarge() error {
	return fault.New(fault.ImageTooLarge, "The image is larger than the limit of %d bytes. Shrink it (`qemu-img convert -c -O qcow2`), or have the limit raised.", s.o.MaxImageBytes)
}

// discard removes what an upload made, volume first: while the record is
// there, the volume is not taken for somebody else's.
func (s *Service) discard(ctx context.Context, host, id, volume string) error {
	if err := s.deleteVolume(ctx, host, imagesRole, volume); err != nil {
		return err
	}
	return s.forget(ctx, host, id)
}

// forget removes the record of an upload that failed.
func (s *Service) forget(ctx context.Context, host, id string) error {
	if err := s.o.DB.WithContext(ctx).Where("state <> ?", Ready).Delete(&record{Host: host, ID: id}).Error; err != nil {
		return err
	}
	return s.refresh(ctx, host, false)
}

// mustBeFree refuses an upload whose volume is there already, before anything is
// recorded that could have it removed: it may be the base of disks. The names of
// custom images are new each time.
func (s *Service) mustBeFree(ctx context.Context, rec record) error {
	if rec.Type != Base {
		return nil
	}
	return s.withPool(ctx, rec.Host, imagesRole, func(_ *libvirt.Connect, lp *libvirt.StoragePool, _ pool) error {
		if err := rescan(lp); err != nil {
			return err
		}
		vol, err := lp.LookupStorageVolByName(rec.Volume)
		if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
			return nil
		}
		if err != nil {
			return err
		}
		_ = vol.Free()
		return volumeExists(rec)
	})
}

func volumeExists(rec record) error {
	return fault.New(fault.Unsupported, "The images pool of host %q has a volume %q already. Choose another id, or delete that volume if nothing uses it.", rec.Host, rec.Volume)
}

// recoverUploads undoes the uploads that a crash of the service cut off.
func (s *Service) recoverUploads(ctx context.Context, host string) error {
	pending, err := s.left(ctx, host)
	if err != nil {
		return err
	}
	for _, in := range pending {
		var data uploadData
		if err := json.Unmarshal(in.Data, &data); err != nil {
			return fmt.Errorf("intent %s: %w", in.ID, err)
		}
		var rec record
		found := s.o.DB.WithContext(ctx).Where("host = ? AND id = ? AND state = ?", host, data.ID, Ready).Limit(1).Find(&rec)
		if found.Error != nil {
			return found.Error
		}
		if found.RowsAffected == 0 {
			s.o.Log.Info("undoing an upload that was cut off", "host", host, "image", data.ID)
			if err := s.discard(ctx, host, data.ID, data.Volume); err != nil {
				return err
			}
		}
		if err := s.o.Intents.Done(ctx, in.ID); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) newRecord(host string, u Upload) record {
	now := time.Now()
	stem := safeStem(u.FileName)
	rec := record{
		Host: host, Type: Custom, DisplayName: stem, OSType: u.OSType,
		State: string(Uploading), Owner: u.Owner, Created: now,
	}
	rec.Volume = fmt.Sprintf("%s_%d.qcow2", stem, s.uniqueMilli(now))
	rec.ID = rec.Volume
	if u.BaseID != "" {
		rec.Type, rec.ID, rec.Volume, rec.DisplayName = Base, u.BaseID, u.BaseID+".qcow2", u.BaseID
		if e, ok := s.entry(u.BaseID); ok {
			rec.DisplayName = e.Name
			if rec.OSType == "" {
				rec.OSType = e.OSType
			}
		}
	}
	return rec
}

// uniqueMilli is the time in Unix milliseconds, made unique within the process,
// so that two uploads of one name never meet.
func (s *Service) uniqueMilli(now time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastMilli = max(now.UnixMilli(), s.lastMilli+1)
	return s.lastMilli
}

var (
	unsafeInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
	extensions   = regexp.MustCompile(`(?i)(\.(qcow2?|img))+$`)
)

// safeStem makes a volume name's first part from a client's file name: no path,
// no extension, only letters, digits, dots, dashes and underscores.
func safeStem(fileName string) string {
	name := fileName[strings.LastIndexAny(fileName, `/\`)+1:]
	name = extensions.ReplaceAllString(name, "")
	name = unsafeInName.ReplaceAllString(name, "_")
	name = strings.Trim(name, "._-")
	if len(name) > 64 {
		name = strings.TrimRight(name[:64], "._-")
	}
	if name == "" {
		return "image"
	}
	return name
}
