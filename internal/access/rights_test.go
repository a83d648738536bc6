package access

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// TestRightsByRole is what each role may do with what it owns, was given, or
// merely shares the service with.
func TestRightsByRole(t *testing.T) {
	mine := func(level Level) func(*Rights) Object {
		return func(r *Rights) Object {
			o := Object{Kind: Node, ID: "n", Owner: "else"}
			r.shares = given{{Node, "n"}: level}
			return o
		}
	}
	owned := func(r *Rights) Object { return Object{Kind: Node, ID: "n", Owner: r.UserID} }
	for _, c := range []struct {
		what   string
		object func(*Rights) Object
		scopes ScopeSet
		want   [4]Level // viewer, student, instructor, admin
	}{
		{"a stranger's", mine(None), "", [4]Level{None, None, None, Manage}},
		{"shared to view", mine(View), "", [4]Level{View, View, View, Manage}},
		{"shared to use", mine(Use), "", [4]Level{View, Use, Use, Manage}},
		{"its own", owned, "", [4]Level{View, Use, Manage, Manage}},
		{"its own, token for reading", owned, "read", [4]Level{View, View, View, View}},
		{"its own, token for images", owned, "images", [4]Level{View, View, View, View}},
		{"its own, token for nodes", owned, "read nodes", [4]Level{View, Use, Manage, Manage}},
		{"that of a former account of its name", func(r *Rights) Object { return Object{Kind: Node, ID: "n", Owner: r.Name} }, "", [4]Level{None, None, None, Manage}},
		{"nobody's", func(r *Rights) Object { r.UserID = ""; return Object{Kind: Node, ID: "n"} }, "", [4]Level{None, None, None, Manage}},
		{"a foreign domain", func(r *Rights) Object {
			r.shares = given{{Node, "n"}: Use}
			return Object{Kind: Node, ID: "n", Owner: r.UserID, Foreign: true}
		}, "", [4]Level{None, None, None, Manage}},
		{"a base image", func(*Rights) Object { return Object{Kind: Image, ID: "micro", Common: true} }, "", [4]Level{View, Use, Use, Manage}},
		{"an image under a node's id", func(r *Rights) Object { mine(Use)(r); return Object{Kind: Image, ID: "n"} }, "", [4]Level{None, None, None, Manage}},
	} {
		for i, role := range ranks {
			r := Rights{Principal: Principal{UserID: "u", Name: "me", Role: role, Scopes: c.scopes}}
			o := c.object(&r)
			if got := r.On(o); got != c.want[i] {
				t.Errorf("%s, %s: %q, want %q", c.what, role, got, c.want[i])
			}
		}
	}
	for _, r := range []Role{"", "root", "Admin"} {
		if r.AtLeast(RoleViewer) {
			t.Errorf("role %q passes for a viewer", r)
		}
	}
}

// TestSharing shares with people and groups, and takes it back.
func TestSharing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		f, ctx := newFixture(t, url), t.Context()
		f.admin(t)
		for _, name := range []string{"ann", "bob"} {
			if _, made, err := f.CreateUser(ctx, NewUser{Name: name, Role: RoleStudent, Password: ""}); err != nil || made == "" {
				t.Fatal(made, err)
			}
		}
		ann, err := f.User(ctx, "ann")
		if err != nil {
			t.Fatal(err)
		}
		p := Principal{UserID: ann.ID, Name: "ann", Role: RoleStudent}
		level := func(want Level) {
			t.Helper()
			r, err := f.Rights(ctx, p)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.On(Object{Kind: Node, ID: "n", Owner: "ted"}); got != want {
				t.Errorf("ann may %q, want %q", got, want)
			}
			all, err := f.AllRights(ctx)
			if err != nil || len(all) != 3 || all[1].Name != "ann" || all[1].On(Object{Kind: Node, ID: "n"}) != want {
				t.Errorf("of all: %+v, %v", all, err)
			}
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		level(None)
		must(f.SetShare(ctx, Node, "n", Grantee{User: "Ann"}, View))
		level(View)
		_, err = f.CreateGroup(ctx, "Class")
		must(err)
		must(f.SetShare(ctx, Node, "n", Grantee{Group: "class"}, Use))
		level(View)
		must(f.AddMember(ctx, "class", "ann"))
		must(f.AddMember(ctx, "class", "ann"))
		must(f.AddMember(ctx, "class", "bob"))
		level(Use)
		must(f.SetShare(ctx, Node, "n", Grantee{User: "ann"}, Use))
		must(f.SetShare(ctx, Node, "n", Grantee{User: "ann"}, View))
		list, err := f.Shares(ctx, Node, "n")
		if err != nil || len(list) != 2 || list[0].User != "ann" || list[0].Level != View || list[1].Group != "class" || list[1].Level != Use {
			t.Errorf("shares %+v, %v", list, err)
		}
		groups, err := f.Groups(ctx)
		if err != nil || len(groups) != 1 || len(groups[0].Members) != 2 || groups[0].Members[1] != "bob" {
			t.Errorf("groups %+v, %v", groups, err)
		}
		must(f.RemoveMember(ctx, "class", "ann"))
		level(View)
		must(f.RemoveShare(ctx, Node, "n", Grantee{User: "ann"}))
		wantCode(t, "a share that is not there", f.RemoveShare(ctx, Node, "n", Grantee{User: "ann"}), fault.NotFound)
		wantCode(t, "a member that is not there", f.RemoveMember(ctx, "class", "ann"), fault.NotFound)
		level(None)
		must(f.AddMember(ctx, "class", "ann"))
		level(Use)
		must(f.DeleteGroup(ctx, "class"))
		level(None)
		must(f.SetShare(ctx, Node, "n", Grantee{User: "ann"}, Use))
		must(f.Forget(ctx, Node, "n"))
		level(None)

		wantCode(t, "share with nobody", f.SetShare(ctx, Node, "n", Grantee{User: "eve"}, Use), fault.NotFound)
		wantCode(t, "share with no group", f.SetShare(ctx, Node, "n", Grantee{Group: "class"}, Use), fault.NotFound)
		wantCode(t, "share to manage", f.SetShare(ctx, Node, "n", Grantee{User: "ann"}, Manage), fault.Invalid)
		_, err = f.CreateGroup(ctx, "../x")
		wantCode(t, "bad group", err, fault.Invalid)
		must(f.SetShare(ctx, Node, "n", Grantee{User: "bob"}, Use))
		must(f.DeleteUser(ctx, "bob"))
		if list, err := f.Shares(ctx, Node, "n"); err != nil || len(list) != 0 {
			t.Errorf("shares with who is gone: %+v, %v", list, err)
		}
	})
}

// TestAccounts makes, changes and deletes accounts.
func TestAccounts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		f, ctx := newFixture(t, url), t.Context()
		f.admin(t)
		admin, viewer, yes, no := RoleAdmin, RoleViewer, true, false
		a, made, err := f.CreateUser(ctx, NewUser{Name: " Ted ", Role: RoleInstructor, Password: "a password of ted"})
		if err != nil || made != "" || a.Name != "ted" || a.Role != RoleInstructor {
			t.Fatalf("%+v, %q, %v", a, made, err)
		}
		for _, name := range []string{"", "a b", "../x", "a/b", "-a", "a\nb", "ä", string(make([]byte, 65))} {
			_, _, err := f.CreateUser(ctx, NewUser{Name: name, Role: RoleStudent, Password: ""})
			wantCode(t, "name "+name, err, fault.Invalid)
		}
		_, _, err = f.CreateUser(ctx, NewUser{Name: "TED", Role: RoleStudent, Password: ""})
		wantCode(t, "name taken", err, fault.NameTaken)
		_, _, err = f.CreateUser(ctx, NewUser{Name: "eve", Role: "root", Password: ""})
		wantCode(t, "bad role", err, fault.Invalid)
		_, _, err = f.CreateUser(ctx, NewUser{Name: "eve", Role: RoleStudent, Password: "short"})
		wantCode(t, "bad password", err, fault.Invalid)
		below := int64(-1)
		_, _, err = f.CreateUser(ctx, NewUser{Name: "eve", Role: RoleStudent, Quota: Quota{Nodes: &below}})
		wantCode(t, "bad quota", err, fault.Invalid)
		_, err = f.User(ctx, "eve")
		wantCode(t, "an account that was refused", err, fault.NotFound)

		token, _, session, err := f.signIn(ctx, Credentials{Name: "ted", Password: "a password of ted"})
		if err != nil {
			t.Fatal(err)
		}
		_, secret, err := f.CreateToken(ctx, session, "script", time.Time{}, ScopeNodes, ScopeRead)
		if err != nil {
			t.Fatal(err)
		}
		byToken, err := f.ByToken(ctx, secret)
		if err != nil || byToken.Scopes != "read nodes" {
			t.Fatalf("%+v, %v", byToken, err)
		}
		_, _, err = f.CreateToken(ctx, byToken, "wider", time.Time{}, ScopeAdmin)
		wantCode(t, "wider token", err, fault.Forbidden)
		if narrow, _, err := f.CreateToken(ctx, byToken, "same", time.Time{}); err != nil || narrow.Scopes != "read nodes" {
			t.Errorf("token of a token: %+v, %v", narrow, err)
		}
		_, _, err = f.CreateToken(ctx, session, "odd", time.Time{}, "everything")
		wantCode(t, "odd scope", err, fault.Invalid)

		// A change of role is seen by what is open, a disabled account ends it.
		for _, p := range []Principal{session, byToken} {
			if now, err := f.Refresh(ctx, p); err != nil || now != p {
				t.Errorf("refresh: %+v, %v; want %+v", now, err, p)
			}
			if over, err := f.Ended(ctx, entryOf(t, p)); err != nil || over {
				t.Errorf("ended: %v, %v", over, err)
			}
		}
		// A change is made as a whole or not at all.
		other, quota := "quite another password", int64(3)
		for code, c := range map[fault.Code]UserChange{fault.Invalid: {Password: &other, Quota: &Quota{Nodes: &below}}, fault.LastAdmin: {Password: &other, Role: &viewer}} {
			name := map[fault.Code]string{fault.Invalid: "ted", fault.LastAdmin: "admin"}[code]
			_, err = f.ChangeUser(ctx, name, c)
			wantCode(t, "a change with one invalid part", err, code)
			_, _, _, err = f.signIn(ctx, Credentials{Name: name, Password: other})
			wantCode(t, "the password of a change that was refused", err, fault.Unauthenticated)
		}
		if a, err = f.ChangeUser(ctx, "ted", UserChange{Role: &viewer, Quota: &Quota{Nodes: &quota}}); err != nil || a.Role != RoleViewer || a.Quota.Nodes == nil || *a.Quota.Nodes != 3 {
			t.Errorf("%+v, %v", a, err)
		}
		if now, err := f.Refresh(ctx, session); err != nil || now.Role != RoleViewer {
			t.Errorf("refresh: %+v, %v", now, err)
		}
		if _, err = f.ChangeUser(ctx, "ted", UserChange{Disabled: &yes}); err != nil {
			t.Fatal(err)
		}
		ended := func(what string) {
			t.Helper()
			for _, p := range []Principal{session, byToken} {
				_, err := f.Refresh(ctx, p)
				wantCode(t, what, err, fault.Unauthenticated)
				if over, err := f.Ended(ctx, entryOf(t, p)); err != nil || !over {
					t.Errorf("%s: ended: %v, %v", what, over, err)
				}
			}
			_, err := f.BySession(ctx, token)
			wantCode(t, what, err, fault.Unauthenticated)
			_, err = f.ByToken(ctx, secret)
			wantCode(t, what, err, fault.Unauthenticated)
		}
		ended("disabled")
		_, _, _, err = f.signIn(ctx, Credentials{Name: "ted", Password: "a password of ted"})
		wantCode(t, "sign in while disabled", err, fault.Unauthenticated)
		if _, err = f.ChangeUser(ctx, "ted", UserChange{Disabled: &no}); err != nil {
			t.Fatal(err)
		}
		if err := f.SetPassword(ctx, "ted", "another password", false, false); err != nil {
			t.Fatal(err)
		}
		_, err = f.Refresh(ctx, session)
		wantCode(t, "a session of the old password", err, fault.Unauthenticated)
		if over, err := f.Ended(ctx, entryOf(t, session)); err != nil || !over {
			t.Errorf("a session of the old password: ended: %v, %v", over, err)
		}
		if over, err := f.Ended(ctx, entryOf(t, Open())); err != nil || over {
			t.Errorf("without sign-in: ended: %v, %v", over, err)
		}

		// There is always an administrator.
		for _, c := range []UserChange{{Role: &viewer}, {Disabled: &yes}} {
			_, err = f.ChangeUser(ctx, "admin", c)
			wantCode(t, "the last administrator", err, fault.LastAdmin)
		}
		wantCode(t, "the last administrator", f.DeleteUser(ctx, "admin"), fault.LastAdmin)
		if _, err = f.ChangeUser(ctx, "ted", UserChange{Role: &admin}); err != nil {
			t.Fatal(err)
		}
		results := make(chan error, 2)
		var both sync.WaitGroup
		for _, name := range []string{"ted", "admin"} {
			both.Go(func() {
				_, err := f.ChangeUser(ctx, name, UserChange{Role: &viewer})
				results <- err
			})
		}
		both.Wait()
		if err := errors.Join(<-results, <-results); fault.CodeOf(err) != fault.LastAdmin {
			t.Errorf("two administrators step down at once: %v", err)
		}
		if _, err = f.ChangeUser(ctx, "admin", UserChange{Role: &admin}); err != nil {
			t.Fatal(err)
		}
		if err := f.DeleteUser(ctx, "ted"); err != nil {
			t.Fatal(err)
		}
		ended("deleted")
		wantCode(t, "delete twice", f.DeleteUser(ctx, "ted"), fault.NotFound)
	})
}

// entryOf is p's Entry, which must fit where it is stored.
func entryOf(t *testing.T, p Principal) string {
	t.Helper()
	text, err := p.Entry()
	if err != nil || len(text) > 255 {
		t.Errorf("entry %q: %v", text, err)
	}
	return text
}
