package access

import (
	"strings"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// longPassword returns a password of so many bytes that is not easy to guess.
func longPassword(bytes int) string {
	var text strings.Builder
	for text.Len() < bytes {
		text.WriteString(RandomPassword())
	}
	return text.String()[:bytes]
}

// TestFreshSessions has a session that is not fresh try what outlives it.
func TestFreshSessions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		f, ctx := newFixture(t, url), t.Context()
		name, password := f.admin(t)
		_, _, p, err := f.signIn(ctx, Credentials{Name: name, Password: password})
		if err != nil {
			t.Fatal(err)
		}
		try := func(when string, code fault.Code) {
			t.Helper()
			_, _, err := f.CreateToken(ctx, p, "all", time.Time{})
			wantCode(t, when+", a token for all", err, code)
			_, _, err = f.CreateToken(ctx, p, "nodes", time.Time{}, ScopeRead, ScopeNodes)
			wantCode(t, when+", a token for nodes", err, code)
			_, _, err = f.CreateToken(ctx, p, "read", time.Time{}, ScopeRead)
			wantCode(t, when+", a token for reading", err, "")
			_, err = f.EnrolTOTP(ctx, p)
			wantCode(t, when+", a second factor", err, code)
		}
		try("at once", "")
		f.clock.advance(SessionFresh - time.Second)
		try("just before the end", "")
		f.clock.advance(2 * time.Second)
		try("afterwards", fault.ConfirmationRequired)
		_, err = f.ConfirmTOTP(ctx, p, "123456")
		wantCode(t, "a code of the second factor", err, fault.ConfirmationRequired)

		wantCode(t, "a wrong password", f.Confirm(ctx, p, Credentials{Password: "wrong password"}), fault.Unauthenticated)
		try("after a wrong password", fault.ConfirmationRequired)
		if err := f.Confirm(ctx, p, Credentials{Name: "ignored", Password: password}); err != nil {
			t.Fatal(err)
		}
		try("confirmed", "")
		f.clock.advance(SessionFresh)
		try("long after", fault.ConfirmationRequired)

		// Another session of the account is not made fresh by it.
		_, _, other, err := f.signIn(ctx, Credentials{Name: name, Password: password})
		if err != nil {
			t.Fatal(err)
		}
		try("after another sign-in", fault.ConfirmationRequired)

		// With a second factor, confirming takes it.
		e, err := f.EnrolTOTP(ctx, other)
		if err != nil {
			t.Fatal(err)
		}
		codes, err := f.ConfirmTOTP(ctx, other, f.codeAt(t, e.Secret, 0))
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, "the password without the factor", f.Confirm(ctx, p, Credentials{Password: password}), fault.SecondFactorRequired)
		wantCode(t, "with a recovery code", f.Confirm(ctx, p, Credentials{Password: password, Code: codes[0]}), "")

		// A token can't, whatever its scopes; guesses count as they do at sign-in.
		token := Principal{UserID: p.UserID, Name: p.Name, Role: p.Role, TokenID: newID()}
		wantCode(t, "a token's password", f.Confirm(ctx, token, Credentials{Password: password}), fault.Unsupported)
		_, err = f.EnrolTOTP(ctx, token)
		wantCode(t, "a token's second factor", err, fault.Forbidden)
		_, err = f.ConfirmTOTP(ctx, token, "123456")
		wantCode(t, "a token's code", err, fault.Forbidden)
		for range 10 {
			err = f.Confirm(ctx, p, Credentials{Password: "wrong password"})
		}
		wantCode(t, "the tenth guess", err, fault.TooManyRequests)
	})
}

// TestResetsEndTokens resets passwords in each way, and looks at the tokens.
func TestResetsEndTokens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		f, ctx := newFixture(t, url), t.Context()
		name, _ := f.admin(t)
		next := func() *string { p := RandomPassword(); return &p }
		var mine string // the password that the owner knows
		for what, c := range map[string]struct {
			reset func() error
			kept  bool
		}{
			"by an administrator": {func() error { _, err := f.ChangeUser(ctx, name, UserChange{Password: next()}); return err }, false},
			"by an administrator, tokens kept": {func() error {
				_, err := f.ChangeUser(ctx, name, UserChange{Password: next(), KeepTokens: true})
				return err
			}, true},
			"by the command":                {func() error { return f.SetPassword(ctx, name, *next(), false, false) }, false},
			"by the command, tokens kept":   {func() error { return f.SetPassword(ctx, name, *next(), false, true) }, true},
			"by recover-admin":              {func() error { _, _, err := f.RecoverAdmin(ctx, false); return err }, false},
			"by recover-admin, tokens kept": {func() error { _, _, err := f.RecoverAdmin(ctx, true); return err }, true},
			"by its owner": {func() error {
				_, err := f.ChangePassword(ctx, Principal{Name: name}, Credentials{Password: mine}, *next())
				return err
			}, true},
			"by a change that is not a password": {func() error { off := false; _, err := f.ChangeUser(ctx, name, UserChange{Disabled: &off}); return err }, true},
		} {
			mine = RandomPassword()
			if err := f.SetPassword(ctx, name, mine, false, false); err != nil {
				t.Fatal(err)
			}
			_, _, p, err := f.signIn(ctx, Credentials{Name: name, Password: mine})
			if err != nil {
				t.Fatal(err)
			}
			_, secret, err := f.CreateToken(ctx, p, "t", time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			opened, err := f.ByToken(ctx, secret)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.reset(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			_, err = f.ByToken(ctx, secret)
			_, open := f.Refresh(ctx, opened)
			if (err == nil) != c.kept || (open == nil) != c.kept {
				t.Errorf("a reset %s: the token says %v, and what it had open %v", what, err, open)
			}
		}
	})
}

// TestForcedChangeBindsTokens keeps a token over a reset that forces a change.
func TestForcedChangeBindsTokens(t *testing.T) {
	f, ctx := newFixture(t, storetest.SQLite(t)), t.Context()
	name, password := f.admin(t)
	_, _, p, err := f.signIn(ctx, Credentials{Name: name, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	_, secret, err := f.CreateToken(ctx, p, "t", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := f.ByToken(ctx, secret)
	if err != nil {
		t.Fatal(err)
	}
	given := RandomPassword()
	if err := f.SetPassword(ctx, name, given, true, true); err != nil {
		t.Fatal(err)
	}
	if p, err := f.ByToken(ctx, secret); err != nil || !p.MustChange {
		t.Errorf("the token stands for %+v, %v", p, err)
	}
	_, err = f.Refresh(ctx, opened)
	wantCode(t, "what the token has open", err, fault.Unauthenticated)
	if _, err := f.ChangePassword(ctx, Principal{Name: name}, Credentials{Password: given}, RandomPassword()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Refresh(ctx, opened); err != nil {
		t.Errorf("after the change the token is %v", err)
	}
}

// TestTokensEndWithTheirMaker revokes a token that made others.
func TestTokensEndWithTheirMaker(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		f, ctx := newFixture(t, url), t.Context()
		name, password := f.admin(t)
		_, _, p, err := f.signIn(ctx, Credentials{Name: name, Password: password})
		if err != nil {
			t.Fatal(err)
		}
		chain := []string{}
		var first Token
		for range 3 {
			made, secret, err := f.CreateToken(ctx, p, "t", time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			if len(chain) == 0 {
				first = made
			}
			chain = append(chain, secret)
			if p, err = f.ByToken(ctx, secret); err != nil {
				t.Fatal(err)
			}
		}
		other, secret, err := f.CreateToken(ctx, Principal{UserID: p.UserID, Name: name, Role: RoleAdmin}, "beside", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.DeleteToken(ctx, p, first.ID); err != nil {
			t.Fatal(err)
		}
		for i, secret := range chain {
			_, err := f.ByToken(ctx, secret)
			wantCode(t, "token "+string(rune('1'+i))+" of the chain", err, fault.Unauthenticated)
		}
		if _, err := f.ByToken(ctx, secret); err != nil {
			t.Errorf("the token %s beside them: %v", other.ID, err)
		}
	})
}
