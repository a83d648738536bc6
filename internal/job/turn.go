package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
)

const (
	// heavyOfOwner is how many heavy jobs of one owner run at once, in all processes. heavyAtOnce is
	// how many a process runs at once, so that workers remain for other jobs.
	heavyOfOwner = 2
	heavyAtOnce  = workers - 2
	// turnPause is how long a job waits for its turn unless it is woken.
	turnPause = 30 * time.Second
	// turnMemory is for how long an owner's last heavy job affects the order.
	turnMemory = 24 * time.Hour
)

// turnLock is the PostgreSQL advisory lock that serializes decisions about which job runs next.
const turnLock int64 = 0x53424c4a4f425302

// errNotItsTurn is the error of take for a heavy job that has to wait for others.
var errNotItsTurn = errors.New("other jobs come first")

// checkTurn returns errNotItsTurn if a queued heavy job has to wait for others. The decision is
// valid until the transaction ends.
func (s *Service) checkTurn(tx *gorm.DB, id string) error {
	heavy := s.heavyKinds()
	if len(heavy) == 0 {
		return nil
	}
	if tx.Name() == "postgres" { // SQLite transactions take the write lock when they begin
		if err := tx.Exec("SELECT pg_advisory_xact_lock(?)", turnLock).Error; err != nil {
			return err
		}
	}
	var waits int64
	if err := tx.Model(&row{}).Where("id = ? AND state = ? AND kind IN ?", id, Queued, heavy).Count(&waits).Error; err != nil || waits == 0 {
		return err
	}
	next, err := s.next(tx, id)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(next, func(r row) bool { return r.ID == id }) {
		return errNotItsTurn
	}
	return nil
}

// wake schedules the heavy jobs whose turn it is to run now.
func (s *Service) wake(ctx context.Context) {
	if len(s.heavyKinds()) == 0 || ctx.Err() != nil {
		return
	}
	next, err := s.next(s.o.DB.WithContext(ctx), "")
	for _, r := range next {
		if err == nil {
			_, err = s.queue.JobRetry(ctx, r.QueueID)
		}
	}
	if err != nil && ctx.Err() == nil { // they run later without this
		s.o.Log.Warn("jobs whose turn it is cannot be woken", "error", err)
	}
}

func (s *Service) heavyKinds() (names []string) {
	for name, kind := range s.kinds {
		if kind.Heavy {
			names = append(names, name)
		}
	}
	return names
}

// next returns the heavy jobs that may begin in this process now, in order: jobs of the owner with
// the fewest running jobs first, then of the owner whose last job began the longest time ago, then
// the oldest job. It considers the job with the id asked as queued, whatever its record says.
func (s *Service) next(db *gorm.DB, asked string) ([]row, error) {
	heavy := s.heavyKinds()
	var rows []row
	err := db.Select("id", "kind", "owner", "target_host", "state", "holder", "next_attempt", "queue_id").
		Where("state IN ? AND kind IN ?", Active, heavy).Order("id").Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read the jobs that wait: %w", err)
	}
	t := turns{running: map[string]int{}, last: map[string]string{}, slots: map[string]bool{}, free: heavyAtOnce, kinds: s.kinds}
	began := now()
	for _, r := range rows {
		switch {
		case r.State == Queued && (r.ID == asked || r.NextAttempt == nil || !r.NextAttempt.After(began)):
			t.waiting = append(t.waiting, r)
		case r.State != Queued && r.Holder != "":
			t.note(r)
			if r.Holder == s.o.Lease.Holder() {
				t.free--
			}
		}
	}
	if len(t.waiting) == 0 {
		return nil, nil
	}
	var last []struct{ Owner, Last string }
	err = db.Model(&row{}).Select("owner, MAX(started) AS last").
		Where("kind IN ? AND started > ?", heavy, began.Add(-turnMemory)).Group("owner").Scan(&last).Error
	if err != nil {
		return nil, fmt.Errorf("read whose jobs ran: %w", err)
	}
	for _, l := range last {
		t.last[l.Owner] = l.Last
	}
	return t.order(), nil
}

// justNow sorts after all times.
const justNow = "~"

// turns is the state that determines which job runs next.
type turns struct {
	kinds   map[string]Kind
	waiting []row             // oldest first
	running map[string]int    // by owner
	last    map[string]string // by owner: when the latest job began, as sortable text
	slots   map[string]bool   // in use
	free    int               // how many more jobs the process may begin
}

// slotOf returns the name of the slot that a job uses; empty if it uses none.
func (t *turns) slotOf(r row) string {
	if slot := t.kinds[r.Kind].Slot; slot != "" {
		return slot + " " + r.TargetHost
	}
	return ""
}

// note counts a running job.
func (t *turns) note(r row) {
	t.running[r.Owner]++
	if slot := t.slotOf(r); slot != "" {
		t.slots[slot] = true
	}
}

// order returns the jobs that may begin, in order.
func (t *turns) order() (next []row) {
	for ; t.free > 0; t.free-- {
		best := -1
		for i, r := range t.waiting {
			if t.running[r.Owner] >= heavyOfOwner || t.slots[t.slotOf(r)] {
				continue
			}
			if best < 0 || t.compare(r, t.waiting[best]) < 0 {
				best = i
			}
		}
		if best < 0 {
			return next
		}
		r := t.waiting[best]
		t.waiting = slices.Delete(t.waiting, best, best+1)
		t.note(r)
		t.last[r.Owner] = justNow
		next = append(next, r)
	}
	return next
}

// compare orders two waiting jobs.
func (t *turns) compare(a, b row) int {
	return cmp.Or(
		cmp.Compare(t.running[a.Owner], t.running[b.Owner]),
		cmp.Compare(t.last[a.Owner], t.last[b.Owner]),
		cmp.Compare(a.ID, b.ID),
	)
}
