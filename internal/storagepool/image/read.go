package image

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm/clause"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// Refresh reads the host's images pool and replaces the cached images. With anew, it
// refreshes the pool first, unless libvirt is busy in it.
func (s *Service) Refresh(ctx context.Context, host string, anew bool) error {
	shelf := s.shelves[host]
	select {
	case shelf.turn <- struct{}{}:
		defer func() { <-shelf.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	// The records first: a volume whose record is written in between is shown as
	// unverified until the next refresh, but an image is never missing.
	var records []Record
	if err := s.o.DB.WithContext(ctx).Where("host = ?", host).Find(&records).Error; err != nil {
		return fmt.Errorf("read the image records: %w", err)
	}
	var vols []libvirtxml.StorageVolume
	err := s.o.Pools.ImagesPool(host).Do(ctx, func(h *storagepool.Handle) (err error) {
		if anew {
			switch err := h.Rescan(); {
			case storagepool.IsBusy(err): // use what libvirt knows until the next refresh
				s.o.Log.Info("the images pool is not read anew, for a volume is being made in it", "host", host)
			case err != nil:
				return err
			}
		}
		vols, err = storagepool.Volumes(h.StoragePool)
		return err
	})
	if err != nil {
		return err
	}
	images := s.match(ctx, host, records, vols)

	s.mu.Lock()
	before := shelf.images
	shelf.images = images
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
	// Image is its last state, to decide which users may receive the event.
	Image Image `json:"-"`
}

// match joins the records with the volumes. A record whose volume does not exist gets the
// state missing. A volume without a record is a base image if its name is in the catalogue
// and its header is safe; otherwise it is unverified. The new or previous volume of a
// compacted image is ignored while the image has its own volume.
func (s *Service) match(ctx context.Context, host string, records []Record, vols []libvirtxml.StorageVolume) map[string]Image {
	byVolume := map[string]Record{}
	for _, r := range records {
		byVolume[r.Volume] = r
	}
	whole := map[string]bool{} // stems of the images whose volumes exist
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
		case State(r.State) == missing:
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
		switch State(r.State) {
		case Uploading, Verifying, Rejected:
			images[r.ID] = r.image() // its volume does not exist yet, or no longer
			continue
		case missing:
			continue
		}
		s.o.Log.Info("an image's volume is gone", "host", host, "image", r.ID)
		// Keep the record, except for what was detected in the file. The image may have
		// another volume by now, or be deleted.
		err := s.o.DB.WithContext(ctx).Model(&Record{}).Where("host = ? AND id = ? AND volume = ? AND state = ?", host, r.ID, r.Volume, r.State).
			Updates(map[string]any{"state": missing, "reason": "", "sha256": ""}).Error
		if err != nil {
			s.o.Log.Error("an image record cannot be saved", "image", r.ID, "error", err)
		}
	}
	return images
}

// discover returns the record for a volume that has none.
func (s *Service) discover(ctx context.Context, host, volume string) Record {
	id := strings.TrimSuffix(volume, ".qcow2")
	r := Record{
		Host: host, ID: volume, Type: Custom, Volume: volume, DisplayName: id, Created: time.Now(), State: string(Unverified),
		Reason: "It was put into the pool by another program and was not verified. Verify it to use it.",
	}
	stem := stemOf(volume)
	entry, listed := s.o.Catalog.Entry(stem)
	if listed = listed && id != volume; listed {
		id = stem
	}
	if listed {
		r.ID, r.Type, r.DisplayName, r.OSType, r.Firmware, r.TPM = id, Base, entry.Name, entry.OSType, entry.Firmware, entry.TPM
	}
	if before, err := s.Image(host, r.ID); err == nil {
		r.Created = before.Created // already found by an earlier refresh
	}
	if !listed {
		return r
	}
	return s.judge(ctx, r, volume)
}

// judge inspects a volume that may have been changed by another program, and records the
// image if the volume is safe.
func (s *Service) judge(ctx context.Context, r Record, volume string) Record {
	found, err := s.Inspect(ctx, r.Host, volume)
	switch {
	case err == nil:
		r.State, r.Reason, r.Format, r.Fingerprint = string(Ready), "", found.Format, found.Fingerprint
	case fault.CodeOf(err) == fault.ImageUnsafe:
		r.State, r.Reason = string(Rejected), err.(*fault.Error).Message //nolint:errorlint // CodeOf said so
		return r                                                         // it may still be copied into the pool: inspected again by the next refresh
	default:
		r.State, r.Reason = string(Unverified), "It could not be read: "+storagepool.LibvirtText(err)+"."
		return r // tried again by the next refresh
	}
	if err := s.saveFound(ctx, r); err != nil {
		s.o.Log.Error("an image record cannot be saved", "image", r.ID, "error", err)
	}
	return r
}

func (r Record) image() Image {
	return Image{
		Host: r.Host, ID: r.ID, Type: r.Type, DisplayName: r.DisplayName, OSType: r.OSType, State: State(r.State),
		Reason: r.Reason, SHA256: r.SHA256, Owner: r.Owner, Created: r.Created, Format: r.Format, SourceFormat: r.SourceFormat, Description: r.Description, Tags: r.Tags,
		Firmware: r.Firmware, TPM: r.TPM,
	}
}

// save inserts or replaces a record.
func (s *Service) save(ctx context.Context, r Record) error {
	return s.o.DB.WithContext(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&r).Error
}

// saveFound records an image that was found in the pool. It replaces a record of the same
// id only if that has no volume.
func (s *Service) saveFound(ctx context.Context, r Record) error {
	gone := clause.IN{Column: clause.Column{Table: r.TableName(), Name: "state"}, Values: []any{missing, Rejected}}
	return s.o.DB.WithContext(ctx).Clauses(clause.OnConflict{UpdateAll: true, Where: clause.Where{Exprs: []clause.Expression{gone}}}).Create(&r).Error
}
