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

// Prefixes of the temporary volumes of an upload that is converted. Names that begin with
// a dot are never images.
const (
	sourcePrefix   = ".source-"   // the uploaded file
	unpackedPrefix = ".unpacked-" // its unpacked content
	flatPrefix     = ".flat-"     // the raw disk of a format that libvirt does not support
)

// Conversion identifies an upload whose file must be unpacked or converted to qcow2.
type Conversion struct {
	ID    string `json:"id"`
	Host  string `json:"host"`
	Owner string `json:"owner"`
}

// ConvertBy sets the function that starts conversions when uploads need one, using Convert
// and UndoConversion. It is called repeatedly with the same conversion until that has
// ended. Call it before Run.
func (s *Service) ConvertBy(start func(context.Context, Conversion) error) { s.startConversion = start }

// convertLater starts the conversion of a complete upload, unless the job that pulled it
// does that.
func (s *Service) convertLater(ctx context.Context, row record) error {
	if row.Pulled || s.startConversion == nil {
		return nil
	}
	return s.startConversion(ctx, Conversion{ID: row.ID, Host: row.Host, Owner: row.Owner})
}

// firstVolume returns the name of the volume that receives the data.
func (u record) firstVolume() string {
	switch {
	case u.Part:
		return partPrefix + u.ID
	case diskimage.UsedAsIs(u.Format):
		return image.VolumeOf(u.ID, u.Format)
	}
	return sourcePrefix + u.ID
}

// deleteVolumes removes all volumes of an upload, including those of its parts.
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

// Convert joins the parts of an upload that came in parts. If the file of the complete
// upload cannot be used as it is, it then creates an image from it: it checks all metadata
// tables of the file, unpacks it, makes libvirt convert it to qcow2, and verifies the
// result like any image. Only then is the image ready and the uploaded file removed. After
// a crash, another call continues. Convert does nothing else for uploads that need no
// conversion.
//
// Temporary errors: fault.HostUnreachable, PoolUnavailable, and one with a method Wait if
// another task holds the slot. Others: ImageUnsafe (the image is rejected), ImageTooLarge,
// QuotaExceeded, StorageFull, NotFound.
func (s *Service) Convert(ctx context.Context, c Conversion, progress storagepool.Progress) error {
	if err := s.o.Pools.Prepare(ctx, c.Host); err != nil {
		return err
	}
	row, release, err := s.holdInTurn(ctx, c)
	if err != nil {
		if img, gone := s.o.Images.Image(c.Host, c.ID); fault.CodeOf(err) == fault.NotFound && gone == nil && img.State == image.Ready {
			return nil // finished by an earlier attempt
		}
		return err
	}
	defer s.wakeVerifier(row.Host)
	defer release()
	err = s.join(ctx, &row, progress)
	if err == nil && row.state() != converting {
		return nil // it is verified like any other upload
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
	// From here on the image is ready, even if the uploaded file cannot be removed.
	row.Result = ""
	if err := s.deleteVolumes(ctx, row); err != nil {
		return err
	}
	if err := s.end(ctx, row); err != nil {
		return err
	}
	return s.o.Images.Refresh(ctx, row.Host, true)
}

// holdInTurn is hold for conversions and their undo: it waits until the verifier releases
// the upload or ctx ends.
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

// undoPatience is how long UndoConversion waits for others to release the upload.
const undoPatience = 10 * time.Second

// UndoConversion removes an upload that was to be converted, and its image unless that is
// ready. It fails if others hold the upload for ten seconds, and may be called again.
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

// convertUpload creates the image's volume and records that the image is ready.
func (s *Service) convertUpload(ctx context.Context, row *record, progress storagepool.Progress) error {
	// Acquire both slots before any work: otherwise the file would have to be unpacked
	// again.
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
		done, err := storagepool.TakeSlot(s.unpacking, "unpacking") // unpacking needs a lot of memory
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

// inner describes the file that remains after unpacking.
type inner struct {
	volume, format string
	packing        string // all packings that were undone ("tar.gz"); empty if none
	// machine is what an archive says about the virtual machine of the disk.
	machine diskimage.Machine
}

// finishConversion verifies the new volume and records that its image is ready.
func (s *Service) finishConversion(ctx context.Context, row record, in inner, progress storagepool.Progress) error {
	// libvirt created it through another pool: see storagepool's openWork.
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

// inspectSource checks all metadata tables of a disk that must be converted. It returns
// the maximum amount of data in it, its format (a raw disk may turn out to be a fixed-size
// VHD), and whether it must be flattened. Nothing else may have opened the disk before.
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
		info, err := v.GetInfo() // without holes
		if err == nil {
			dataBytes = min(dataBytes, int64(info.Allocation)) //nolint:gosec // bytes of a real file
		}
		return err
	})
	return dataBytes, source, flat, err
}

// flatten creates a raw disk from a disk that libvirt would otherwise treat as raw or open
// with another size.
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
		size -= diskimage.VHDFooterBytes // FixedVHD has detected it
		return v.Read(ctx, 0, size, func(r io.Reader) error {
			return s.fill(ctx, row.Host, volume, &counting{r: r, total: size, progress: progress})
		})
	})
}
