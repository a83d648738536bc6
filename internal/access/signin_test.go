package access

import (
	"crypto/ed25519"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"golang.org/x/crypto/ssh"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/secret"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// codeAt is what an authenticator app shows so long from now.
func (f fixture) codeAt(t *testing.T, secret string, later time.Duration) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, f.clock.now().Add(later))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// cheap remembers which password fits which hash: under the race detector each
// comparison takes a second.
func (f fixture) cheap() {
	compare, known := f.compare, map[string]bool{}
	f.Service.compare = func(password, hash string) (bool, error) {
		key := password + "\n" + hash
		if match, ok := known[key]; ok {
			return match, nil
		}
		match, err := compare(password, hash)
		known[key] = match
		return match, err
	}
}

// enrol gives an account a second factor.
func (f fixture) enrol(t *testing.T, p Principal) (secret string, recovery []string) {
	t.Helper()
	e, err := f.EnrolTOTP(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if recovery, err = f.ConfirmTOTP(t.Context(), p, f.codeAt(t, e.Secret, 0)); err != nil {
		t.Fatal(err)
	}
	return e.Secret, recovery
}

func TestSecondFactor(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		f := newFixture(t, url)
		f.cheap()
		name, password := f.admin(t)
		signIn := func(code string) (Principal, error) {
			_, _, p, err := f.signIn(ctx, Credentials{Name: name, Password: password, Code: code})
			return p, err
		}
		p, err := signIn("")
		if err != nil {
			t.Fatal(err)
		}

		// An unconfirmed set-up has no effect, and only the last one can be confirmed.
		_, err = f.ConfirmTOTP(ctx, p, "000000")
		wantCode(t, "nothing begun", err, fault.Unsupported)
		first, err := f.EnrolTOTP(ctx, p)
		if err != nil || !strings.HasPrefix(first.URI, "otpauth://totp/SandboxLabs:admin?") || !strings.Contains(first.URI, "secret="+first.Secret) {
			t.Fatalf("enrolment %+v, %v", first, err)
		}
		if _, err := signIn(""); err != nil {
			t.Errorf("a factor that is not confirmed is asked for: %v", err)
		}
		second, err := f.EnrolTOTP(ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.ConfirmTOTP(ctx, p, f.codeAt(t, first.Secret, 0))
		wantCode(t, "a code of the one before", err, fault.Invalid)
		code := f.codeAt(t, second.Secret, 0)
		recovery, err := f.ConfirmTOTP(ctx, p, code[:3]+" "+code[3:])
		if err != nil || len(recovery) != recoveryCodes {
			t.Fatalf("confirmed with %d recovery codes, %v", len(recovery), err)
		}
		_, err = f.EnrolTOTP(ctx, p)
		wantCode(t, "a second one", err, fault.Unsupported)

		// From now on it takes a code; the one that confirmed is used up.
		_, err = signIn("")
		wantCode(t, "without a code", err, fault.SecondFactorRequired)
		_, err = signIn(code)
		wantCode(t, "the code that confirmed", err, fault.SecondFactorRequired)
		_, _, _, err = f.signIn(ctx, Credentials{Name: name, Password: "wrong password", Code: f.codeAt(t, second.Secret, 30*time.Second)})
		wantCode(t, "a code with a wrong password", err, fault.Unauthenticated)
		next := f.codeAt(t, second.Secret, 30*time.Second) // of a clock that is fast
		if _, err := signIn(next); err != nil {
			t.Errorf("the next code: %v", err)
		}
		_, err = signIn(next)
		wantCode(t, "the same code again", err, fault.SecondFactorRequired)
		_, err = signIn(f.codeAt(t, second.Secret, 0))
		wantCode(t, "an earlier code after a later one", err, fault.SecondFactorRequired)
		f.clock.advance(5 * time.Minute)
		_, err = signIn(f.codeAt(t, second.Secret, -time.Minute))
		wantCode(t, "a code that is over", err, fault.SecondFactorRequired)
		_, err = signIn(f.codeAt(t, second.Secret, time.Minute))
		wantCode(t, "a code that is to come", err, fault.SecondFactorRequired)
		f.clock.advance(forgetAfter)

		// Of many who show one code at once, one gets in.
		code = f.codeAt(t, second.Secret, 0)
		u, _, err := f.userByName(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		var in atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if used, err := f.useCode(ctx, u, code); err != nil {
					t.Error(err)
				} else if used {
					in.Add(1)
				}
			})
		}
		all.Wait()
		if in.Load() != 1 {
			t.Errorf("%d of 8 got in by one code", in.Load())
		}

		// Recovery codes, each once.
		if _, err := signIn(strings.ToUpper(recovery[3])); err != nil {
			t.Errorf("a recovery code: %v", err)
		}
		_, err = signIn(recovery[3])
		wantCode(t, "the same recovery code again", err, fault.SecondFactorRequired)
		if left, err := f.RecoveryCodesLeft(ctx, p); err != nil || left != recoveryCodes-1 {
			t.Errorf("%d recovery codes are left, %v", left, err)
		}

		// The secret is encrypted, and stays readable when the keys change.
		if u.TOTPSecret == "" || strings.Contains(u.TOTPSecret, second.Secret) {
			t.Errorf("the secret is stored as %q", u.TOTPSecret)
		}
		if err := f.keys.Rotate(); err != nil {
			t.Fatal(err)
		}
		if n, err := f.Reseal(ctx); err != nil || n != 1 {
			t.Errorf("%d secrets encrypted again, %v", n, err)
		}
		if n, err := f.keys.Prune(); err != nil || n != 1 {
			t.Errorf("%d keys removed, %v", n, err)
		}
		f.clock.advance(time.Minute)
		if _, err := signIn(f.codeAt(t, second.Secret, 0)); err != nil {
			t.Errorf("after the rotation: %v", err)
		}

		// Removed by the password, by an administrator, by recovery.
		wantCode(t, "a wrong password", f.RemoveTOTP(ctx, p, Credentials{Password: "wrong password"}), fault.Unauthenticated)
		if err := f.RemoveTOTP(ctx, p, Credentials{Password: password}); err != nil {
			t.Error(err)
		}
		if _, err := signIn(""); err != nil {
			t.Errorf("without a factor: %v", err)
		}
		if err := f.Confirm(ctx, p, Credentials{Password: password}); err != nil {
			t.Error(err)
		}
		f.enrol(t, p)
		if err := f.ResetTOTP(ctx, "ADMIN"); err != nil {
			t.Error(err)
		}
		wantCode(t, "unknown account", f.ResetTOTP(ctx, "nobody"), fault.NotFound)
		_, recovery = f.enrol(t, p)
		if _, password, err = f.RecoverAdmin(ctx, false); err != nil {
			t.Fatal(err)
		}
		if _, err := signIn(""); err != nil {
			t.Errorf("after the recovery: %v", err)
		}
		for what, text := range map[string]string{"secret": second.Secret, "recovery code": recovery[0], "code": code} {
			if strings.Contains(f.log.String(), text) {
				t.Errorf("the log holds the %s", what)
			}
		}
	})
}

// TestGuessingCodesIsSlowedDown: a client that knows the password can't try all codes, and
// the password's being right does not make the failures forgotten.
func TestGuessingCodesIsSlowedDown(t *testing.T) {
	f := newFixture(t, "sqlite:"+t.TempDir()+"/x.db")
	f.cheap()
	name, password := f.admin(t)
	_, _, p, err := f.signIn(t.Context(), Credentials{Name: name, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	f.enrol(t, p)
	tries := 0
	for range 20 {
		_, _, _, err = f.signIn(t.Context(), Credentials{Name: name, Password: password})
		if fault.CodeOf(err) == fault.TooManyRequests {
			break
		}
		_, _, _, err = f.signIn(t.Context(), Credentials{Name: name, Password: password, Code: "000000"})
		if fault.CodeOf(err) == fault.TooManyRequests {
			break
		}
		tries++
	}
	if tries > freeFailures {
		t.Errorf("%d wrong codes were tried without a pause", tries)
	}
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		f := newFixture(t, url)
		name, password := f.admin(t)
		other := f.addUser(t, "other", RoleAdmin)
		here, _, p, err := f.signIn(ctx, Credentials{Name: name, Password: password, Visit: Visit{"192.0.2.1", "Browser \x00\xff" + strings.Repeat("x", 300)}})
		if err != nil {
			t.Fatal(err)
		}
		f.clock.advance(time.Hour)
		there, _, q, err := f.signIn(ctx, Credentials{Name: name, Password: password, Visit: Visit{"2001:db8::1", "Phone"}})
		if err != nil {
			t.Fatal(err)
		}
		list, err := f.Sessions(ctx, p)
		if err != nil || len(list) != 2 || list[0].ID != q.SessionID || list[1].ID != p.SessionID {
			t.Fatalf("sessions %+v, %v", list, err)
		}
		if s := list[1]; s.Address != "192.0.2.1" || !strings.HasPrefix(s.Agent, "Browser  ?x") || len(s.Agent) != maxAgentBytes || !s.Created.Add(time.Hour).Equal(list[0].Created) {
			t.Errorf("session %+v", s)
		}
		wantCode(t, "another account's", f.EndSession(ctx, other, q.SessionID), fault.NotFound)
		wantCode(t, "no id", f.EndSession(ctx, p, "x' OR 1=1"), fault.NotFound)
		if err := f.EndSession(ctx, p, q.SessionID); err != nil {
			t.Fatal(err)
		}
		_, err = f.BySession(ctx, there)
		wantCode(t, "ended", err, fault.Unauthenticated)
		_, err = f.Refresh(ctx, q)
		wantCode(t, "what it has open", err, fault.Unauthenticated)
		if _, err := f.BySession(ctx, here); err != nil {
			t.Errorf("the other one: %v", err)
		}
		f.clock.advance(SessionIdle)
		if list, err := f.Sessions(ctx, p); err != nil || len(list) != 0 {
			t.Errorf("idle sessions are listed: %+v, %v", list, err)
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	f := newFixture(t, "sqlite:"+t.TempDir()+"/x.db")
	name, _ := f.admin(t)
	u, _, err := f.userByName(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var first, last Opened
	for i := range maxSessions + 5 {
		f.clock.advance(time.Second)
		if last, err = f.openSession(t.Context(), u, Visit{}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = last
		}
	}
	if list, err := f.Sessions(t.Context(), last.Principal); err != nil || len(list) != maxSessions {
		t.Errorf("%d sessions, %v", len(list), err)
	}
	_, err = f.BySession(t.Context(), first.Token)
	wantCode(t, "the oldest", err, fault.Unauthenticated)
	if _, err = f.BySession(t.Context(), last.Token); err != nil {
		t.Errorf("the newest: %v", err)
	}
}

func TestForcedChange(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		f := newFixture(t, url)
		_, made, err := f.CreateUser(ctx, NewUser{Name: "ann", Role: RoleStudent, MustChange: true})
		if err != nil {
			t.Fatal(err)
		}
		token, _, p, err := f.signIn(ctx, Credentials{Name: "ann", Password: made})
		if err != nil || !p.MustChange {
			t.Fatalf("%+v, %v", p, err)
		}
		_, err = f.ChangePassword(ctx, p, Credentials{Password: made}, made)
		wantCode(t, "the same one", err, fault.Invalid)
		_, err = f.ChangePassword(ctx, p, Credentials{Password: "wrong password"}, "a new password")
		wantCode(t, "a wrong one", err, fault.Unauthenticated)
		o, err := f.ChangePassword(ctx, p, Credentials{Password: made}, "a new password")
		if err != nil || o.Principal.MustChange || o.Token == token || o.Token == "" {
			t.Fatalf("%+v, %v", o, err)
		}
		_, err = f.BySession(ctx, token)
		wantCode(t, "the session before", err, fault.Unauthenticated)
		if now, err := f.BySession(ctx, o.Token); err != nil || now.MustChange {
			t.Errorf("the new session: %+v, %v", now, err)
		}
		// By a token, no session is opened.
		p.SessionID, p.TokenID = "", "x"
		if o, err := f.ChangePassword(ctx, p, Credentials{Password: "a new password"}, "a newer password"); err != nil || o.Token != "" {
			t.Errorf("%+v, %v", o, err)
		}
		if err := f.SetPassword(ctx, "ann", "what the admin says", true, false); err != nil {
			t.Fatal(err)
		}
		if _, _, p, err = f.signIn(ctx, Credentials{Name: "ann", Password: "what the admin says"}); err != nil || !p.MustChange {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

func TestIdentities(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		f := newFixture(t, url)
		adminsName, password := f.admin(t)
		if _, _, err := f.CreateUser(ctx, NewUser{Name: "bob", Role: RoleInstructor, Password: "the password of bob"}); err != nil {
			t.Fatal(err)
		}
		const issuer = "https://id.example.org"
		ann := Identity{Issuer: issuer, Subject: "1", Name: "Ann", Role: RoleStudent}
		o, err := f.SignInAs(ctx, ann, Visit{})
		if err != nil || o.Principal.Name != "ann" || o.Principal.Role != RoleStudent || o.Principal.MustChange {
			t.Fatalf("%+v, %v", o, err)
		}
		id := o.Principal.UserID
		// Known by issuer and subject, whatever the name; the role follows.
		ann.Name, ann.Role = "Renamed", RoleInstructor
		if o, err = f.SignInAs(ctx, ann, Visit{}); err != nil || o.Principal.UserID != id || o.Principal.Role != RoleInstructor {
			t.Errorf("%+v, %v", o, err)
		}
		ann.Role = ""
		_, err = f.SignInAs(ctx, ann, Visit{})
		wantCode(t, "no role any more", err, fault.Forbidden)
		ann.Role = RoleStudent

		// No account that is there is taken over.
		for _, name := range []string{"bob", " BOB ", "ann", "admin", "Admin", "local", "operator", adminsName} {
			_, err := f.SignInAs(ctx, Identity{Issuer: issuer, Subject: "evil", Name: name, Role: RoleAdmin}, Visit{})
			wantCode(t, "an identity that is called "+name, err, fault.NameTaken)
		}
		_, err = f.SignInAs(ctx, Identity{Issuer: "https://other.example", Subject: "1", Name: "ann", Role: RoleAdmin}, Visit{})
		wantCode(t, "the subject of another issuer", err, fault.NameTaken)
		for _, bad := range []Identity{{Issuer: issuer, Name: "x", Role: RoleStudent}, {Issuer: issuer, Subject: "a\x00", Name: "x", Role: RoleStudent}, {Subject: "1", Name: "x", Role: RoleStudent}} {
			_, err := f.SignInAs(ctx, bad, Visit{})
			wantCode(t, "nobody", err, fault.Unauthenticated)
		}

		// An account without a password: none lets in, and none is asked at that.
		for _, guess := range []string{"", "x", "the password of bob"} {
			_, _, _, err := f.signIn(ctx, Credentials{Name: "ann", Password: guess})
			wantCode(t, "a password of ann", err, fault.Unauthenticated)
		}
		_, err = f.EnrolTOTP(ctx, o.Principal)
		wantCode(t, "a second factor of ann", err, fault.Unsupported)

		// Linked by an operator; it keeps its role, and its password.
		wantCode(t, "link to nobody", f.LinkIdentity(ctx, "nobody", issuer, "3"), fault.NotFound)
		wantCode(t, "link another's", f.LinkIdentity(ctx, "bob", issuer, "1"), fault.NameTaken)
		for range 2 {
			if err := f.LinkIdentity(ctx, "bob", issuer, "3"); err != nil {
				t.Error(err)
			}
		}
		if o, err = f.SignInAs(ctx, Identity{Issuer: issuer, Subject: "3", Name: "bob", Role: RoleAdmin}, Visit{}); err != nil || o.Principal.Name != "bob" || o.Principal.Role != RoleInstructor {
			t.Errorf("%+v, %v", o, err)
		}
		if _, _, _, err := f.signIn(ctx, Credentials{Name: "bob", Password: "the password of bob"}); err != nil {
			t.Error(err)
		}

		off := true
		if _, err := f.ChangeUser(ctx, "ann", UserChange{Disabled: &off}); err != nil {
			t.Fatal(err)
		}
		_, err = f.SignInAs(ctx, ann, Visit{})
		wantCode(t, "disabled", err, fault.Unauthenticated)
		if err := f.DeleteUser(ctx, "ann"); err != nil {
			t.Fatal(err)
		}
		if o, err = f.SignInAs(ctx, ann, Visit{}); err != nil || o.Principal.Name != "renamed" || o.Principal.UserID == id {
			t.Errorf("after the deletion: %+v, %v", o, err)
		}
		_ = password
	})
}

func TestNamesOfIdentities(t *testing.T) {
	t.Parallel()
	for wish, want := range map[string]string{
		"Ann": "ann", "ann@example.org": "ann@example.org", "../../etc": "etc", "a b\r\nX: y": "a-b--x--y", "größe": "gr--e", "<b>": "b-",
		strings.Repeat("x", 100): strings.Repeat("x", 64),
	} {
		if got := nameFor(Identity{Name: wish}); got != want || validName(got) != nil {
			t.Errorf("%q becomes %q, want %q", wish, got, want)
		}
	}
	for _, wish := range []string{"", "  ", "---", "名前"} {
		if got := nameFor(Identity{Name: wish, Issuer: "i", Subject: "s"}); !strings.HasPrefix(got, "user-") || validName(got) != nil {
			t.Errorf("%q becomes %q", wish, got)
		}
	}
}

func TestSSHKeys(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		f := newFixture(t, url)
		p := f.addUser(t, "ann", RoleStudent)
		make1 := func(comment string) string {
			public, _, err := ed25519.GenerateKey(nil)
			if err != nil {
				t.Fatal(err)
			}
			key, err := ssh.NewPublicKey(public)
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + comment
		}
		keys := func() []string {
			t.Helper()
			list, err := f.SSHKeys(ctx, p)
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		if list := keys(); len(list) != 0 {
			t.Errorf("at first: %q", list)
		}
		one, two := make1(" ann@home"), make1("")
		if err := f.SetSSHKeys(ctx, p, []string{" " + one + "\n", two, strings.TrimSuffix(one, " ann@home") + " again"}); err != nil {
			t.Fatal(err)
		}
		if list := keys(); len(list) != 2 || list[0] != one || list[1] != two {
			t.Errorf("kept as %q", list)
		}
		for _, bad := range []string{
			"", "ssh-ed25519", "ssh-ed25519 AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----", one + "\n" + two, `command="reboot" ` + one,
			one + strings.Repeat("x", maxSSHKeyBytes), one + "\x00", "# " + one, "runcmd: [reboot]",
		} {
			wantCode(t, bad, f.SetSSHKeys(ctx, p, []string{one, bad}), fault.Invalid)
		}
		wantCode(t, "too many", f.SetSSHKeys(ctx, p, make([]string, MaxSSHKeys+1)), fault.Invalid)
		wantCode(t, "nobody's", f.SetSSHKeys(ctx, Open(), []string{one}), fault.Unsupported)
		if err := f.SetSSHKeys(ctx, p, nil); err != nil || len(keys()) != 0 {
			t.Errorf("none: %q, %v", keys(), err)
		}
	})
}

var _ Vault = (*secret.Keys)(nil)
