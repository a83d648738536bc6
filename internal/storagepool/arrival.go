package storagepool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// What an upload that is converted has in the images pool beside its result. Names
// that begin with a dot are never images.
const (
	sourcePrefix   = ".source-"   // the file as it came
	unpackedPrefix = ".unpacked-" // what was packed in it
	flatPrefix     = ".flat-"     // the disk that was in that, of a format that libvirt does not know
)

// Conversion is an upload whose file is to be unpacked, or converted to qcow2.
type Conversion struct {
	ID    string `json:"id"`
	Host  string `json:"host"`
	Owner string `json:"owner"`
}

// ConvertBy has start begin the conversions that uploads turn out to need, as
// Convert and UndoConversion do them. It is called with the same one again and
// again until that has ended. Call it before Run.
func (s *Service) ConvertBy(start func(context.Context, Conversion) error) { s.startConversion = start }

// convertLater has an upload converted that is complete, unless that is for others
// to do.
func (s *Service) convertLater(ctx context.Context, row incoming) error {
	if row.Pulled || s.startConversion == nil {
		return nil
	}
	return s.startConversion(ctx, Conversion{ID: row.ID, Host: row.Host, Owner: row.Owner})
}

// firstVolume names the volume that takes what comes.
func (u incoming) firstVolume() string {
	switch {
	case u.Part:
		return partPrefix + u.ID
	case diskimage.UsedAsIs(u.Format):
		return volumeOf(u.ID, u.Format)
	}
	return sourcePrefix + u.ID
}

// deleteVolumes removes all that an upload has in the pool.
func (s *Service) deleteVolumes(ctx context.Context, row incoming) error {
	volumes := []string{row.Volume, row.Result}
	if !row.Part && !diskimage.UsedAsIs(row.Format) {
		volumes = append(volumes, unpackedPrefix+row.ID, flatPrefix+row.ID)
	}
	for _, name := range volumes {
		if name == "" {
			continue
		}
		if err := s.ImagesPool(row.Host).Delete(ctx, name); err != nil {
			return err
		}
	}
	if row.Parts != "" {
		return s.dropPartsOf(ctx, row.Host, row.ID)
	}
	return nil
}

// Convert joins the parts of an upload that comes in parts. Then it makes an image of
// a complete upload whose file cannot be used as it is:
// it looks at all of the file's own tables, unpacks it, has libvirt convert it to
// qcow2, and verifies the result like any image. Only then is the image ready, and
// what came is removed. Another call goes on after a crash. Uploads that need none
// of this are left alone.
//
// Errors that may pass: fault.HostUnreachable, PoolUnavailable, and one with a method
// Wait where other work has the slot for it. Others: ImageUnsafe (the image is rejected),
// ImageTooLarge, QuotaExceeded, StorageFull, NotFound.
func (s *Service) Convert(ctx context.Context, c Conversion, progress Progress) error {
	if err := s.Prepare(ctx, c.Host); err != nil {
		return err
	}
	row, release, err := s.holdInTurn(ctx, c)
	if err != nil {
		if img, gone := s.Image(c.Host, c.ID); fault.CodeOf(err) == fault.NotFound && gone == nil && img.State == Ready {
			return nil // an attempt before this one came so far
		}
		return err
	}
	defer s.wakeVerifier(row.Host)
	defer release()
	err = s.join(ctx, &row, progress)
	if err == nil && diskimage.UsedAsIs(row.Format) {
		return nil // it is verified as any other
	}
	var ready bool
	if err == nil {
		ready, err = s.isReady(ctx, row)
	}
	if err == nil && !ready {
		err = s.convertUpload(ctx, &row, progress)
	}
	if reason, refused := verdict(err); refused {
		ctx, cancel := Cleanup(ctx)
		defer cancel()
		return errors.Join(fault.New(fault.ImageUnsafe, "%s", reason), s.reject(ctx, row, reason), s.refresh(ctx, row.Host, false))
	}
	if err != nil {
		return err
	}
	// From here on the image is ready, whatever happens to what is left of the file.
	row.Result = ""
	if err := s.deleteVolumes(ctx, row); err != nil {
		return err
	}
	if err := s.o.DB.WithContext(ctx).Delete(&row).Error; err != nil {
		return fmt.Errorf("end the upload %s: %w", row.ID, err)
	}
	return s.refresh(ctx, row.Host, true)
}

// holdInTurn is hold for who converts or undoes: it waits for whoever looks whether the
// upload is to be converted, until ctx ends.
func (s *Service) holdInTurn(ctx context.Context, c Conversion) (row incoming, release func(), err error) {
	row, release, err = s.hold(ctx, c.Host, c.ID)
	for fault.CodeOf(err) == fault.UploadBusy {
		if err := Pause(ctx, verdictInterval); err != nil {
			return row, nil, err
		}
		row, release, err = s.hold(ctx, c.Host, c.ID)
	}
	return row, release, err
}

// isReady tells whether the image of an upload is ready already.
func (s *Service) isReady(ctx context.Context, row incoming) (bool, error) {
	var n int64
	err := s.o.DB.WithContext(ctx).Model(&record{}).Where("host = ? AND id = ? AND state = ?", row.Host, row.ID, Ready).Count(&n).Error
	return n > 0, err
}

// undoPatience is how long UndoConversion waits for others who look at the upload.
const undoPatience = 10 * time.Second

// UndoConversion gives up an upload that was to be converted, with its image unless
// that is ready. When others hold the upload for ten seconds it fails, and may be
// called again.
func (s *Service) UndoConversion(ctx context.Context, c Conversion) error {
	waiting, cancel := context.WithTimeout(ctx, undoPatience)
	defer cancel()
	row, release, err := s.holdInTurn(waiting, c)
	if fault.CodeOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	defer release()
	return s.discard(ctx, row)
}

// convertUpload makes the image's volume and notes that it is ready.
func (s *Service) convertUpload(ctx context.Context, row *incoming, progress Progress) error {
	// Both slots before anything is done: what was unpacked would be unpacked again.
	release, err := s.TakeConverting(row.Host)
	if err != nil {
		return err
	}
	handedOver := false
	defer func() {
		if !handedOver {
			release()
		}
	}()
	in := inner{volume: row.Volume, format: row.Format}
	budget := s.budgetOf(row)
	if diskimage.IsPacking(row.Format) {
		done, err := takeSlot(s.unpacking, "unpacking") // what a packing keeps in memory is large
		if err != nil {
			return err
		}
		defer done()
		if in, err = s.unpack(ctx, row, budget, progress); err != nil {
			return err
		}
	}
	if diskimage.UsedAsIs(in.format) {
		return s.finishConversion(ctx, *row, in, progress)
	}
	from, format := in.volume, in.format
	dataBytes, source, flat, err := s.inspectSource(ctx, row.Host, imagesRole, from, format)
	if err != nil {
		return err
	}
	if flat {
		if err := budget.take(ctx, dataBytes); err != nil {
			return err
		}
		if from, err = s.flatten(ctx, row, from, progress); err != nil {
			return err
		}
		format = diskimage.Raw
	}
	if format == diskimage.SnapshotsQCOW2 {
		progress.Begin("leaving out snapshots")
		format = QCOW2
	}
	if err := budget.take(ctx, dataBytes); err != nil {
		return err
	}
	if err := s.beginResult(ctx, row, QCOW2); err != nil {
		return err
	}
	images, err := s.place(row.Host, imagesRole)
	if err != nil {
		return err
	}
	c := Copy{From: path.Join(images.path, from), Format: format, To: row.Result, DataBytes: dataBytes, Release: release}
	handedOver = true
	err = s.ImagesPool(row.Host).Convert(ctx, c, progress)
	if err != nil {
		return err
	}
	in.format = source
	return s.finishConversion(ctx, *row, in, progress)
}

// inner is what came, after all packings were undone.
type inner struct {
	volume, format string
	packing        string // all that was undone ("tar.gz"); empty: nothing
	// machine is what an archive says of the machine that the disk was in.
	machine diskimage.Machine
}

// beginResult notes what the volume of the image will be, and removes what an
// attempt before this one has made of it.
func (s *Service) beginResult(ctx context.Context, row *incoming, format string) error {
	name := volumeOf(row.ID, format)
	if row.Result != name {
		next := *row
		next.Result = name
		rec := record{Host: row.Host, Type: Base, Volume: name} // whose names others may have used, too
		if err := s.mustBeFree(ctx, rec); err != nil {
			return err
		}
		if err := s.saveUpload(ctx, next); err != nil {
			return err
		}
		*row = next
	}
	err := s.o.DB.WithContext(ctx).Model(&record{}).Where("host = ? AND id = ?", row.Host, row.ID).Update("volume", name).Error
	if err != nil {
		return err
	}
	return s.ImagesPool(row.Host).Delete(ctx, name)
}

// finishConversion verifies the volume that was made, and says that its image is
// ready.
func (s *Service) finishConversion(ctx context.Context, row incoming, in inner, progress Progress) error {
	// libvirt made it in another pool: see openWork.
	if err := s.ImagesPool(row.Host).RescanWhenIdle(ctx, progress); err != nil {
		return err
	}
	if err := s.refresh(ctx, row.Host, false); err != nil {
		return err
	}
	found, err := s.inspect(ctx, row.Host, row.Result)
	if err != nil {
		return err
	}
	source := in.format
	if in.packing != "" {
		source += "." + in.packing
	}
	image := bindTo(found)
	image["source_format"] = source
	if about := in.machine.String(); about != "" {
		image["description"] = gorm.Expr("CASE WHEN COALESCE(description, '') = '' THEN ? ELSE description END", about)
	}
	return s.o.DB.WithContext(ctx).Model(&record{}).Where("host = ? AND id = ?", row.Host, row.ID).Updates(image).Error
}

// inspectSource looks at all of the tables of a disk that is to be converted. It
// returns at most how many bytes of data are in it, its format, for a raw one may turn
// out to be a VHD disk of fixed size, and whether it has to be flattened. Nothing else
// has opened it before.
func (s *Service) inspectSource(ctx context.Context, host, role, volume, format string) (dataBytes int64, source string, flat bool, err error) {
	err = Pool{s, host, role}.Volume(ctx, volume, func(v *File) error {
		head, err := v.ReadPart(0, diskimage.HeaderBytes)
		if err != nil {
			return err
		}
		d, err := diskimage.ParseDisk(head)
		if err != nil {
			return err
		}
		if source = d.Format(); source != format {
			return diskimage.Unsafe("its first bytes have changed: it was a %s file, and is a %s file", format, source)
		}
		size, err := v.Bytes()
		if err != nil {
			return err
		}
		read := v.Parts(ctx)
		if source == diskimage.Raw {
			fixed, err := diskimage.FixedVHD(size, read)
			if err != nil {
				return err
			}
			if fixed {
				source, size, flat = diskimage.VHD, size-diskimage.VHDFooterBytes, true
			}
		}
		if _, dataBytes, err = d.Verify(size, read); err != nil {
			return err
		}
		if f, ok := d.(diskimage.Flattener); ok {
			disk, err := f.Flat(size, read)
			flat = disk != nil
			return err
		}
		if d.Format() != diskimage.Raw {
			return nil
		}
		info, err := v.GetInfo() // what holes leave of it
		if err == nil {
			dataBytes = min(dataBytes, int64(info.Allocation)) //nolint:gosec // bytes of a real file
		}
		return err
	})
	return dataBytes, source, flat, err
}

// flatten makes a raw disk of one that libvirt would take for a raw one as it is, or
// for one of another size.
func (s *Service) flatten(ctx context.Context, row *incoming, from string, progress Progress) (volume string, err error) {
	volume = flatPrefix + row.ID
	progress.Begin("unpacking")
	return volume, s.ImagesPool(row.Host).Volume(ctx, from, func(v *File) error {
		size, err := v.Bytes()
		if err != nil {
			return err
		}
		read := v.Parts(ctx)
		head, err := read(0, diskimage.HeaderBytes)
		if err != nil {
			return err
		}
		d, err := diskimage.ParseDisk(head)
		if err != nil {
			return err
		}
		if f, ok := d.(diskimage.Flattener); ok {
			disk, err := f.Flat(size, read)
			if err == nil && disk == nil {
				err = diskimage.Unsafe("it was changed while it was read")
			}
			if err != nil {
				return err
			}
			return s.fill(ctx, row.Host, volume, &counting{r: disk, total: disk.VirtualBytes(), progress: progress})
		}
		size -= diskimage.VHDFooterBytes // FixedVHD has found it
		return v.Read(ctx, 0, size, func(r io.Reader) error {
			return s.fill(ctx, row.Host, volume, &counting{r: r, total: size, progress: progress})
		})
	})
}

// unpack makes a volume of what is packed in an upload's file: the image's own
// where that can be used as it is.
func (s *Service) unpack(ctx context.Context, row *incoming, budget *budget, progress Progress) (found inner, err error) {
	progress.Begin("unpacking")
	err = s.ImagesPool(row.Host).Volume(ctx, row.Volume, func(v *File) error {
		size, err := v.Bytes()
		if err != nil {
			return err
		}
		return v.Read(ctx, 0, size, func(r io.Reader) error {
			in := &failing{r: &counting{r: r, total: size, progress: progress}}
			found, err = s.unpackFrom(ctx, row, budget, in)
			if in.err != nil { // the packing's reader may say that the file is damaged
				return in.err
			}
			return err
		})
	})
	return found, err
}

// unpackFrom reads a packed file, or the disk in an archive, which may be packed.
func (s *Service) unpackFrom(ctx context.Context, row *incoming, budget *budget, r io.Reader) (found inner, err error) {
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

// readHead reads the first bytes of what is within a packed file. The end of what is
// within, and a file that was cut off, read the same here; the next read tells them apart.
func readHead(r io.Reader, packing string) ([]byte, error) {
	head := make([]byte, diskimage.HeaderBytes)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, unpackingError(packing, err)
	}
	return head[:n], nil
}

// unpackingError is the error of what is read of a packed file: a verdict stays as it is.
func unpackingError(packing string, err error) error {
	if fault.CodeOf(err) != fault.Internal {
		return err
	}
	return diskimage.UnpackError(packing, err)
}

// unpacking bounds what is read of an archive: files beside its disk take time, too.
type unpacking struct {
	d        io.Reader
	packing  string
	left     int64
	tooLarge func() error
}

// Read returns fault.ImageUnsafe for a packed archive that is damaged, and
// fault.ImageTooLarge for one that holds more than it may.
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

// unpacked is what is within a packed file, from its first byte.
type unpacked struct {
	ctx     context.Context // it lives as long as one call
	d       io.Reader
	head    []byte // that was read of it
	packing string
	budget  *budget
	given   int64
	held    int64 // of what is to be given, is reserved
}

// Read returns fault.ImageUnsafe for a file that is damaged, and fault.ImageTooLarge or
// QuotaExceeded for one that holds more than it may. Zeros count: they take time.
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
		step := min(max(u.held, blockBytes), stepBytes, limit-u.held)
		if err := u.budget.take(u.ctx, step); err != nil {
			return n, err
		}
		u.held += step
	}
	return n, err
}

// failing keeps the error of what it reads.
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
