package access

import (
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// TestWeakPasswords tries what is guessed first, and what is not.
func TestWeakPasswords(t *testing.T) {
	t.Parallel()
	const name = "ann.smith"
	for _, weak := range []string{
		"", "short", strings.Repeat("long", 300),
		"aaaaaaaaaaaa", "AAAAaaaaAAAA", "abababababab", "abcabcabcabc", "aaaaaaaaaaab", "ääääääääääää", "            ",
		"123456789012", "210987654321", "abcdefghijkl", "ABCDEFGHIJKLM", "1234567890ab",
		"password1234", "Password123!", "passwordpassword", "!!!password!!!", "trustno1trustno1", "qwertyuiop12", "football2024!", "12345qwertyuiop", "iloveyou1234",
		"x7Kp2x7Kp2x7Kp2x7Kp2", "ann.smith1234", "Ann.Smith-ann.smith", "1ann.smith2024",
	} {
		if err := checkPassword(weak, name); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%q is taken: %v", weak, err)
		} else if weak != "" && strings.Contains(err.Error(), weak) {
			t.Errorf("the refusal of %q shows it: %v", weak, err)
		}
	}
	long := 0
	for word := range commonPasswords() {
		if len(word) < minPasswordBytes {
			word += "-" + word // its neighbour
		} else {
			long++
		}
		if len(word) >= minPasswordBytes && isCommon(word) && checkPassword(word, name) == nil {
			t.Errorf("the common password %q is taken", word)
		}
	}
	if n := len(commonPasswords()); n < 10_000 || long < 100 {
		t.Errorf("the list has %d passwords, %d of them long enough", n, long)
	}
	for _, good := range []string{
		"correct horse battery", "the password of ann.smith", "l4pcw-nj3b6-njxuc", "kX9#vQ2!mZ7$", "großer Bär im Wald", "x7Kp2x7Kp2y8", RandomPassword(),
	} {
		if err := checkPassword(good, name); err != nil {
			t.Errorf("%q is refused: %v", good, err)
		}
	}
	// A huge text costs little.
	_ = checkPassword(strings.Repeat("ab", MaxPasswordBytes/2-1)+"c", name)
}

// TestWeakPasswordsEverywhere gives weak passwords on every way there is.
func TestWeakPasswordsEverywhere(t *testing.T) {
	f, ctx := newFixture(t, storetest.SQLite(t)), t.Context()
	admin, password := f.admin(t)
	if _, _, err := f.CreateUser(ctx, NewUser{Name: "ann.smith", Role: RoleStudent}); err != nil {
		t.Fatal(err)
	}
	p := Principal{Name: admin}
	for _, weak := range []string{"aaaaaaaaaaaa", "password1234", "ann.smith1234"} {
		_, _, err := f.CreateUser(ctx, NewUser{Name: "ann.smith1", Role: RoleStudent, Password: weak})
		wantCode(t, "a new account with "+weak, err, fault.Invalid)
		_, err = f.ChangeUser(ctx, "Ann.Smith", UserChange{Password: &weak})
		wantCode(t, "a reset to "+weak, err, fault.Invalid)
		wantCode(t, "the command with "+weak, f.SetPassword(ctx, "Ann.Smith", weak, true, false), fault.Invalid)
	}
	_, err := f.ChangePassword(ctx, p, Credentials{Password: password}, "aaaaaaaaaaaa")
	wantCode(t, "a change by the owner", err, fault.Invalid)
}
