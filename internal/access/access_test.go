package access

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/secret"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// asChild names the environment variable that makes this binary one of the
// processes of TestProcessesRaceForTheAdministrator.
const asChild = "ACCESS_TEST_URL"

// realCost is that of the service. The tests hash so often that they pay less.
var realCost = passwordCost

func TestMain(m *testing.M) {
	passwordCost.Memory, passwordCost.Iterations = 1024, 1
	if url := os.Getenv(asChild); url != "" {
		os.Exit(ensureAdminAsChild(url))
	}
	os.Exit(storetest.Main(m))
}

// clock is a time that stands still until a test moves it.
type clock struct{ nanoseconds atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(0, c.nanoseconds.Load()) }
func (c *clock) advance(d time.Duration) { c.nanoseconds.Add(int64(d)) }

// fixture is a Service with its own clock, whose log is kept.
type fixture struct {
	*Service
	clock *clock
	log   *bytes.Buffer
	url   string
	keys  *secret.Keys
}

// signIn is SignIn, taken apart.
func (f fixture) signIn(ctx context.Context, c Credentials) (token string, expires time.Time, p Principal, err error) {
	o, err := f.SignIn(ctx, c)
	return o.Token, o.Expires, o.Principal, err
}

func newFixture(t *testing.T, url string) fixture {
	t.Helper()
	db := open(t, url)
	f := fixture{clock: new(clock), log: new(bytes.Buffer), url: url}
	f.clock.nanoseconds.Store(time.Now().Truncate(time.Microsecond).UnixNano())
	var err error
	f.keys = secret.In(t.TempDir())
	f.Service, err = New(Options{DB: db, Vault: f.keys, Log: slog.New(slog.NewTextHandler(f.log, nil)), Now: f.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func open(t *testing.T, url string) *gorm.DB {
	t.Helper()
	db, err := store.Open(t.Context(), url, nil, Migrations()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(db); err != nil {
			t.Error(err)
		}
	})
	return db
}

// admin makes the administrator.
func (f fixture) admin(t *testing.T) (name, password string) {
	t.Helper()
	name, password, created, err := f.EnsureAdmin(t.Context())
	if err != nil || !created {
		t.Fatalf("EnsureAdmin: created = %t, %v", created, err)
	}
	return name, password
}

// addUser creates an account that cannot sign in, and returns its principal.
func (f fixture) addUser(t *testing.T, name string, role Role) Principal {
	t.Helper()
	u := user{ID: "00000000-0000-4000-8000-" + fmt.Sprintf("%012x", []byte(name)[:6]), Name: name, Role: role, Password: unusableHash(), Created: f.Service.now()}
	if err := f.db.Create(&u).Error; err != nil {
		t.Fatal(err)
	}
	return u.principal()
}

func wantCode(t *testing.T, what string, err error, want fault.Code) {
	t.Helper()
	if fault.CodeOf(err) != want {
		t.Errorf("%s: error = %v, want code %q", what, err, want)
	}
}

func TestPasswordCost(t *testing.T) {
	if hash, err := argon2id.CreateHash("a password", &realCost); err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=65536,t=3,p=2$") {
		t.Errorf("a password is kept as %q, %v", hash, err)
	}
}

func TestEnsureAdmin(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		name, password := f.admin(t)
		if name != "admin" || !regexp.MustCompile(`^([a-z2-7]{5}-){4}[a-z2-7]{5}$`).MatchString(password) {
			t.Errorf("made %q with password %q", name, password)
		}
		name, again, created, err := f.EnsureAdmin(t.Context())
		if err != nil || created || again != "" || name != "admin" {
			t.Errorf("second time: %q, %q, created = %t, %v", name, again, created, err)
		}
		_, expires, p, err := f.signIn(t.Context(), Credentials{Name: " Admin ", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		if p.Name != "admin" || p.Role != RoleAdmin || p.UserID == "" || p.SessionID == "" || p.TokenID != "" {
			t.Errorf("principal = %+v", p)
		}
		if want := f.Service.now().Add(SessionLifetime); !expires.Equal(want) {
			t.Errorf("the session expires %s, want %s", expires, want)
		}
	})
}

func TestEnsureAdminDoesNotPromote(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	f.addUser(t, "admin1", RoleAdmin)
	if name, _, created, err := f.EnsureAdmin(t.Context()); err != nil || created || name != "admin1" {
		t.Errorf("with another administrator: %q, created = %t, %v", name, created, err)
	}
	f = newFixture(t, storetest.SQLite(t))
	if err := f.db.Create(&user{ID: "x", Name: "admin", Role: RoleViewer, Password: unusableHash()}).Error; err != nil {
		t.Fatal(err)
	}
	_, _, created, err := f.EnsureAdmin(t.Context())
	if err == nil || created {
		t.Errorf("with a viewer called admin: created = %t, %v; want an error", created, err)
	}
	name, password, err := f.RecoverAdmin(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, p, err := f.signIn(t.Context(), Credentials{Name: name, Password: password}); err != nil || p.Role != RoleAdmin || p.UserID != "x" {
		t.Errorf("after recovery: %+v, %v", p, err)
	}
}

func TestProcessesRaceForTheAdministrator(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		var output [4][]byte
		var group sync.WaitGroup
		for i := range output {
			group.Go(func() {
				child := exec.CommandContext(t.Context(), os.Args[0])
				child.Env = append(os.Environ(), asChild+"="+url)
				var err error
				if output[i], err = child.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, output[i])
				}
			})
		}
		group.Wait()
		f := newFixture(t, url)
		made := 0
		for _, line := range output {
			password, found := strings.CutPrefix(string(line), "made ")
			if !found {
				continue
			}
			made++
			if _, _, _, err := f.signIn(t.Context(), Credentials{Name: "admin", Password: password}); err != nil {
				t.Errorf("sign in with the password of the process that made it: %v", err)
			}
		}
		if made != 1 {
			t.Errorf("%d processes made the administrator, want 1: %q", made, output)
		}
	})
}

// ensureAdminAsChild is one of the processes that race.
func ensureAdminAsChild(url string) (exitCode int) {
	ctx := context.Background()
	err := func() error {
		db, err := store.Open(ctx, url, nil, Migrations()...)
		if err != nil {
			return err
		}
		s, err := New(Options{DB: db, Vault: secret.In(os.TempDir())}) // nothing is encrypted
		if err != nil {
			return err
		}
		_, password, created, err := s.EnsureAdmin(ctx)
		if err != nil {
			return err
		}
		if created {
			fmt.Print("made ", password)
		}
		return store.Close(db)
	}()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func TestPasswordsCanBeChangedAndRecovered(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		f := newFixture(t, url)
		name, old := f.admin(t)
		session, _, _, err := f.signIn(ctx, Credentials{Name: name, Password: old})
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, "11 bytes", f.SetPassword(ctx, name, strings.Repeat("x", 11), false, false), fault.Invalid)
		wantCode(t, "1025 bytes", f.SetPassword(ctx, name, strings.Repeat("x", 1025), false, false), fault.Invalid)
		wantCode(t, "unknown", f.SetPassword(ctx, "nobody", longPassword(12), false, false), fault.NotFound)
		wantCode(t, "NUL", f.SetPassword(ctx, "a\x00", strings.Repeat("x", 12), false, false), fault.NotFound)
		if _, err := f.BySession(ctx, session); err != nil {
			t.Errorf("refused passwords ended the session: %v", err)
		}
		for _, long := range []string{longPassword(1024), longPassword(12)} {
			if err := f.SetPassword(ctx, "ADMIN", long, false, false); err != nil {
				t.Fatal(err)
			}
			_, err = f.BySession(ctx, session)
			wantCode(t, "session from before the change", err, fault.Unauthenticated)
			if session, _, _, err = f.signIn(ctx, Credentials{Name: name, Password: long}); err != nil {
				t.Error(err)
			}
		}
		_, _, _, err = f.signIn(ctx, Credentials{Name: name, Password: old})
		wantCode(t, "old password", err, fault.Unauthenticated)

		recovered, fresh, err := f.RecoverAdmin(ctx, false)
		if err != nil || recovered != name {
			t.Fatalf("recovered %q, %v", recovered, err)
		}
		_, err = f.BySession(ctx, session)
		wantCode(t, "session from before the recovery", err, fault.Unauthenticated)
		if _, _, _, err := f.signIn(ctx, Credentials{Name: name, Password: fresh}); err != nil {
			t.Error(err)
		}
	})
}

func TestRecoverAdminMakesOne(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		name, password, err := f.RecoverAdmin(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, p, err := f.signIn(t.Context(), Credentials{Name: name, Password: password}); err != nil || p.Role != RoleAdmin {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

func TestSessions(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		f := newFixture(t, url)
		name, password := f.admin(t)
		signIn := func() (string, Principal) {
			t.Helper()
			token, _, p, err := f.signIn(ctx, Credentials{Name: name, Password: password})
			if err != nil {
				t.Fatal(err)
			}
			return token, p
		}

		for _, bad := range []string{"", "unknown", "\x00\xff"} {
			_, err := f.BySession(ctx, bad)
			wantCode(t, fmt.Sprintf("session %q", bad), err, fault.Unauthenticated)
		}

		token, p := signIn()
		got, err := f.BySession(ctx, token)
		if err != nil || got != p {
			t.Errorf("BySession = %+v, %v; want %+v", got, err, p)
		}
		other, q := signIn()
		if token == other || p.SessionID == q.SessionID {
			t.Error("two sessions share token or id")
		}
		for _, end := range []Principal{p, p, {}, {UserID: p.UserID, TokenID: newID()}, {UserID: p.UserID, SessionID: "unknown"}} {
			if err := f.SignOut(ctx, end); err != nil {
				t.Errorf("sign out %+v: %v", end, err)
			}
		}
		_, err = f.BySession(ctx, token)
		wantCode(t, "after signing out", err, fault.Unauthenticated)
		if _, err := f.BySession(ctx, other); err != nil {
			t.Errorf("the other session ended as well: %v", err)
		}

		f.clock.advance(SessionIdle)
		_, err = f.BySession(ctx, other)
		wantCode(t, "idle", err, fault.Unauthenticated)

		busy, _ := signIn()
		begun := f.Service.now()
		for f.Service.now().Sub(begun) < SessionLifetime-SessionIdle/2 {
			f.clock.advance(SessionIdle / 2)
			_, err := f.BySession(ctx, busy)
			if ended := f.Service.now().Sub(begun) >= SessionLifetime; ended != (err != nil) {
				t.Errorf("in use, %s after sign-in: %v", f.Service.now().Sub(begun), err)
			}
		}
		f.clock.advance(SessionIdle / 2)
		_, err = f.BySession(ctx, busy)
		wantCode(t, "at the end of its life", err, fault.Unauthenticated)

		signIn()
		var rows int64
		if err := f.db.Model(&session{}).Count(&rows).Error; err != nil || rows != 1 {
			t.Errorf("%d sessions are stored, %v; want only the live one", rows, err)
		}

		last, _ := signIn()
		if err := f.db.Where("name = ?", name).Delete(&user{}).Error; err != nil {
			t.Fatal(err)
		}
		_, err = f.BySession(ctx, last)
		wantCode(t, "account deleted", err, fault.Unauthenticated)
	})
}

func TestSessionsAreSharedByReplicas(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		name, password := f.admin(t)
		token, _, p, err := f.signIn(t.Context(), Credentials{Name: name, Password: password})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := newFixture(t, url).BySession(t.Context(), token); err != nil || got != p {
			t.Errorf("BySession = %+v, %v; want %+v", got, err, p)
		}
	})
}

func TestUnknownAccountCostsAPasswordToo(t *testing.T) {
	cheap := passwordCost
	passwordCost = realCost // it is the time of it that is compared
	t.Cleanup(func() { passwordCost = cheap })
	f := newFixture(t, storetest.SQLite(t))
	name, _ := f.admin(t)
	if _, err := f.SignInAs(t.Context(), Identity{Issuer: "i", Subject: "s", Name: "external", Role: RoleStudent}, Visit{}); err != nil {
		t.Fatal(err)
	}
	compared := 0
	compare := f.compare
	f.compare = func(password, hash string) (bool, error) {
		compared++
		return compare(password, hash)
	}
	// The shortest of three: the least that the machine's other work adds.
	took := func(name string) time.Duration {
		shortest := time.Hour
		for range 3 {
			begin := time.Now()
			_, _, _, err := f.signIn(t.Context(), Credentials{Name: name, Password: "wrong password"})
			wantCode(t, name, err, fault.Unauthenticated)
			shortest = min(shortest, time.Since(begin))
		}
		return shortest
	}
	known, unknown, external := took(name), took("nobody"), took("external")
	if compared != 9 {
		t.Errorf("%d comparisons in 9 sign-ins", compared)
	}
	t.Logf("an unknown account takes %s, one without a password %s, a known one %s", unknown, external, known)
}

func TestSignInRefusesWhatCannotBeRight(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		f := newFixture(t, url)
		name, password := f.admin(t)
		for _, c := range []struct{ name, password string }{
			{"", password}, {"a\x00", password}, {"\xff", password}, {strings.Repeat("n", 65), password},
			{name, ""}, {name, strings.Repeat("x", 1025)}, {name, password + " "}, {"nobody", password},
		} {
			_, _, _, err := f.signIn(t.Context(), Credentials{Name: c.name, Password: c.password})
			wantCode(t, fmt.Sprintf("%.20q with %.20q", c.name, c.password), err, fault.Unauthenticated)
		}
	})
}

func TestFailedSignInsSlowTheNextDown(t *testing.T) {
	ctx := t.Context()
	f := newFixture(t, storetest.SQLite(t))
	name, password := f.admin(t)
	compared := 0
	compare := f.compare
	f.compare = func(password, hash string) (bool, error) {
		compared++
		return compare(password, hash)
	}
	for _, account := range []string{name, "nobody"} { // an unknown one behaves alike
		want := firstPause
		for i := range freeFailures + 2 {
			_, _, _, err := f.signIn(ctx, Credentials{Name: account, Password: "wrong password"})
			wantCode(t, fmt.Sprintf("%s, failure %d", account, i), err, fault.Unauthenticated)
			if i < freeFailures-1 {
				continue
			}
			before := compared
			_, _, _, err = f.signIn(ctx, Credentials{Name: account, Password: password})
			wantCode(t, "at once", err, fault.TooManyRequests)
			var e *fault.Error
			if errors.As(err, &e) && e.RetryAfter != want {
				t.Errorf("%s, failure %d: retry after %s, want %s", account, i, e.RetryAfter, want)
			}
			if compared != before {
				t.Error("the password was looked at")
			}
			f.clock.advance(want)
			want *= 2
		}
	}
	if _, _, _, err := f.signIn(ctx, Credentials{Name: name, Password: password}); err != nil {
		t.Errorf("after the pause: %v", err)
	}
	_, _, _, err := f.signIn(ctx, Credentials{Name: name, Password: "wrong password"})
	wantCode(t, "first failure after a success", err, fault.Unauthenticated)
	if _, _, _, err := f.signIn(ctx, Credentials{Name: name, Password: password}); err != nil {
		t.Errorf("a success does not reset the count: %v", err)
	}
}

func TestThrottle(t *testing.T) {
	c := new(clock)
	c.nanoseconds.Store(time.Now().UnixNano())
	wait := func(throttle *throttle, name string) time.Duration {
		err := throttle.check(attempt{name: name, network: name})
		var e *fault.Error
		if errors.As(err, &e) {
			return e.RetryAfter
		}
		return 0
	}
	t.Run("pause is bounded", func(t *testing.T) {
		throttle := newThrottle(c.now)
		for range 100 {
			throttle.failed(attempt{name: "a", network: "a"})
		}
		if got := wait(throttle, "a"); got != longestPause {
			t.Errorf("wait %s, want %s", got, longestPause)
		}
		if got := wait(throttle, "b"); got != 0 {
			t.Errorf("another account waits %s", got)
		}
	})
	t.Run("forgets", func(t *testing.T) {
		throttle := newThrottle(c.now)
		for range 10 {
			throttle.failed(attempt{name: "a", network: "a"})
		}
		c.advance(forgetAfter)
		throttle.failed(attempt{name: "b", network: "b"})
		if len(throttle.accounts) != 1 {
			t.Errorf("%d accounts are remembered, want 1", len(throttle.accounts))
		}
	})
	t.Run("memory is bounded", func(t *testing.T) {
		counts := map[string]failures{"guessed": {count: freeFailures, last: c.now()}}
		for i := range maxRemembered {
			counts[fmt.Sprint("filler", i)] = failures{count: 1, last: c.now()}
		}
		delete(counts, "filler0")
		count(counts, "one more", c.now())
		if len(counts) != maxRemembered || counts["guessed"].count != freeFailures || counts["one more"].count != 1 {
			t.Errorf("%d counts are kept; of the guessed account %d failures", len(counts), counts["guessed"].count)
		}
	})
}

func TestTokens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		f := newFixture(t, url)
		f.admin(t)
		student, viewer := f.addUser(t, "student", RoleStudent), f.addUser(t, "viewer", RoleViewer)
		hour := f.Service.now().Add(time.Hour)

		forever, secret, err := f.CreateToken(ctx, student, " ci ", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if forever.Name != "ci" || forever.UserName != "student" || !forever.Expires.IsZero() || !forever.LastUsed.IsZero() {
			t.Errorf("made %+v", forever)
		}
		if !regexp.MustCompile(`^sbx_[A-Za-z0-9_-]{43}$`).MatchString(secret) {
			t.Errorf("secret = %q", secret)
		}
		p, err := f.ByToken(ctx, secret)
		want := student
		want.TokenID = forever.ID
		if err != nil || p != want {
			t.Errorf("ByToken = %+v, %v; want %+v", p, err, want)
		}

		// A token made with a token does not outlive it.
		short, shortSecret, err := f.CreateToken(ctx, student, "short", hour)
		if err != nil {
			t.Fatal(err)
		}
		child, childSecret, err := f.CreateToken(ctx, Principal{UserID: student.UserID, Name: "student", Role: RoleStudent, TokenID: short.ID}, "child", time.Time{})
		if err != nil || !child.Expires.Equal(hour) {
			t.Errorf("child expires %s, %v; want %s", child.Expires, err, hour)
		}

		// Last use is written once a minute.
		lastUsed := func() time.Time {
			t.Helper()
			tokens, err := f.Tokens(ctx, student)
			if err != nil || len(tokens) != 3 || tokens[0].ID != forever.ID {
				t.Fatalf("tokens = %+v, %v", tokens, err)
			}
			return tokens[0].LastUsed
		}
		first := lastUsed()
		if !first.Equal(f.Service.now()) {
			t.Errorf("last used %s, want %s", first, f.Service.now())
		}
		for _, step := range []struct {
			advance time.Duration
			moves   bool
		}{{59 * time.Second, false}, {time.Second, true}} {
			f.clock.advance(step.advance)
			if _, err := f.ByToken(ctx, secret); err != nil {
				t.Fatal(err)
			}
			if moved := !lastUsed().Equal(first); moved != step.moves {
				t.Errorf("%s later: last use moved = %t", step.advance, moved)
			}
		}

		f.clock.advance(time.Hour)
		for name, bad := range map[string]string{
			"expired": shortSecret, "its child": childSecret, "empty": "", "no prefix": strings.TrimPrefix(secret, "sbx_"),
			"another": secret[:len(secret)-1], "session-like": "x", "not text": "sbx_\x00\xff",
		} {
			_, err := f.ByToken(ctx, bad)
			wantCode(t, name, err, fault.Unauthenticated)
		}

		for name, bad := range map[string]struct {
			name    string
			expires time.Time
		}{
			"no name": {" ", time.Time{}}, "long": {strings.Repeat("n", 101), time.Time{}},
			"control": {"a\nb", time.Time{}}, "not text": {"\xff", time.Time{}}, "past": {"a", f.Service.now()},
		} {
			_, _, err := f.CreateToken(ctx, student, bad.name, bad.expires)
			wantCode(t, name, err, fault.Invalid)
		}
		_, _, err = f.CreateToken(ctx, Open(), "a", time.Time{})
		wantCode(t, "sign-in switched off", err, fault.Unsupported)

		// Others neither see nor delete it; an administrator does.
		if tokens, err := f.Tokens(ctx, viewer); err != nil || len(tokens) != 0 {
			t.Errorf("a viewer sees %+v, %v", tokens, err)
		}
		wantCode(t, "delete another's", f.DeleteToken(ctx, viewer, forever.ID), fault.NotFound)
		wantCode(t, "delete no token", f.DeleteToken(ctx, student, "x\x00"), fault.NotFound)
		if _, err := f.ByToken(ctx, secret); err != nil {
			t.Error(err)
		}
		if tokens, err := f.Tokens(ctx, Open()); err != nil || len(tokens) != 3 || tokens[0].UserName != "student" {
			t.Errorf("an administrator sees %+v, %v", tokens, err)
		}
		if err := f.DeleteToken(ctx, Open(), forever.ID); err != nil {
			t.Error(err)
		}
		_, err = f.ByToken(ctx, secret)
		wantCode(t, "deleted", err, fault.Unauthenticated)
		wantCode(t, "delete again", f.DeleteToken(ctx, student, forever.ID), fault.NotFound)

		if err := f.db.Where("id = ?", student.UserID).Delete(&user{}).Error; err != nil {
			t.Fatal(err)
		}
		if tokens, err := f.Tokens(ctx, Open()); err != nil || len(tokens) != 0 {
			t.Errorf("the tokens of a deleted account are left: %+v, %v", tokens, err)
		}

		// No account fills the table; expired tokens are removed.
		soon := f.Service.now().Add(time.Minute)
		for range maxTokens {
			if _, _, err = f.CreateToken(ctx, viewer, "many", soon); err != nil {
				t.Fatal(err)
			}
		}
		_, _, err = f.CreateToken(ctx, viewer, "one more", soon)
		wantCode(t, "one token too many", err, fault.QuotaExceeded)
		f.clock.advance(time.Minute)
		if _, _, err = f.CreateToken(ctx, viewer, "one more", time.Time{}); err != nil {
			t.Errorf("after the others expired: %v", err)
		}
		if tokens, err := f.Tokens(ctx, viewer); err != nil || len(tokens) != 1 {
			t.Errorf("after the others expired there are %d tokens, %v", len(tokens), err)
		}
	})
}

func TestTickets(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	p := Principal{UserID: "u", Name: "n", Role: RoleStudent}

	ticket, expires := f.IssueTicket(p, "node", "vnc")
	if want := f.Service.now().Add(30 * time.Second); !expires.Equal(want) {
		t.Errorf("expires %s, want %s", expires, want)
	}
	f.clock.advance(TicketLifetime - time.Microsecond)
	if got, err := f.RedeemTicket(ticket, "node", "vnc"); err != nil || got != p {
		t.Errorf("redeemed %+v, %v", got, err)
	}
	_, err := f.RedeemTicket(ticket, "node", "vnc")
	wantCode(t, "second time", err, fault.Unauthenticated)

	for name, redeem := range map[string]func(string) error{
		"wrong node": func(t string) error { _, err := f.RedeemTicket(t, "other", "vnc"); return err },
		"wrong kind": func(t string) error { _, err := f.RedeemTicket(t, "node", "console"); return err },
		"expired": func(t string) error {
			f.clock.advance(TicketLifetime)
			_, err := f.RedeemTicket(t, "node", "vnc")
			return err
		},
	} {
		ticket, _ := f.IssueTicket(p, "node", "vnc")
		wantCode(t, name, redeem(ticket), fault.Unauthenticated)
		_, err := f.RedeemTicket(ticket, "node", "vnc")
		wantCode(t, name+", then rightly", err, fault.Unauthenticated)
	}
	_, err = f.RedeemTicket("", "node", "vnc")
	wantCode(t, "none", err, fault.Unauthenticated)

	oldest, _ := f.IssueTicket(p, "node", "vnc")
	second, _ := f.IssueTicket(p, "node", "vnc")
	other := Principal{UserID: "o", Name: "o", Role: RoleViewer}
	others, _ := f.IssueTicket(other, "node", "vnc")
	for range maxTickets - 1 {
		f.IssueTicket(p, "node", "vnc")
	}
	if f.tickets.queue.Len() != maxTickets+1 || len(f.tickets.byHash) != maxTickets+1 {
		t.Errorf("%d tickets are kept, want %d", f.tickets.queue.Len(), maxTickets+1)
	}
	_, err = f.RedeemTicket(oldest, "node", "vnc")
	wantCode(t, "dropped", err, fault.Unauthenticated)
	if _, err := f.RedeemTicket(second, "node", "vnc"); err != nil {
		t.Error(err)
	}
	for range 4096 {
		f.IssueTicket(p, "node", "vnc")
	}
	if _, err := f.RedeemTicket(others, "node", "vnc"); err != nil {
		t.Errorf("an account's 4,096 tickets drop another account's: %v", err)
	}
	f.clock.advance(TicketLifetime)
	f.IssueTicket(other, "node", "vnc")
	if f.tickets.queue.Len() != 1 || len(f.tickets.byHash) != 1 || len(f.tickets.byAccount) != 1 {
		t.Errorf("%d tickets are kept after all but one expired", f.tickets.queue.Len())
	}
}

func TestTicketIsRedeemedOnce(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t))
	ticket, _ := f.IssueTicket(Open(), "node", "vnc")
	var redeemed atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := f.RedeemTicket(ticket, "node", "vnc"); err == nil {
				redeemed.Add(1)
			}
		})
	}
	group.Wait()
	if redeemed.Load() != 1 {
		t.Errorf("redeemed %d times", redeemed.Load())
	}
}

// TestSecretsAreNotKept looks for every secret in the database's files, as bytes
// on the disk, and in the log.
func TestSecretsAreNotKept(t *testing.T) {
	ctx := t.Context()
	f := newFixture(t, storetest.SQLite(t))
	name, first := f.admin(t)
	_, _, _, err := f.signIn(ctx, Credentials{Name: name, Password: "Sesam-Oeffne-Dich"})
	wantCode(t, "wrong password", err, fault.Unauthenticated)
	_, _, _, err = f.signIn(ctx, Credentials{Name: "hunter2hunter2", Password: "wrong"})
	wantCode(t, "password as name", err, fault.Unauthenticated)
	name, recovered, err := f.RecoverAdmin(ctx, false)
	if err != nil {
		t.Fatal(err)
	}
	session, _, p, err := f.signIn(ctx, Credentials{Name: name, Password: recovered})
	if err != nil {
		t.Fatal(err)
	}
	_, token, err := f.CreateToken(ctx, p, "ci", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	ticket, _ := f.IssueTicket(p, "node", "vnc")
	if _, err := f.ByToken(ctx, token); err != nil {
		t.Fatal(err)
	}

	files, err := filepath.Glob(strings.TrimPrefix(f.url, "sqlite:") + "*")
	if err != nil {
		t.Fatal(err)
	}
	kept := f.log.Bytes()
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, content...)
	}
	if !bytes.Contains(kept, []byte("argon2id")) || !bytes.Contains(kept, []byte(hashSecret(token))) {
		t.Fatal("not even the hashes were found: the test looks in the wrong place")
	}
	for what, secret := range map[string]string{
		"first password": first, "recovered password": recovered, "wrong password": "Sesam-Oeffne-Dich",
		"unknown name": "hunter2hunter2", "session": session, "token": strings.TrimPrefix(token, tokenPrefix), "ticket": ticket,
	} {
		if bytes.Contains(kept, []byte(secret)) {
			t.Errorf("the %s is kept in the clear", what)
		}
	}
}

func TestNewNeedsADatabase(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("New took no database")
	}
}
