package image

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Edit describes changes to an image; nil fields stay unchanged.
type Edit struct {
	DisplayName *string
	Description *string
	Tags        *[]string
	// Firmware and TPM are the defaults of its nodes; an empty firmware selects the
	// service's default. The caller must have validated the firmware.
	Firmware *string
	TPM      *bool
}

// EditImage changes the user-editable fields of an image. check, which may be nil, is
// called with the image right before; an error aborts the change. Errors: fault.Invalid,
// ImageNotFound, ImageNotReady for an image without a record.
func (s *Service) EditImage(ctx context.Context, id string, e Edit, check func(Image) error) (Image, error) {
	img, err := s.Image("", id)
	if err != nil {
		return Image{}, err
	}
	change := map[string]any{}
	if e.DisplayName != nil {
		if err := checkDisplayName("displayName", *e.DisplayName); err != nil {
			return Image{}, err
		}
		change["display_name"] = *e.DisplayName
	}
	if e.Description != nil {
		if err := fault.CheckDescription(*e.Description); err != nil {
			return Image{}, err
		}
		change["description"] = *e.Description
	}
	if e.Tags != nil {
		if err := fault.CheckTags(*e.Tags); err != nil {
			return Image{}, err
		}
		tags := slices.Clone(*e.Tags)
		slices.Sort(tags)
		change["tags"] = strings.Join(slices.Compact(tags), "\n")
	}
	if e.Firmware != nil {
		change["firmware"] = *e.Firmware
	}
	if e.TPM != nil {
		change["tpm"] = *e.TPM
	}
	if len(change) == 0 {
		return img, nil
	}
	return s.changeRecord(ctx, img, change, check)
}

// SetImageOwner transfers an image to another account, given by its id. Errors: those of
// EditImage.
func (s *Service) SetImageOwner(ctx context.Context, id, account string) error {
	img, err := s.Image("", id)
	if err == nil {
		_, err = s.changeRecord(ctx, img, map[string]any{"owner": account}, nil)
	}
	return err
}

// changeRecord updates columns of an image's record and returns the updated image. check,
// which may be nil, is called with the image right before; an error aborts the change.
func (s *Service) changeRecord(ctx context.Context, img Image, change map[string]any, check func(Image) error) (Image, error) {
	id := img.ID
	err := s.o.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		found, err := checkLocked(tx, img, check)
		if err != nil {
			return err
		}
		if !found {
			return fault.New(fault.ImageNotReady, "Image %q was put into the pool by another program. Verify it first.", id)
		}
		return tx.Model(&Record{}).Where("host = ? AND id = ?", img.Host, id).Updates(change).Error
	})
	if fault.CodeOf(err) == fault.Internal {
		return Image{}, fmt.Errorf("describe the image %s: %w", id, err)
	}
	if err != nil {
		return Image{}, err
	}
	if err := s.Refresh(ctx, img.Host, false); err != nil {
		return Image{}, err
	}
	return s.Image(img.Host, id)
}

// checkLocked locks an image's record until the end of the transaction, and calls check,
// which may be nil, with the image's current data. It returns whether there is a record.
func checkLocked(tx *gorm.DB, img Image, check func(Image) error) (found bool, err error) {
	var now []Record
	// This locks the row on databases with more than one concurrent writer.
	if err := tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("host = ? AND id = ?", img.Host, img.ID).Find(&now).Error; err != nil {
		return false, err
	}
	if len(now) > 0 {
		img.DisplayName, img.Description, img.Tags = now[0].DisplayName, now[0].Description, now[0].Tags
		img.Firmware, img.TPM = now[0].Firmware, now[0].TPM
	}
	if check == nil {
		return len(now) > 0, nil
	}
	return len(now) > 0, check(img)
}
