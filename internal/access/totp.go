package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// The second factor: time-based codes (RFC 6238), as in authenticator apps.
const (
	totpIssuer = "SandboxLabs"
	totpPeriod = 30 // seconds
	totpSkew   = 1  // periods of clock deviation that are allowed in each direction

	recoveryCodes = 10 // of one account
	maxCodeBytes  = 64 // of what someone types
)

var totpOptions = totp.ValidateOpts{Period: totpPeriod, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

// recoveryCode is a code that replaces the second factor once.
type recoveryCode struct {
	UserID string `gorm:"primaryKey"`
	Hash   string `gorm:"primaryKey"` // SHA-256: 80 random bits need no slower one
}

// TableName names the table.
func (recoveryCode) TableName() string { return "recovery_codes" }

// Enrolment is an unconfirmed second factor. Both fields are secrets.
type Enrolment struct {
	Secret string // base32, to type
	URI    string // otpauth://…, for a QR code
}

// EnrolTOTP creates a secret for the second factor of p's account, which has no effect
// before ConfirmTOTP. It returns fault.Unsupported when there is one already, and for an
// account that comes in through a provider; fault.ConfirmationRequired for a session that
// is not fresh, and fault.Forbidden for a token.
func (s *Service) EnrolTOTP(ctx context.Context, p Principal) (Enrolment, error) {
	u, err := s.own(ctx, p)
	if err == nil {
		err = s.checkEnrols(ctx, p)
	}
	switch {
	case err != nil:
		return Enrolment{}, err
	case u.Password == "":
		return Enrolment{}, fault.New(fault.Unsupported, "You sign in through a provider. Set up two-factor authentication there.")
	case u.TOTPOn:
		return Enrolment{}, fault.New(fault.Unsupported, "Two-factor authentication is already on. Turn it off before you set it up again.")
	}
	key, err := totp.Generate(totp.GenerateOpts{
		Issuer: totpIssuer, AccountName: u.Name, Period: totpPeriod, Digits: totpOptions.Digits, Algorithm: totpOptions.Algorithm, Rand: rand.Reader,
	})
	if err != nil {
		return Enrolment{}, fmt.Errorf("make a second factor: %w", err)
	}
	sealed, err := s.vault.Seal(totpPurpose(u.ID), key.Secret())
	if err != nil {
		return Enrolment{}, fmt.Errorf("encrypt a second factor: %w", err)
	}
	result := s.db.WithContext(ctx).Model(&user{}).Where("id = ? AND NOT totp_on", u.ID).Updates(map[string]any{"totp_secret": sealed, "totp_step": 0})
	if result.Error != nil {
		return Enrolment{}, fmt.Errorf("store a second factor: %w", result.Error)
	}
	return Enrolment{Secret: key.Secret(), URI: key.URL()}, nil
}

// checkEnrols returns an error if p must not set up a second factor: with a stolen session
// or token, one could lock out the owner.
func (s *Service) checkEnrols(ctx context.Context, p Principal) error {
	if p.TokenID != "" {
		return fault.New(fault.Forbidden, "Tokens can't set up two-factor authentication. Sign in with your password.")
	}
	return s.checkFresh(ctx, p)
}

// ConfirmTOTP turns on the second factor that EnrolTOTP created, using a code from the app,
// and returns the recovery codes, of which only hashes are stored. It returns fault.Invalid
// for a wrong code and fault.Unsupported when nothing was begun.
func (s *Service) ConfirmTOTP(ctx context.Context, p Principal, code string) (recovery []string, err error) {
	u, err := s.own(ctx, p)
	if err == nil {
		err = s.checkEnrols(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	if u.TOTPSecret == "" || u.TOTPOn {
		return nil, fault.New(fault.Unsupported, "No set-up of two-factor authentication is pending. Start again.")
	}
	step, err := s.matchTOTP(u, plainCode(code))
	if err != nil {
		return nil, err
	}
	if step == 0 {
		return nil, fault.Field("code", "Code incorrect. Enter the current code from your authenticator app, and check that your phone's clock is correct.")
	}
	err = s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		// Only the secret that was matched, not one that was created meanwhile.
		result := tx.Model(&user{}).Where("id = ? AND totp_secret = ? AND NOT totp_on", u.ID, u.TOTPSecret).Updates(map[string]any{"totp_on": true, "totp_step": step})
		if result.Error != nil {
			return result.Error
		}
		if result.RowsAffected == 0 {
			return fault.New(fault.Unsupported, "The set-up was started again meanwhile. Use the newer key.")
		}
		if err := tx.Where("user_id = ?", u.ID).Delete(&recoveryCode{}).Error; err != nil {
			return err
		}
		rows := make([]recoveryCode, recoveryCodes)
		for i := range rows {
			code := newRecoveryCode()
			recovery = append(recovery, code)
			rows[i] = recoveryCode{UserID: u.ID, Hash: recoveryHash(u.ID, plainCode(code))}
		}
		return tx.Create(&rows).Error
	})
	if fault.CodeOf(err) == fault.Internal {
		return nil, fmt.Errorf("switch a second factor on: %w", err)
	}
	if err != nil {
		return nil, err
	}
	s.log.InfoContext(ctx, "second factor set up", "user", u.Name)
	return recovery, nil
}

// RemoveTOTP removes the second factor of p's account, if the password is right. It returns
// the errors of SignIn for a wrong one.
func (s *Service) RemoveTOTP(ctx context.Context, p Principal, c Credentials) error {
	c.Name = p.Name
	u, err := s.verify(ctx, c)
	if err != nil {
		return err
	}
	return s.ResetTOTP(ctx, u.Name)
}

// ResetTOTP removes the second factor of an account whose owner has lost it. It returns
// fault.NotFound for an unknown account, and for one without a second factor.
func (s *Service) ResetTOTP(ctx context.Context, name string) error {
	if name = canonical(name); !storable(name, MaxNameBytes) {
		return errNoAccount()
	}
	err := s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		u, found, err := one[user](tx.Where("name = ?", name))
		if err != nil {
			return err
		}
		if !found {
			return errNoAccount()
		}
		if u.TOTPSecret == "" {
			return fault.New(fault.NotFound, "Account %q has no second factor.", u.Name)
		}
		return dropTOTP(tx, u.ID)
	})
	if fault.CodeOf(err) == fault.Internal {
		return fmt.Errorf("remove a second factor: %w", err)
	}
	if err == nil {
		s.log.InfoContext(ctx, "second factor removed", "user", name)
	}
	return err
}

// RecoveryCodesLeft returns how many recovery codes p's account has not used.
func (s *Service) RecoveryCodesLeft(ctx context.Context, p Principal) (int, error) {
	var n int64
	if err := s.db.WithContext(ctx).Model(&recoveryCode{}).Where("user_id = ?", p.UserID).Count(&n).Error; err != nil {
		return 0, fmt.Errorf("count the recovery codes: %w", err)
	}
	return int(n), nil
}

// secondFactor checks the code of an account with a second factor, and uses it up.
func (s *Service) secondFactor(ctx context.Context, u user, c Credentials) error {
	if !u.TOTPOn {
		return nil
	}
	if strings.TrimSpace(c.Code) == "" {
		return fault.New(fault.SecondFactorRequired, "Enter the 6-digit code from your authenticator app, or a recovery code.")
	}
	used, err := s.useCode(ctx, u, c.Code)
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	if !used {
		a, err := s.attemptOf(ctx, u.Name, c.Address)
		if err != nil {
			return fmt.Errorf("sign in: %w", err)
		}
		s.attempts.failed(a)
		s.log.WarnContext(ctx, "sign-in refused: wrong second factor", "user", u.Name, "from", c.Address)
		return fault.New(fault.SecondFactorRequired, "Code incorrect or already used. Wait for a new one, or use a recovery code.")
	}
	return nil
}

// useCode reports whether a code is valid, and invalidates it.
func (s *Service) useCode(ctx context.Context, u user, typed string) (bool, error) {
	code := plainCode(typed)
	step, err := s.matchTOTP(u, code)
	if err != nil {
		return false, err
	}
	if step == 0 {
		result := s.db.WithContext(ctx).Where("user_id = ? AND hash = ?", u.ID, recoveryHash(u.ID, code)).Delete(&recoveryCode{})
		if result.RowsAffected == 1 {
			s.log.WarnContext(ctx, "a recovery code was used", "user", u.Name)
		}
		return result.RowsAffected == 1, result.Error
	}
	// If two requests use a code at the same time, even on different replicas, only one
	// succeeds.
	result := s.db.WithContext(ctx).Model(&user{}).Where("id = ? AND totp_step < ?", u.ID, step).Update("totp_step", step)
	return result.RowsAffected == 1, result.Error
}

// matchTOTP returns the time step of a code; 0 if it is not currently valid.
func (s *Service) matchTOTP(u user, code string) (step int64, err error) {
	secret, err := s.vault.Open(totpPurpose(u.ID), u.TOTPSecret)
	if err != nil {
		return 0, fmt.Errorf("read the second factor of account %s: %w", u.ID, err)
	}
	now := s.now().Unix() / totpPeriod
	for at := now - totpSkew; at <= now+totpSkew; at++ {
		want, err := totp.GenerateCodeCustom(secret, time.Unix(at*totpPeriod, 0), totpOptions)
		if err != nil {
			return 0, fmt.Errorf("compute a code of account %s: %w", u.ID, err)
		}
		if subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step = at
		}
	}
	return step, nil
}

// Reseal encrypts all stored secrets by the vault's newest key, and returns how many there
// are. It can be interrupted and repeated.
func (s *Service) Reseal(ctx context.Context) (int, error) {
	var users []user
	if err := s.db.WithContext(ctx).Where("totp_secret <> ''").Find(&users).Error; err != nil {
		return 0, fmt.Errorf("list the second factors: %w", err)
	}
	for _, u := range users {
		secret, err := s.vault.Open(totpPurpose(u.ID), u.TOTPSecret)
		if err != nil {
			return 0, fmt.Errorf("the second factor of account %q: %w", u.Name, err)
		}
		sealed, err := s.vault.Seal(totpPurpose(u.ID), secret)
		if err != nil {
			return 0, err
		}
		// One that is changed meanwhile is encrypted by the newest key already.
		err = s.db.WithContext(ctx).Model(&user{}).Where("id = ? AND totp_secret = ?", u.ID, u.TOTPSecret).Update("totp_secret", sealed).Error
		if err != nil {
			return 0, fmt.Errorf("store the second factor of account %q: %w", u.Name, err)
		}
	}
	return len(users), nil
}

// own reads p's account; fault.Unsupported for Open, which has none.
func (s *Service) own(ctx context.Context, p Principal) (user, error) {
	if p.UserID == "" {
		return user{}, fault.New(fault.Unsupported, "Sign-in is turned off (auth: off), so there are no accounts.")
	}
	u, found, err := s.userByID(ctx, p.UserID)
	if err != nil {
		return user{}, fmt.Errorf("read account %s: %w", p.UserID, err)
	}
	if !found {
		return user{}, errNoAccount()
	}
	return u, nil
}

// dropTOTP removes a second factor with its recovery codes.
func dropTOTP(tx *gorm.DB, userID string) error {
	err := tx.Model(&user{}).Where("id = ?", userID).Updates(map[string]any{"totp_secret": "", "totp_on": false, "totp_step": 0}).Error
	if err != nil {
		return err
	}
	return tx.Where("user_id = ?", userID).Delete(&recoveryCode{}).Error
}

// totpPurpose binds an encrypted secret to its account.
func totpPurpose(userID string) string { return "totp:" + userID }

// plainCode removes separators from a code.
func plainCode(typed string) string {
	if len(typed) > maxCodeBytes {
		return ""
	}
	return strings.ToLower(strings.NewReplacer(" ", "", "-", "", "\t", "").Replace(typed))
}

// newRecoveryCode returns a code of 80 random bits.
func newRecoveryCode() string {
	text := strings.ToLower(rand.Text()) // base32
	return text[0:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:16]
}

func recoveryHash(userID, code string) string { return hashSecret(userID + ":" + code) }
