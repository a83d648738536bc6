package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// tokenPrefix lets people and secret scanners recognise a token.
const tokenPrefix = "sbx_"

// MaxTokenNameBytes is the longest name of a token, in bytes.
const MaxTokenNameBytes = 100

// maxTokens is the maximum number of tokens per account. Expired ones are deleted if it is
// reached.
const maxTokens = 100

// Token is a bearer token without its secret.
type Token struct {
	ID       string
	Name     string
	UserID   string
	UserName string
	Created  time.Time
	Expires  time.Time // zero: never
	LastUsed time.Time // zero: never; exact to a minute
	Scopes   ScopeSet
}

// tokenRow is a token as it is stored.
type tokenRow struct {
	ID      string `gorm:"primaryKey"`
	UserID  string
	User    user
	Name    string
	Hash    string // SHA-256 of the secret; no slower hash is needed for 256 random bits
	Created time.Time
	Expires *time.Time
	Used    *time.Time
	Scopes  ScopeSet
	// ParentID is the token that made this one, and takes it along when it is deleted.
	ParentID string
}

// TableName names the table.
func (tokenRow) TableName() string { return "tokens" }

// ByToken returns whom a bearer token stands for, and counts as its use. An
// unknown or expired token gives fault.Unauthenticated.
func (s *Service) ByToken(ctx context.Context, secret string) (Principal, error) {
	unknown := fault.New(fault.Unauthenticated, "The token is invalid or has expired. Create a new one.")
	if !strings.HasPrefix(secret, tokenPrefix) {
		return Principal{}, unknown
	}
	now := s.now()
	row, found, err := one[tokenRow](s.db.WithContext(ctx).Preload("User").Where("hash = ?", hashSecret(secret)))
	if err != nil {
		return Principal{}, fmt.Errorf("look a token up: %w", err)
	}
	if !found || row.User.ID == "" || row.User.Disabled || (row.Expires != nil && !now.Before(*row.Expires)) {
		return Principal{}, unknown
	}
	if row.Used == nil || now.Sub(*row.Used) >= touchEvery {
		err := s.db.WithContext(ctx).Model(&tokenRow{}).
			Where("id = ? AND (used IS NULL OR used < ?)", row.ID, now).Update("used", now).Error
		if err != nil {
			return Principal{}, fmt.Errorf("mark the use of token %s: %w", row.ID, err)
		}
	}
	p := row.User.principal()
	p.TokenID, p.Scopes = row.ID, row.Scopes
	return p, nil
}

// CreateToken makes a bearer token that acts as p's account, and returns its secret, which
// is kept nowhere. The zero time means that it never expires; one made with another token
// ends with that token, and is good for nothing that the other is not. A session has to be
// fresh for one that is good for more than reading. Without scopes it is good for all that
// its maker is. It returns fault.Invalid for a bad name or scope or a time that has passed,
// fault.Forbidden for a scope that the maker lacks, fault.QuotaExceeded for one token too
// many, and fault.Unsupported for Open, which has no account.
func (s *Service) CreateToken(ctx context.Context, p Principal, name string, expires time.Time, scopes ...Scope) (t Token, secret string, err error) {
	name = strings.TrimSpace(name)
	now := s.now()
	switch {
	case p.UserID == "":
		return Token{}, "", fault.New(fault.Unsupported, "Sign-in is turned off, so tokens are not needed.")
	case !storable(name, MaxTokenNameBytes):
		return Token{}, "", fault.Field("name", "Enter a name of 1 to %d bytes without control characters.", MaxTokenNameBytes)
	case !expires.IsZero() && !expires.After(now):
		return Token{}, "", fault.Field("expires", "Choose an expiry time in the future, or none.")
	}
	set, err := scopeSet(scopes)
	if err != nil {
		return Token{}, "", err
	}
	if set != ScopeSet(ScopeRead) {
		if err := s.checkFresh(ctx, p); err != nil {
			return Token{}, "", err
		}
	}
	secret = newSecret(tokenPrefix)
	row := tokenRow{ID: newID(), UserID: p.UserID, Name: name, Hash: hashSecret(secret), Created: now, Scopes: set, ParentID: p.TokenID}
	if !expires.IsZero() {
		row.Expires = new(time.Time)
		*row.Expires = expires.UTC().Truncate(time.Microsecond)
	}
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		if p.TokenID != "" {
			parent, found, err := one[tokenRow](tx.Where("id = ?", p.TokenID))
			if err != nil {
				return err
			}
			if !found {
				return fault.New(fault.Unauthenticated, "The token that made this request has been deleted.")
			}
			if parent.Expires != nil && (row.Expires == nil || row.Expires.After(*parent.Expires)) {
				row.Expires = parent.Expires
			}
			for _, scope := range scopes {
				if !parent.Scopes.Has(scope) {
					return fault.New(fault.Forbidden, "The token used for this request lacks the scope %q, so the new one can't have it.", scope)
				}
			}
			if len(scopes) == 0 {
				row.Scopes = parent.Scopes
			}
		}
		if err := checkTokenLimit(tx, p.UserID, now); err != nil {
			return err
		}
		return tx.Omit("User").Create(&row).Error
	})
	if err != nil {
		return Token{}, "", fmt.Errorf("create a token: %w", err)
	}
	s.log.InfoContext(ctx, "token created", "user", p.Name, "token", row.ID)
	row.User = user{Name: p.Name}
	return row.token(), secret, nil
}

// checkTokenLimit returns fault.QuotaExceeded when an account has as many tokens as it may
// have. Those that have expired go first.
func checkTokenLimit(tx *gorm.DB, userID string, now time.Time) error {
	count := func() (n int64, err error) {
		err = tx.Model(&tokenRow{}).Where("user_id = ?", userID).Count(&n).Error
		return n, err
	}
	n, err := count()
	if err != nil || n < maxTokens {
		return err
	}
	if err := tx.Where("user_id = ? AND expires <= ?", userID, now).Delete(&tokenRow{}).Error; err != nil {
		return err
	}
	if n, err = count(); err == nil && n >= maxTokens {
		err = fault.New(fault.QuotaExceeded, "You have %d tokens, which is the limit. Delete tokens that are no longer used.", n)
	}
	return err
}

// Tokens lists p's tokens, an administrator's view being everyone's, oldest first; expired
// ones are among them.
func (s *Service) Tokens(ctx context.Context, p Principal) ([]Token, error) {
	var rows []tokenRow
	if err := s.visible(ctx, p).Preload("User").Order("created, id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list the tokens: %w", err)
	}
	tokens := make([]Token, len(rows))
	for i, row := range rows {
		tokens[i] = row.token()
	}
	return tokens, nil
}

// DeleteToken deletes one of the tokens that Tokens lists for p; it opens nothing from then
// on, nor do those that it made. For any other it returns fault.NotFound.
func (s *Service) DeleteToken(ctx context.Context, p Principal, id string) error {
	unknown := fault.New(fault.NotFound, "Token not found.")
	if uuid.Validate(id) != nil {
		return unknown
	}
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		query := tx.Where("id = ?", id)
		if p.Role != RoleAdmin {
			query = query.Where("user_id = ?", p.UserID)
		}
		result := query.Delete(&tokenRow{})
		if result.Error == nil && result.RowsAffected == 0 {
			return unknown
		}
		for parents := []string{id}; result.Error == nil && len(parents) > 0; {
			var children []string
			if err := tx.Model(&tokenRow{}).Where("parent_id IN ?", parents).Pluck("id", &children).Error; err != nil {
				return err
			}
			if len(children) > 0 {
				result = tx.Where("id IN ?", children).Delete(&tokenRow{})
			}
			parents = children
		}
		return result.Error
	})
	if fault.CodeOf(err) == fault.Internal {
		return fmt.Errorf("delete token %s: %w", id, err)
	}
	if err != nil {
		return err
	}
	s.log.InfoContext(ctx, "token deleted", "user", p.Name, "token", id)
	return nil
}

// visible is the query of the tokens that p may see and delete.
func (s *Service) visible(ctx context.Context, p Principal) *gorm.DB {
	query := s.db.WithContext(ctx)
	if p.Role == RoleAdmin {
		return query
	}
	return query.Where("user_id = ?", p.UserID)
}

func (r tokenRow) token() Token {
	t := Token{ID: r.ID, Name: r.Name, UserID: r.UserID, UserName: r.User.Name, Created: r.Created.UTC(), Scopes: r.Scopes}
	if r.Expires != nil {
		t.Expires = r.Expires.UTC()
	}
	if r.Used != nil {
		t.LastUsed = r.Used.UTC()
	}
	return t
}

// newSecret returns prefix and 256 random bits.
func newSecret(prefix string) string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return prefix + base64.RawURLEncoding.EncodeToString(b)
}

func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
