package storagepool

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// The types of images: base images come with the installation or from its
// catalogue, custom ones from users.
const (
	Base   = "base"
	Custom = "custom"
)

// ImageState is how far an image has come.
type ImageState string

// The states of an image. Only a ready one can be used.
const (
	Uploading  ImageState = "uploading"
	Verifying  ImageState = "verifying"
	Ready      ImageState = "ready"
	Rejected   ImageState = "rejected"
	Unverified ImageState = "unverified"
	// Changed is the state of an image whose file is not the one that was verified.
	Changed ImageState = "changed"

	// missing is the state of a record whose volume is not there: a folder may be
	// empty for a moment, when what is mounted there is away.
	missing ImageState = "missing"
)

// Image is a disk image in the images pool of one host. Sizes are in bytes.
type Image struct {
	Host         string
	ID           string // "micro", or the name of a custom image's volume
	Type         string // Base or Custom
	DisplayName  string
	OSType       string
	Format       string // as found in its own first bytes: QCOW2 or ISO
	SourceFormat string // of the file as it came, such as "vmdk" or "raw.xz"; empty when not known
	Description  string
	Tags         string // one on each line
	State        ImageState
	Reason       string // why it is rejected, unverified or changed
	FileBytes    int64  // what the volume occupies in the pool
	VirtualBytes int64
	SHA256       string // of the file as it was uploaded; empty when not known
	Path         string // on the host
	Owner        string
	Created      time.Time
	// Firmware is what its nodes boot with unless they are told otherwise: "bios", "uefi" or
	// "uefi-secure"; empty for the default. TPM says that they have a TPM 2.0 then.
	Firmware string
	TPM      bool
}

// Images returns all images, by host, type and name.
func (s *Service) Images() []Image {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var list []Image
	for _, lib := range s.libraries {
		for _, img := range lib.images {
			list = append(list, img)
		}
	}
	slices.SortFunc(list, func(a, b Image) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Type, b.Type), cmp.Compare(a.DisplayName, b.DisplayName), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// Image returns one image of a host, of any host for the empty name;
// fault.ImageNotFound when there is none.
func (s *Service) Image(host, id string) (Image, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, h := range s.o.Hosts.Hosts() {
		if host != "" && host != h.Name() {
			continue
		}
		if img, ok := s.libraries[h.Name()].images[id]; ok {
			return img, nil
		}
	}
	return Image{}, NotFound(id)
}

// NotFound tells that there is no such image, for all that is to be known.
func NotFound(id string) error {
	return fault.New(fault.ImageNotFound, "Image %q not found.", id)
}

// Usable is Image, and fault.ImageNotReady when the image must not be used.
func (s *Service) Usable(host, id string) (Image, error) {
	img, err := s.Image(host, id)
	if err != nil {
		return Image{}, err
	}
	if img.State != Ready {
		reason := img.Reason
		if reason == "" {
			reason = "wait until it is ready"
		}
		return Image{}, fault.New(fault.ImageNotReady, "Image %q can't be used: it is %s. %s.", id, img.State, strings.TrimSuffix(reason, "."))
	}
	return img, nil
}

// DeleteImage removes an image. It is refused with fault.ImageInUse while any
// volume that libvirt knows in a pool, also one that virsh made, lies on it. checks see the image
// right before; the error of one ends the deletion.
func (s *Service) DeleteImage(ctx context.Context, id string, checks ...func(Image) error) error {
	img, err := s.Image("", id)
	if err != nil {
		return err
	}
	if img.State == Uploading {
		return fault.New(fault.ImageInUse, "Image %q is being uploaded. Cancel the upload instead.", id)
	}
	if img.State == Verifying {
		return fault.New(fault.ImageInUse, "Image %q is being verified or converted. Wait until it has finished, or cancel its job.", id)
	}
	err = s.alone(ctx, img, func(ctx context.Context) error {
		for _, check := range checks {
			err := s.o.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
				_, err := checkLocked(tx, img, check)
				return err
			})
			if err != nil {
				return err
			}
		}
		if img.Path != "" {
			if err := s.ImagesPool(img.Host).Delete(ctx, volumeName(img)); err != nil {
				return err
			}
		}
		ctx, cancel := Cleanup(ctx)
		defer cancel()
		return s.o.DB.WithContext(ctx).Delete(&record{Host: img.Host, ID: id}).Error
	})
	if err != nil {
		return err
	}
	ctx, cancel := Cleanup(ctx)
	defer cancel()
	return s.refresh(ctx, img.Host, false)
}

func volumeName(img Image) string { return img.Path[strings.LastIndexByte(img.Path, '/')+1:] }

// refresh reads the host's images pool and replaces what is known of it. With
// anew, libvirt first looks at the folder again, unless it is busy there.
func (s *Service) refresh(ctx context.Context, host string, anew bool) error {
	lib := s.libraries[host]
	select {
	case lib.turn <- struct{}{}:
		defer func() { <-lib.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	// The records first: a volume whose record is written later is seen as
	// unverified until the next reading, never the other way round.
	var records []record
	if err := s.o.DB.WithContext(ctx).Where("host = ?", host).Find(&records).Error; err != nil {
		return fmt.Errorf("read the image records: %w", err)
	}
	var vols []libvirtxml.StorageVolume
	err := s.ImagesPool(host).Do(ctx, func(h *Handle) (err error) {
		if anew {
			switch err := rescan(h.StoragePool); {
			case IsBusy(err): // what libvirt knows counts until the next time
				s.o.Log.Info("the images pool is not read anew, for a volume is being made in it", "host", host)
			case err != nil:
				return err
			}
		}
		vols, err = volumes(h.StoragePool)
		return err
	})
	if err != nil {
		return err
	}
	images := s.match(ctx, host, records, vols)

	s.mu.Lock()
	before := lib.images
	lib.images = images
	s.mu.Unlock()
	for id, img := range images {
		if old, ok := before[id]; !ok || old != img {
			s.o.Events.Publish(event.ImageChanged, img)
		}
	}
	for id, old := range before {
		if _, ok := images[id]; !ok {
			s.o.Events.Publish(event.ImageRemoved, Removed{Host: host, ID: id, Image: old})
		}
	}
	return nil
}

// Removed is the data of event.ImageRemoved.
type Removed struct {
	Host string `json:"host"`
	ID   string `json:"id"`
	// Image is what it was last, for those who decide who is told.
	Image Image `json:"-"`
}

// match joins the records with the volumes. A record whose volume is gone is
// dropped. A volume without record is a base image when its name says so and
// its header is safe; else it is unverified. One that an image is just being written
// to anew, or was before, is neither, while the image has its volume.
func (s *Service) match(ctx context.Context, host string, records []record, vols []libvirtxml.StorageVolume) map[string]Image {
	byVolume := map[string]record{}
	for _, r := range records {
		byVolume[r.Volume] = r
	}
	whole := map[string]bool{} // stems of the images that have their volume
	for _, v := range vols {
		if _, known := byVolume[v.Name]; known {
			whole[stemOf(v.Name)] = true
		}
	}
	images := map[string]Image{}
	for _, v := range vols {
		if v.Type != "file" || strings.HasPrefix(v.Name, ".") {
			continue
		}
		r, known := byVolume[v.Name]
		delete(byVolume, v.Name)
		if !known && whole[stemOf(v.Name)] {
			continue
		}
		switch {
		case !known:
			r = s.discover(ctx, host, v.Name)
		case ImageState(r.State) == missing:
			r = s.judge(ctx, r, v.Name)
		default:
			s.bind(ctx, &r, v)
		}
		img := r.image()
		if v.Target != nil {
			img.Path = v.Target.Path
			if img.Format == "" && v.Target.Format != nil {
				img.Format = v.Target.Format.Type
			}
		}
		if v.Capacity != nil {
			img.VirtualBytes = int64(v.Capacity.Value) //nolint:gosec // libvirt reports bytes of a real volume
		}
		switch {
		case v.Physical != nil:
			img.FileBytes = int64(v.Physical.Value) //nolint:gosec // as above
		case v.Allocation != nil:
			img.FileBytes = int64(v.Allocation.Value) //nolint:gosec // as above
		}
		images[img.ID] = img
	}
	for _, r := range byVolume {
		switch ImageState(r.State) {
		case Uploading, Verifying, Rejected:
			images[r.ID] = r.image() // its volume is not there yet, or not any more
			continue
		case missing:
			continue
		}
		s.o.Log.Info("an image's volume is gone", "host", host, "image", r.ID)
		// What was known of it stays, but for what its bytes were found to be. It may have
		// another volume by now, or be deleted.
		err := s.o.DB.WithContext(ctx).Model(&record{}).Where("host = ? AND id = ? AND volume = ? AND state = ?", host, r.ID, r.Volume, r.State).
			Updates(map[string]any{"state": missing, "reason": "", "sha256": ""}).Error
		if err != nil {
			s.o.Log.Error("an image record cannot be saved", "image", r.ID, "error", err)
		}
	}
	return images
}

// discover decides what a volume is that nobody recorded.
func (s *Service) discover(ctx context.Context, host, volume string) record {
	id := strings.TrimSuffix(volume, ".qcow2")
	r := record{
		Host: host, ID: volume, Type: Custom, Volume: volume, DisplayName: id, Created: time.Now(), State: string(Unverified),
		Reason: "It was put into the pool by another program and was not verified. Verify it to use it.",
	}
	stem := stemOf(volume)
	entry, listed := s.entry(stem)
	if listed = listed && id != volume; listed {
		id = stem
	}
	if listed {
		r.ID, r.Type, r.DisplayName, r.OSType, r.Firmware, r.TPM = id, Base, entry.Name, entry.OSType, entry.Firmware, entry.TPM
	}
	if before, err := s.Image(host, r.ID); err == nil {
		r.Created = before.Created // found once: nothing has changed
	}
	if !listed {
		return r
	}
	return s.judge(ctx, r, volume)
}

// judge looks into a volume that may have been changed by others, and records it
// when it is found good.
func (s *Service) judge(ctx context.Context, r record, volume string) record {
	found, err := s.inspect(ctx, r.Host, volume)
	switch {
	case err == nil:
		r.State, r.Reason, r.Format, r.Fingerprint = string(Ready), "", found.format, found.fingerprint
	case fault.CodeOf(err) == fault.ImageUnsafe:
		r.State, r.Reason = string(Rejected), err.(*fault.Error).Message //nolint:errorlint // CodeOf said so
		return r                                                         // it may still be on its way into the pool: looked at again at the next reading
	default:
		r.State, r.Reason = string(Unverified), "It could not be read: "+libvirtText(err)+"."
		return r // tried again at the next reading
	}
	if err := s.saveFound(ctx, r); err != nil {
		s.o.Log.Error("an image record cannot be saved", "image", r.ID, "error", err)
	}
	return r
}

func (r record) image() Image {
	return Image{
		Host: r.Host, ID: r.ID, Type: r.Type, DisplayName: r.DisplayName, OSType: r.OSType, State: ImageState(r.State),
		Reason: r.Reason, SHA256: r.SHA256, Owner: r.Owner, Created: r.Created, Format: r.Format, SourceFormat: r.SourceFormat, Description: r.Description, Tags: r.Tags,
		Firmware: r.Firmware, TPM: r.TPM,
	}
}

// save inserts or replaces a record.
func (s *Service) save(ctx context.Context, r record) error {
	return s.o.DB.WithContext(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&r).Error
}

// saveFound records an image that was found in the pool. What is on record of its id
// stays, unless that has no volume.
func (s *Service) saveFound(ctx context.Context, r record) error {
	gone := clause.IN{Column: clause.Column{Table: r.TableName(), Name: "state"}, Values: []any{missing, Rejected}}
	return s.o.DB.WithContext(ctx).Clauses(clause.OnConflict{UpdateAll: true, Where: clause.Where{Exprs: []clause.Expression{gone}}}).Create(&r).Error
}
