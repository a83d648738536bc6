package access

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// entry is what an Entry holds.
type entry struct {
	User       string `json:"user"`
	Session    string `json:"session,omitempty"`
	SessionKey string `json:"key,omitempty"`
	Epoch      int64  `json:"epoch,omitempty"`
	Token      string `json:"token,omitempty"`
}

// Entry names the session or the token that p came in by, for what has to end with it.
// It opens nothing, may be stored, and is at most 255 bytes long; "" for Open, which
// never ends.
func (p Principal) Entry() (string, error) {
	if p.UserID == "" {
		return "", nil
	}
	text, err := json.Marshal(entry{p.UserID, p.SessionID, p.sessionKey, p.epoch, p.TokenID}) //nolint:gosec // the key is a hash of the session's token, and opens nothing
	return string(text), err
}

// Ended reports whether what an Entry names has ended: by signing out, a timeout, another
// password, a revoked token, or an account that is disabled or deleted.
func (s *Service) Ended(ctx context.Context, of string) (bool, error) {
	if of == "" {
		return false, nil
	}
	var e entry
	if err := json.Unmarshal([]byte(of), &e); err != nil {
		return false, fmt.Errorf("read the name of an entry: %w", err)
	}
	_, err := s.Refresh(ctx, Principal{UserID: e.User, SessionID: e.Session, TokenID: e.Token, sessionKey: e.SessionKey, epoch: e.Epoch})
	if fault.CodeOf(err) == fault.Unauthenticated {
		return true, nil
	}
	return false, err
}
