package upload

import (
	"context"
	"errors"
	"io"
	"path"
	"time"

	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
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
func (s *Service) convertLater(ctx context.Context, row record) error {
	if row.Pulled || s.startConversion == nil {
		return nil
	}
	return s.startConversion(ctx, Conversion{ID: row.ID, Host: row.Host, Owner: row.Owner})
}

// firstVolume names the volume that takes what comes.
func (u record) firstVolume() string {
	switch {
	case u.Part:
		return partPrefix + u.ID
	case diskimage.UsedAsIs(u.Format):
		return image.VolumeOf(u.ID, u.Format)
	}
	return sourcePrefix + u.ID
}

// deleteVolumes removes all that an upload has in the pool.
func (s *Service) deleteVolumes(ctx context.Context, row record) error {
	volumes := []string{row.Volume, row.Result}
	if !row.Part && !diskimage.UsedAsIs(row.Format) {
		volumes = append(volumes, unpackedPrefix+row.ID, flatPrefix+row.ID)
	}
	for _, name := range volumes {
		if name == "" {
			continue
		}
		if err := s.o.Pools.ImagesPool(row.Host).Delete(ctx, name); err != nil {
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
func (s *Service) Convert(ctx context.Context, c Conversion, progress storagepool.Progress) error {
	if err := s.o.Pools.Prepare(ctx, c.Host); err != nil {
		return err
	}
	row, release, err := s.holdInTurn(ctx, c)
	if err != nil {
		if img, gone := s.o.Images.Image(c.Host, c.ID); fault.CodeOf(err) == fault.NotFound && gone == nil && img.State == image.Ready {
			return nil // an attempt before this one came so far
		}
		return err
	}
	defer s.wakeVerifier(row.Host)
	defer release()
	err = s.join(ctx, &row, progress)
	if err == nil && row.state() != converting {
		return nil // it is verified as any other
	}
	var ready bool
	if err == nil {
		ready, err = s.o.Images.IsReady(ctx, row.Host, row.ID)
	}
	if err == nil && !ready {
		err = s.convertUpload(ctx, &row, progress)
	}
	if reason, refused := image.Verdict(err); refused {
		ctx, cancel := store.Outlasting(ctx)
		defer cancel()
		return errors.Join(fault.New(fault.ImageUnsafe, "%s", reason), s.reject(ctx, row, reason), s.o.Images.Refresh(ctx, row.Host, false))
	}
	if err != nil {
		return err
	}
	// From here on the image is ready, whatever happens to what is left of the file.
	row.Result = ""
	if err := s.deleteVolumes(ctx, row); err != nil {
		return err
	}
	if err := s.end(ctx, row); err != nil {
		return err
	}
	return s.o.Images.Refresh(ctx, row.Host, true)
}

// holdInTurn is hold for who converts or undoes: it waits for whoever looks whether the
// upload is to be converted, until ctx ends.
func (s *Service) holdInTurn(ctx context.Context, c Conversion) (row record, release func(), err error) {
	row, release, err = s.hold(ctx, c.Host, c.ID)
	for fault.CodeOf(err) == fault.UploadBusy {
		if err := storagepool.Pause(ctx, verdictInterval); err != nil {
			return row, nil, err
		}
		row, release, err = s.hold(ctx, c.Host, c.ID)
	}
	return row, release, err
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
func (s *Service) convertUpload(ctx context.Context, row *record, progress storagepool.Progress) error {
	// Both slots before anything is done: what was unpacked would be unpacked again.
	release, err := s.o.Pools.TakeConverting(row.Host)
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
		done, err := storagepool.TakeSlot(s.unpacking, "unpacking") // what a packing keeps in memory is large
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
	dataBytes, source, flat, err := s.inspectSource(ctx, row.Host, from, format)
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
		format = diskimage.QCOW2
	}
	if err := budget.take(ctx, dataBytes); err != nil {
		return err
	}
	if err := s.beginResult(ctx, row, diskimage.QCOW2); err != nil {
		return err
	}
	images, err := s.o.Pools.ImagesPool(row.Host).Folder()
	if err != nil {
		return err
	}
	c := storagepool.Copy{From: path.Join(images, from), Format: format, To: row.Result, DataBytes: dataBytes, Release: release}
	handedOver = true
	err = s.o.Pools.ImagesPool(row.Host).Convert(ctx, c, progress)
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

// finishConversion verifies the volume that was made, and says that its image is
// ready.
func (s *Service) finishConversion(ctx context.Context, row record, in inner, progress storagepool.Progress) error {
	// libvirt made it in another pool: see openWork.
	if err := s.o.Pools.ImagesPool(row.Host).RescanWhenIdle(ctx, progress); err != nil {
		return err
	}
	if err := s.o.Images.Refresh(ctx, row.Host, false); err != nil {
		return err
	}
	found, err := s.o.Images.Inspect(ctx, row.Host, row.Result)
	if err != nil {
		return err
	}
	source := in.format
	if in.packing != "" {
		source += "." + in.packing
	}
	columns := found.Columns()
	columns["source_format"] = source
	if about := in.machine.String(); about != "" {
		columns["description"] = gorm.Expr("CASE WHEN COALESCE(description, '') = '' THEN ? ELSE description END", about)
	}
	return image.Change(s.o.DB.WithContext(ctx), row.Host, row.ID, columns)
}

// inspectSource looks at all of the tables of a disk that is to be converted. It
// returns at most how many bytes of data are in it, its format, for a raw one may turn
// out to be a VHD disk of fixed size, and whether it has to be flattened. Nothing else
// has opened it before.
func (s *Service) inspectSource(ctx context.Context, host, volume, format string) (dataBytes int64, source string, flat bool, err error) {
	err = s.o.Pools.ImagesPool(host).Volume(ctx, volume, func(v *storagepool.File) error {
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
func (s *Service) flatten(ctx context.Context, row *record, from string, progress storagepool.Progress) (volume string, err error) {
	volume = flatPrefix + row.ID
	progress.Begin("unpacking")
	return volume, s.o.Pools.ImagesPool(row.Host).Volume(ctx, from, func(v *storagepool.File) error {
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
