package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-gormigrate/gormigrate/v2"
	"gorm.io/gorm"
)

// reasonMigration adds to the intents what became of the attempts to settle them.
func reasonMigration() *gormigrate.Migration {
	return &gormigrate.Migration{
		ID: "2026113001_intents_attempts",
		Migrate: func(tx *gorm.DB) error {
			return AddColumns(tx.Table("intents"), &intentRow{}, "Attempts", "Tried", "Reason")
		},
	}
}

// maxReasonBytes bounds the reason that is kept.
const maxReasonBytes = 2048

// Failed records that an attempt to settle an intent failed, and why. It is no error when
// the intent is already gone.
func (s *Intents) Failed(ctx context.Context, id, reason string) error {
	err := s.db.WithContext(ctx).Model(&intentRow{}).Where("id = ?", id).Updates(map[string]any{
		"attempts": gorm.Expr("attempts + 1"), "tried": time.Now().UTC().Truncate(time.Microsecond), "reason": reason[:min(len(reason), maxReasonBytes)],
	}).Error
	if err != nil {
		return fmt.Errorf("record why intent %s is not settled: %w", id, err)
	}
	return nil
}

// Unsettled returns the intents of all hosts that could not be settled when that was
// tried, oldest first, whichever process tried.
func (s *Intents) Unsettled(ctx context.Context) ([]Intent, error) {
	var rows []intentRow
	if err := s.db.WithContext(ctx).Where("attempts > 0").Order("created, id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the intents that are not settled: %w", err)
	}
	intents := make([]Intent, len(rows))
	for i, row := range rows {
		intents[i] = row.intent()
	}
	return intents, nil
}

// CountUnsettled returns how many intents Unsettled has for each host.
func (s *Intents) CountUnsettled(ctx context.Context) (map[string]int, error) {
	var counts []struct {
		Host   string
		Number int
	}
	err := s.db.WithContext(ctx).Model(&intentRow{}).Select("host, count(*) AS number").Where("attempts > 0").Group("host").Find(&counts).Error
	if err != nil {
		return nil, fmt.Errorf("count the intents that are not settled: %w", err)
	}
	byHost := map[string]int{}
	for _, c := range counts {
		byHost[c.Host] = c.Number
	}
	return byHost, nil
}

// Find returns one of those that Unsettled returns; ok is false when it is not among them.
func (s *Intents) Find(ctx context.Context, id string) (in Intent, ok bool, err error) {
	var row intentRow
	err = s.db.WithContext(ctx).Where("id = ? AND attempts > 0", id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Intent{}, false, nil
	}
	if err != nil {
		return Intent{}, false, fmt.Errorf("find intent %s: %w", id, err)
	}
	return row.intent(), true, nil
}
