package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"
)

// This file has what recovery needs: which changes were interrupted, and the results of the
// attempts to complete or undo them.

// Left returns the intents on a host, of these kinds, that nobody is working on.
func (s *Intents) Left(ctx context.Context, host string, kinds ...string) ([]Intent, error) {
	s.ongoing.beginning.Lock()
	defer s.ongoing.beginning.Unlock()
	s.ongoing.mu.Lock()
	ours := maps.Clone(s.ongoing.ids) // before the list: changes that end meanwhile need no recovery
	s.ongoing.mu.Unlock()
	pending, err := s.Pending(ctx, host, kinds...)
	return slices.DeleteFunc(pending, func(in Intent) bool { return ours[in.ID] }), err
}

// Pending returns the intents on one host (the empty name selects intents without a host), oldest
// first: those of the given kinds, or of all kinds if none is given. It leaves out those that
// another living process holds (see Hold) and, for some seconds, those of a process that has just
// ended (see Ended). It includes this process's own intents: see Left.
func (s *Intents) Pending(ctx context.Context, host string, kinds ...string) ([]Intent, error) {
	rows, err := s.rows(ctx, host, kinds)
	if err != nil {
		return nil, err
	}
	var intents []Intent
	holders := map[string]bool{}
	for _, row := range rows {
		left, err := s.left(ctx, holders, row)
		if err != nil {
			return nil, err
		}
		if left {
			intents = append(intents, row.intent())
		}
	}
	return intents, nil
}

// All is Pending including the intents that other living processes hold.
func (s *Intents) All(ctx context.Context, host string, kinds ...string) ([]Intent, error) {
	rows, err := s.rows(ctx, host, kinds)
	var intents []Intent
	for _, row := range rows {
		intents = append(intents, row.intent())
	}
	return intents, err
}

func (s *Intents) rows(ctx context.Context, host string, kinds []string) ([]intentRow, error) {
	query := s.db.WithContext(ctx).Where("host = ?", host)
	if len(kinds) > 0 {
		query = query.Where("kind IN ?", kinds)
	}
	var rows []intentRow
	if err := query.Order("created, id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the intents on host %q: %w", host, err)
	}
	return rows, nil
}

// left returns whether no other process works on an intent: its holder has ended, or it never had
// one.
func (s *Intents) left(ctx context.Context, holders map[string]bool, row intentRow) (bool, error) {
	if row.Holder == s.lease.Holder() {
		return true, nil // the caller knows which are its own
	}
	if known, ok := holders[row.Holder]; ok {
		return known, nil
	}
	if row.Holder == "" {
		return true, nil // begun without Hold
	}
	ended, err := s.lease.Ended(ctx, row.Holder)
	holders[row.Holder] = ended
	return ended, err
}

// maxReasonBytes limits the stored reason.
const maxReasonBytes = 2048

// Failed records that an attempt to settle an intent failed, and why. It returns no error if the
// intent is already gone.
func (s *Intents) Failed(ctx context.Context, id, reason string) error {
	err := s.db.WithContext(ctx).Model(&intentRow{}).Where("id = ?", id).Updates(map[string]any{
		"attempts": gorm.Expr("attempts + 1"), "tried": time.Now().UTC().Truncate(time.Microsecond), "reason": reason[:min(len(reason), maxReasonBytes)],
	}).Error
	if err != nil {
		return fmt.Errorf("record why intent %s is not settled: %w", id, err)
	}
	return nil
}

// Unsettled returns the intents of all hosts that some process tried to settle without success,
// oldest first.
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

// CountUnsettled returns the number of Unsettled intents by host.
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

// Find returns one of the intents that Unsettled returns; ok is false otherwise.
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
