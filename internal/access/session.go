package access

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/alexedwards/scs/v2"
	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Bounds of what is kept of sessions.
const (
	maxSessions     = 100 // of one account
	maxAddressBytes = 64
	maxAgentBytes   = 255
)

// touchEvery is the grain of last-used times: within it, use costs no write.
const touchEvery = time.Minute

// The values that a session holds.
const (
	sessionID    = "id"
	sessionUser  = "user"
	sessionEpoch = "epoch"
)

// newSessions returns the session manager. It is not made by scs.New, which
// starts a goroutine that cannot be stopped for a store that we do not use.
func newSessions(store sessionStore, lifetime time.Duration) *scs.SessionManager {
	return &scs.SessionManager{
		Lifetime:         lifetime,
		Store:            store,
		Codec:            scs.GobCodec{},
		HashTokenInStore: true,
	}
}

// BySession returns whom a session stands for, and counts as its use. Without a session, or
// when it has ended, it returns fault.Unauthenticated.
func (s *Service) BySession(ctx context.Context, sessionToken string) (Principal, error) {
	if sessionToken == "" {
		return Principal{}, errNoSession()
	}
	loaded, err := s.sessions.Load(ctx, sessionToken)
	if err != nil {
		return Principal{}, fmt.Errorf("read a session: %w", err)
	}
	userID := s.sessions.GetString(loaded, sessionUser)
	if userID == "" {
		return Principal{}, errNoSession()
	}
	u, found, err := s.userByID(ctx, userID)
	if err != nil {
		return Principal{}, fmt.Errorf("read the account of a session: %w", err)
	}
	if !found || u.Disabled || u.Epoch != s.sessions.GetInt64(loaded, sessionEpoch) {
		return Principal{}, errNoSession()
	}
	p := u.principal()
	p.SessionID, p.sessionKey, p.epoch = s.sessions.GetString(loaded, sessionID), sessionKey(sessionToken), u.Epoch
	return p, nil
}

// SignOut ends the session that p came in by. It is not an error when it has ended already,
// or there was none.
func (s *Service) SignOut(ctx context.Context, p Principal) error {
	err := s.EndSession(ctx, p, p.SessionID)
	if fault.CodeOf(err) == fault.NotFound {
		return nil
	}
	return err
}

// Opened is a session that was opened just now.
type Opened struct {
	Token     string    // only for the browser; not stored
	Expires   time.Time // at the latest
	Principal Principal
}

// Visit is where someone signs in from.
type Visit struct {
	Address string // of the client, without a port; failures are counted by it, too
	Agent   string // what the client calls itself
}

// openSession stores a new session for an account. Sessions that have ended are
// removed at the same time, so that nothing need run in the background; so are the
// account's oldest ones, where it has too many.
func (s *Service) openSession(ctx context.Context, u user, from Visit) (o Opened, err error) {
	defer func() {
		if err != nil {
			o, err = Opened{}, fmt.Errorf("open a session: %w", err)
		}
	}()
	now := s.now()
	err = s.db.WithContext(ctx).Where("expires <= ? OR used <= ?", now, now.Add(-s.idle)).Delete(&session{}).Error
	if err != nil {
		return Opened{}, err
	}
	kept := s.db.Model(&session{}).Select("id").Where("user_id = ?", u.ID).Order("used DESC, id").Limit(maxSessions - 1)
	if err := s.db.WithContext(ctx).Where("user_id = ? AND id NOT IN (?)", u.ID, kept).Delete(&session{}).Error; err != nil {
		return Opened{}, err
	}
	p := u.principal()
	p.SessionID = uuid.NewString()
	ctx, err = s.sessions.Load(context.WithValue(ctx, openingKey{}, session{
		PublicID: p.SessionID, UserID: u.ID, Created: now, Address: brief(from.Address, maxAddressBytes), Agent: brief(from.Agent, maxAgentBytes),
	}), "")
	if err != nil {
		return Opened{}, err
	}
	s.sessions.SetDeadline(ctx, now.Add(s.lifetime))
	s.sessions.Put(ctx, sessionID, p.SessionID)
	s.sessions.Put(ctx, sessionUser, u.ID)
	s.sessions.Put(ctx, sessionEpoch, u.Epoch)
	o.Token, o.Expires, err = s.sessions.Commit(ctx)
	if err != nil {
		return Opened{}, err
	}
	p.sessionKey, p.epoch = sessionKey(o.Token), u.Epoch
	o.Principal = p
	s.log.InfoContext(ctx, "signed in", "user", u.Name)
	return o, nil
}

// brief is a text that may be stored, cut to so many bytes.
func brief(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}

// sessionKey is the key of a session's row: what scs makes of its token.
func sessionKey(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (u user) principal() Principal {
	return Principal{UserID: u.ID, Name: u.Name, Role: u.Role, MustChange: u.MustChange}
}

func errNoSession() error {
	return fault.New(fault.Unauthenticated, "Sign in. There is no session, or it has ended.")
}

// session is a session as it is stored.
type session struct {
	ID       string `gorm:"primaryKey"` // the token's hash, made by scs
	PublicID string // names it to its owner, and opens nothing
	UserID   string
	Data     []byte
	Created  time.Time
	Used     time.Time
	Expires  time.Time
	Address  string
	Agent    string
	// Confirmed is when the password was shown again; nil: not since the sign-in.
	Confirmed *time.Time
}

// openingKey is under what openSession hands the store what scs does not know.
type openingKey struct{}

// TableName names the table.
func (session) TableName() string { return "sessions" }

// sessionStore keeps the sessions of scs in the database. It measures idleness
// itself, because scs would write the whole session on every request.
type sessionStore struct {
	db   *gorm.DB
	now  func() time.Time
	idle time.Duration
}

var _ scs.CtxStore = sessionStore{}

// FindCtx returns the data of a session that has not ended, and marks its use.
func (s sessionStore) FindCtx(ctx context.Context, token string) (data []byte, found bool, err error) {
	now := s.now()
	row, found, err := one[session](s.db.WithContext(ctx).
		Where("id = ? AND expires > ? AND used > ?", token, now, now.Add(-s.idle)))
	if err != nil || !found {
		return nil, false, err
	}
	if now.Sub(row.Used) >= touchEvery {
		err := s.db.WithContext(ctx).Model(&session{}).Where("id = ? AND used < ?", token, now).Update("used", now).Error
		if err != nil {
			return nil, false, err
		}
	}
	return row.Data, true, nil
}

// CommitCtx stores a session that openSession opens.
func (s sessionStore) CommitCtx(ctx context.Context, token string, data []byte, expires time.Time) error {
	row, ok := ctx.Value(openingKey{}).(session)
	if !ok {
		return errors.New("a session is stored only when it is opened")
	}
	row.ID, row.Data, row.Used, row.Expires = token, data, s.now(), expires.UTC()
	return s.db.WithContext(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(&row).Error
}

// DeleteCtx removes a session, if it is there.
func (s sessionStore) DeleteCtx(ctx context.Context, token string) error {
	return s.db.WithContext(ctx).Where("id = ?", token).Delete(&session{}).Error
}

// Find is FindCtx for callers without a context.
func (s sessionStore) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit is CommitCtx for callers without a context.
func (s sessionStore) Commit(token string, data []byte, expires time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expires)
}

// Delete is DeleteCtx for callers without a context.
func (s sessionStore) Delete(token string) error {
	return s.DeleteCtx(context.Background(), token)
}
