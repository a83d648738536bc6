package audit

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// exportPage is how many entries an export holds in memory at once.
const exportPage = 500

// Filter chooses entries; a zero member chooses all.
type Filter struct {
	Actor  string // the account's name
	Action string
	Target string    // the id or the name of what was acted on
	Since  time.Time // inclusive
	Until  time.Time // exclusive
}

// Search returns up to limit entries, newest first, that are older than the entry of the id
// before (0: from the newest), and the id to continue with, 0 at the end.
func (s *Service) Search(ctx context.Context, f Filter, before int64, limit int) (entries []Entry, next int64, err error) {
	query := f.on(s.db.WithContext(ctx)).Order("id DESC").Limit(limit + 1)
	if before > 0 {
		query = query.Where("id < ?", before)
	}
	if err := query.Find(&entries).Error; err != nil {
		return nil, 0, fmt.Errorf("search the audit entries: %w", err)
	}
	if len(entries) > limit {
		entries = entries[:limit]
		next = entries[limit-1].ID
	}
	return entries, next, nil
}

// Each calls f with every chosen entry, oldest first, until f returns an error,
// which Each returns. It takes little memory however many there are.
func (s *Service) Each(ctx context.Context, filter Filter, f func(Entry) error) error {
	for last := int64(0); ; {
		var page []Entry
		err := filter.on(s.db.WithContext(ctx)).Where("id > ?", last).Order("id").Limit(exportPage).Find(&page).Error
		if err != nil {
			return fmt.Errorf("read the audit entries: %w", err)
		}
		for _, e := range page {
			if err := f(e); err != nil {
				return err
			}
			last = e.ID
		}
		if len(page) < exportPage {
			return nil
		}
	}
}

func (f Filter) on(query *gorm.DB) *gorm.DB {
	if f.Actor != "" {
		query = query.Where("actor = ?", plain(f.Actor))
	}
	if f.Action != "" {
		query = query.Where("action = ?", plain(f.Action))
	}
	if f.Target != "" {
		target := plain(f.Target)
		query = query.Where("(target_id = ? OR target_name = ?)", target, target)
	}
	if !f.Since.IsZero() {
		query = query.Where("time >= ?", f.Since.UTC())
	}
	if !f.Until.IsZero() {
		query = query.Where("time < ?", f.Until.UTC())
	}
	return query
}
