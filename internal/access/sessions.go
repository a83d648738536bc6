package access

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Session is a session as its owner sees it.
type Session struct {
	ID      string // opens nothing
	Created time.Time
	Used    time.Time // exact to a minute
	Expires time.Time // at the latest
	Address string    // that it was opened from
	Agent   string    // what the client called itself then
}

// Sessions lists the sessions of p's account that have not ended, the one that was
// used last first.
func (s *Service) Sessions(ctx context.Context, p Principal) ([]Session, error) {
	var rows []session
	now := s.now()
	err := s.db.WithContext(ctx).Where("user_id = ? AND expires > ? AND used > ?", p.UserID, now, now.Add(-s.idle)).
		Order("used DESC, created DESC, public_id").Find(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("list the sessions: %w", err)
	}
	list := make([]Session, len(rows))
	for i, r := range rows {
		// By idleness it may end before the time that it ends at the latest.
		list[i] = Session{ID: r.PublicID, Created: r.Created.UTC(), Used: r.Used.UTC(), Expires: r.Expires.UTC(), Address: r.Address, Agent: r.Agent}
	}
	return list, nil
}

// EndSession ends one of p's sessions, with all that it has open. For any other it returns
// fault.NotFound.
func (s *Service) EndSession(ctx context.Context, p Principal, id string) error {
	unknown := fault.New(fault.NotFound, "Session not found. It may have ended.")
	if uuid.Validate(id) != nil {
		return unknown
	}
	result := s.db.WithContext(ctx).Where("user_id = ? AND public_id = ?", p.UserID, id).Delete(&session{})
	if result.Error != nil {
		return fmt.Errorf("end session %s: %w", id, result.Error)
	}
	if result.RowsAffected == 0 {
		return unknown
	}
	s.log.InfoContext(ctx, "session ended by its owner", "user", p.Name, "session", id)
	return nil
}

// endSessions ends all sessions of an account.
func endSessions(tx *gorm.DB, userID string) error {
	return tx.Where("user_id = ?", userID).Delete(&session{}).Error
}
