package access

import (
	"context"
	"fmt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Refresh returns a principal as it is now; fault.Unauthenticated when its session or its
// token has ended, or its account is disabled. Unlike an entry it does not count as a use.
// Open is not changed.
func (s *Service) Refresh(ctx context.Context, p Principal) (Principal, error) {
	ended := fault.New(fault.Unauthenticated, "You were signed out. Sign in again.")
	if p.UserID == "" {
		return p, nil
	}
	u, found, err := s.userByID(ctx, p.UserID)
	if err != nil {
		return Principal{}, fmt.Errorf("read account %s: %w", p.UserID, err)
	}
	if !found || u.Disabled {
		return Principal{}, ended
	}
	now := u.principal()
	switch {
	case p.TokenID != "":
		row, found, err := one[tokenRow](s.db.WithContext(ctx).Where("id = ? AND user_id = ? AND (expires IS NULL OR expires > ?)", p.TokenID, u.ID, s.now()))
		if err != nil {
			return Principal{}, fmt.Errorf("look token %s up: %w", p.TokenID, err)
		}
		if !found || now.MustChange {
			return Principal{}, ended
		}
		now.TokenID, now.Scopes = row.ID, row.Scopes
	case p.SessionID != "":
		at := s.now()
		_, found, err := one[session](s.db.WithContext(ctx).Where("id = ? AND expires > ? AND used > ?", p.sessionKey, at, at.Add(-s.idle)))
		if err != nil {
			return Principal{}, fmt.Errorf("look a session up: %w", err)
		}
		if !found || u.Epoch != p.epoch {
			return Principal{}, ended
		}
		now.SessionID, now.sessionKey, now.epoch = p.SessionID, p.sessionKey, p.epoch
	default:
		return Principal{}, ended
	}
	return now, nil
}
