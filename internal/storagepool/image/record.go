package image

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// Record is what the database stores about an image and libvirt cannot: where it came from
// and what was detected in it. Host and ID are its key.
type Record struct {
	Host        string `gorm:"primaryKey"`
	ID          string `gorm:"primaryKey"`
	Type        string `gorm:"not null"`
	Volume      string `gorm:"not null"`
	DisplayName string `gorm:"not null"`
	OSType      string
	State       string `gorm:"not null"`
	Reason      string
	SHA256      string
	Owner       string
	Created     time.Time `gorm:"not null"`
	// Format was detected in its first bytes when it was verified; empty for records from
	// before this column, whose images are qcow2.
	Format      string `gorm:"type:varchar(16)"`
	Description string `gorm:"type:text"`
	Tags        string `gorm:"type:text"` // one per line
	// SourceFormat is the format of the uploaded file: "vmdk", "raw.xz". Empty if unknown.
	SourceFormat string `gorm:"type:varchar(64)"`
	// Firmware is the default firmware of its nodes, empty for the service's default; TPM
	// is whether they have a TPM 2.0.
	Firmware string `gorm:"type:varchar(16);not null;default:''"`
	TPM      bool   `gorm:"not null;default:false"`
	// Fingerprint is that of the verified file; see fingerprintOf. For records from before
	// this column, it is empty until the pool is read.
	Fingerprint string `gorm:"type:varchar(128);not null;default:''"`
}

// TableName returns the table's name for GORM.
func (Record) TableName() string { return "images" }

// Arrival describes an image that is about to be uploaded.
type Arrival struct {
	Host     string
	FileName string // as a client sent it: untrusted
	OSType   string
	// Firmware and TPM are those of Image.
	Firmware string
	TPM      bool
	Owner    string
	// BaseID makes it the base image with this id; empty makes it a custom image.
	BaseID string
}

// NewRecord returns the record of an image that is about to be uploaded. Create saves it.
func (s *Service) NewRecord(u Arrival) Record {
	now := time.Now()
	stem := safeStem(u.FileName)
	rec := Record{
		Host: u.Host, Type: Custom, DisplayName: shownName(u.FileName), OSType: u.OSType, Firmware: u.Firmware, TPM: u.TPM,
		State: string(Uploading), Owner: u.Owner, Created: now,
	}
	format := diskimage.QCOW2
	if isoName.MatchString(u.FileName) {
		format = diskimage.ISO // only for the name: the format is detected in the first bytes
	}
	rec.Volume = fmt.Sprintf("%s_%d.%s", stem, s.uniqueMilli(now), format)
	rec.ID = rec.Volume
	if u.BaseID != "" {
		rec.Type, rec.ID, rec.Volume, rec.DisplayName = Base, u.BaseID, u.BaseID+".qcow2", u.BaseID
		if e, ok := s.o.Catalog.Entry(u.BaseID); ok {
			rec.DisplayName = e.Name
			if rec.OSType == "" {
				rec.OSType = e.OSType
			}
			rec.Firmware, rec.TPM = cmp.Or(rec.Firmware, e.Firmware), rec.TPM || e.TPM
		}
	}
	return rec
}

// MustBeFree returns an error if the volume of a base image already exists, before
// anything is recorded that could cause its deletion: disks may be backed by it. The
// volume names of custom images are always new.
func (s *Service) MustBeFree(ctx context.Context, rec Record) error {
	if rec.Type != Base {
		return nil
	}
	return s.o.Pools.ImagesPool(rec.Host).Do(ctx, func(h *storagepool.Handle) error {
		return h.Anew(ctx, func(lp *libvirt.StoragePool) error {
			is, err := storagepool.Has(lp, rec.Volume)
			if err == nil && is {
				err = VolumeExists(rec.Host, rec.Volume)
			}
			return err
		})
	})
}

// VolumeExists returns the error for a volume that already exists.
func VolumeExists(host, volume string) error {
	return fault.New(fault.Unsupported, "Volume %[2]q already exists in the images pool of host %[1]q. Choose another id, or delete that volume if it is not in use.", host, volume)
}

// IsReady returns whether an image is ready according to its record.
func (s *Service) IsReady(ctx context.Context, host, id string) (bool, error) {
	var n int64
	err := s.o.DB.WithContext(ctx).Model(&Record{}).Where("host = ? AND id = ? AND state = ?", host, id, Ready).Count(&n).Error
	return n > 0, err
}

// Create saves the record of an image that is about to be uploaded. It replaces only a
// record whose image is missing or rejected.
func (r Record) Create(tx *gorm.DB) error {
	if err := tx.Where("state IN ?", []State{missing, Rejected}).Delete(&Record{Host: r.Host, ID: r.ID}).Error; err != nil {
		return fmt.Errorf("replace the record of an image that is gone: %w", err)
	}
	// Create, not save: never overwrite an existing base image.
	if err := tx.Create(&r).Error; err != nil {
		return fmt.Errorf("record the image: %w", err)
	}
	return nil
}

// Change updates columns of an image's record, if it exists.
func Change(tx *gorm.DB, host, id string, columns map[string]any) error {
	return tx.Model(&Record{}).Where("host = ? AND id = ?", host, id).Updates(columns).Error
}

// ForgetUnfinished removes the record of an image whose upload or verification has not
// finished.
func ForgetUnfinished(tx *gorm.DB, host, id string) error {
	return tx.Where("state IN ?", []State{Uploading, Verifying}).Delete(&Record{Host: host, ID: id}).Error
}
