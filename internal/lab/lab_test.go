package lab

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// noLibvirt is for tests that only need the database: any call panics.
type noLibvirt struct{ Libvirt }

func open(t *testing.T, url string) (*Service, *event.Subscription) {
	t.Helper()
	db, err := store.Open(t.Context(), url, nil, Migrations()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close(db) })
	events := &event.Broker{}
	s, err := New(Options{DB: db, Libvirt: noLibvirt{}, Events: events})
	if err != nil {
		t.Fatal(err)
	}
	told := events.Subscribe(0)
	t.Cleanup(told.Close)
	return s, told
}

func TestPlaces(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		s, told := open(t, url)
		ctx := t.Context()
		newLab := func(name string) Lab {
			t.Helper()
			l, err := s.Create(ctx, name, "ann")
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		one, two := newLab("  Ünicorn "), newLab("two")
		if one.Name != "Ünicorn" {
			t.Errorf("the name is %q", one.Name)
		}
		must := func(l Lab, err error) Lab {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		must(s.Add(ctx, one.ID, Place{Kind: Node, ID: "a", X: 1, Y: 2}))
		must(s.Add(ctx, one.ID, Place{Kind: Network, ID: "a", X: 3, Y: 4})) // the same id, but another kind
		if _, err := s.Add(ctx, two.ID, Place{Kind: Node, ID: "a"}); fault.CodeOf(err) != fault.NodeBusy {
			t.Errorf("a node of another lab is taken: %v", err)
		}
		if l := must(s.Add(ctx, one.ID, Place{Kind: Node, ID: "a", X: 5.5, Y: -6})); !slices.Contains(l.Places, Place{Node, "a", 5.5, -6}) || len(l.Places) != 2 {
			t.Errorf("added again, it is at %+v", l.Places)
		}
		must(s.Move(ctx, two.ID, []Place{{ID: "a", X: 9, Y: 9}})) // not in this lab
		if l := must(s.Lab(ctx, one.ID)); slices.Contains(l.Places, Place{Node, "a", 9, 9}) {
			t.Error("another lab moved it")
		}
		if nodes, err := s.Nodes(ctx); err != nil || !slices.Equal(nodes[one.ID], []string{"a"}) || len(nodes) != 1 {
			t.Errorf("the nodes of the labs are %v, %v", nodes, err)
		}

		// What has been forgotten or deleted is free for others.
		if err := s.Forget(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		must(s.Add(ctx, two.ID, Place{Kind: Node, ID: "a"}))
		if err := s.Delete(ctx, two.ID); err != nil {
			t.Fatal(err)
		}
		must(s.Add(ctx, one.ID, Place{Kind: Node, ID: "a"}))
		if _, err := s.Rename(ctx, two.ID, "gone", nil); fault.CodeOf(err) != fault.NotFound {
			t.Errorf("a lab that is gone is renamed: %v", err)
		}
		removed := false
		for len(told.C) > 0 {
			e := <-told.C
			removed = removed || e.Type == event.LabRemoved && e.Data.(Removed).Lab.ID == two.ID
		}
		if !removed {
			t.Error("there was no event for the deleted lab")
		}
	})
}

func TestNamesAndSubnetsAreFree(t *testing.T) {
	taken := []Net{{Name: "my-lab-net1", Subnet: "10.130.0.0/16"}, {Name: "my-lab-net2", Subnet: "not one"}}
	for lab, want := range map[string]string{
		"My lab!": "my-lab-net3", "…": "lab-net1", strings.Repeat("x", 64): strings.Repeat("x", 40) + "-net1",
	} {
		if got := freeName(lab, taken); got != want {
			t.Errorf("a network of %q is called %q, want %q", lab, got, want)
		}
	}
}

// fussy is a host that refuses networks until the third one.
type fussy struct {
	Libvirt
	asked []Net
	err   error
}

func (f *fussy) Networks(context.Context) ([]Net, error) { return nil, nil }
func (f *fussy) CreateNetwork(_ context.Context, n Net) (Net, error) {
	f.asked = append(f.asked, n)
	if len(f.asked) < 3 {
		return Net{}, f.err
	}
	n.Active = true
	return n, nil
}

func TestANetworkIsTriedAgainByAnotherName(t *testing.T) {
	s, _ := open(t, storetest.SQLite(t))
	l, err := s.Create(t.Context(), "fussy", "ann")
	if err != nil {
		t.Fatal(err)
	}
	host := &fussy{err: fault.Field("name", "the name is taken")}
	s.o.Libvirt = host
	net, err := s.AddNetwork(t.Context(), l.ID, "", "ann", true, 1, 2)
	if err != nil || len(host.asked) != 3 || host.asked[0].ID != net.ID {
		t.Fatalf("%+v, %v, after %+v", net, err, host.asked)
	}
	// If a retry cannot help, there is none, and no place remains.
	s.o.Libvirt = &fussy{err: fault.New(fault.HostUnreachable, "away")}
	if _, err := s.AddNetwork(t.Context(), l.ID, "", "ann", true, 0, 0); fault.CodeOf(err) != fault.HostUnreachable {
		t.Errorf("on an unreachable host: %v", err)
	}
	if l, err = s.Lab(t.Context(), l.ID); err != nil || len(l.Places) != 1 {
		t.Errorf("the lab is %+v, %v", l, err)
	}
}
