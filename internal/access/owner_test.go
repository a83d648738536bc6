package access

import (
	"slices"
	"testing"

	"github.com/go-gormigrate/gormigrate/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// TestANameInheritsNothing deletes an account that things are recorded to belong to by only
// its name, and creates another one of that name.
func TestANameInheritsNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := t.Context()
		// An account from before owners were ids.
		all := Migrations()
		first := slices.IndexFunc(all, func(m *gormigrate.Migration) bool { return m.ID == namesMigration().ID })
		before, err := store.Open(ctx, url, nil, all[:first]...)
		if err != nil {
			t.Fatal(err)
		}
		old := newID()
		if err := before.Exec("INSERT INTO users (id, name, role, password, epoch, created) VALUES (?, 'ann', 'instructor', '', 1, '2026-11-01 00:00:00')", old).Error; err != nil {
			t.Fatal(err)
		}
		if err := store.Close(before); err != nil {
			t.Fatal(err)
		}

		f := newFixture(t, url)
		f.admin(t)
		if got := f.FormerOwner("ann"); got != old || f.OwnerName(old) != "ann" {
			t.Errorf("ann's name stands for %q, who is called %q", got, f.OwnerName(old))
		}
		bob, _, err := f.CreateUser(ctx, NewUser{Name: "bob", Role: RoleInstructor})
		if err != nil {
			t.Fatal(err)
		}
		f.clock.advance(rereadAfter)
		if got := f.OwnerName(bob.ID); got != "bob" || f.FormerOwner("bob") != "" {
			t.Errorf("a later account is called %q, and its name stands for %q", got, f.FormerOwner("bob"))
		}
		for _, name := range []string{"ann", "bob"} {
			if err := f.DeleteUser(ctx, name); err != nil {
				t.Fatal(err)
			}
		}
		heir, _, err := f.CreateUser(ctx, NewUser{Name: "ann", Role: RoleInstructor})
		if err != nil {
			t.Fatal(err)
		}
		again := newFixture(t, url) // another replica, which has read nothing yet
		if got := again.FormerOwner("ann"); got != old || again.OwnerName(old) != "ann (deleted)" || again.OwnerName(bob.ID) != "bob (deleted)" || again.OwnerName(heir.ID) != "ann" {
			t.Errorf("afterwards ann's name stands for %q; the three are %q, %q and %q", got, again.OwnerName(old), again.OwnerName(bob.ID), again.OwnerName(heir.ID))
		}
		rights, err := again.Rights(ctx, Principal{UserID: heir.ID, Name: "ann", Role: RoleInstructor})
		if err != nil {
			t.Fatal(err)
		}
		for _, owner := range []string{old, "ann", ""} {
			if got := rights.On(Object{Kind: Node, ID: "n", Owner: owner}); got != None {
				t.Errorf("the heir of a name may %q what belongs to %q", got, owner)
			}
		}
		for _, text := range []string{"local", "operator", newID(), ""} {
			if got := again.OwnerName(text); got != text {
				t.Errorf("%q, which is not an account, is called %q", text, got)
			}
		}
		if _, _, err := again.CreateUser(ctx, NewUser{Name: heir.ID, Role: RoleViewer}); err == nil {
			t.Error("an account may have a name that is another's id")
		}
	})
}
