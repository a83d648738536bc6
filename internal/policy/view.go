package policy

import (
	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
)

// View selects the events that one client can receive. It is not safe for concurrent use.
type View struct {
	rights access.Rights
	// seen are the nodes and images that the client has seen; empty for administrators, who see all.
	seen map[seenObject]bool
}

// seenObject is a node or an image on one host: while a node migrates, two have it.
type seenObject struct {
	kind     access.Kind
	host, id string
}

// NewView returns the View of a client that has read the lists of nodes and images.
func (g *Guard) NewView(rights access.Rights) *View {
	v := &View{rights: rights, seen: map[seenObject]bool{}}
	v.seeAll(g.o.Nodes.Nodes(), g.o.Images.Images())
	return v
}

// Rights returns the client's rights, as of the last call of Change.
func (v *View) Rights() access.Rights { return v.rights }

func (v *View) seeAll(nodes []domain.Node, images []image.Image) {
	for _, n := range nodes {
		v.sees(NodeObject(n), n.Host)
	}
	for _, i := range images {
		v.sees(ImageObject(i), i.Host)
	}
}

// sees returns whether the client sees an object now, and whether it did before.
func (v *View) sees(o access.Object, host string) (now, before bool) {
	if v.rights.Role == access.RoleAdmin {
		return true, true
	}
	key := seenObject{o.Kind, host, o.ID}
	now, before = v.rights.On(o) > access.None, v.seen[key]
	if now {
		v.seen[key] = true
	} else {
		delete(v.seen, key)
	}
	return now, before
}

// Change sets the client's rights, and returns the events that follow from them: objects that it can
// now view, on which it has another permission, or that it can no longer view.
func (v *View) Change(rights access.Rights, nodes []domain.Node, images []image.Image, labs []lab.Lab) []event.Event {
	before := v.rights
	v.rights = rights
	if (before.Role == access.RoleAdmin) != (rights.Role == access.RoleAdmin) {
		clear(v.seen) // nothing recorded what an administrator saw
		v.seeAll(nodes, images)
		return []event.Event{{Type: event.Reset, Data: struct{}{}}}
	}
	var list []event.Event
	notify := func(o access.Object, e event.Event) {
		if before.On(o) == rights.On(o) {
			return
		}
		if e, ok := v.Filter(e); ok {
			list = append(list, e)
		}
	}
	for _, n := range nodes {
		notify(NodeObject(n), event.Event{Type: event.NodeChanged, Data: n})
	}
	for _, i := range images {
		notify(ImageObject(i), event.Event{Type: event.ImageChanged, Data: i})
	}
	for _, l := range labs {
		if rights.On(LabObject(l)) > access.None {
			notify(LabObject(l), event.Event{Type: event.LabChanged, Data: l})
		} else if before.On(LabObject(l)) > access.None {
			list = append(list, event.Event{Type: event.LabRemoved, Data: lab.Removed{Lab: l}})
		}
	}
	return list
}

// Filter returns an event as the client can receive it; false if it cannot. Objects that the client can
// no longer view are reported as removed.
func (v *View) Filter(e event.Event) (event.Event, bool) {
	switch data := e.Data.(type) {
	case domain.Node:
		now, before := v.sees(NodeObject(data), data.Host)
		if !now && before {
			e.Type, e.Data = event.NodeRemoved, inventory.Removed{ID: data.ID, Host: data.Host}
		}
		return e, now || before
	case image.Image:
		now, before := v.sees(ImageObject(data), data.Host)
		if !now && before {
			e.Type, e.Data = event.ImageRemoved, image.Removed{ID: data.ID, Host: data.Host}
		}
		return e, now || before
	case inventory.Removed:
		now, before := v.sees(NodeObject(data.Node), data.Host)
		delete(v.seen, seenObject{access.Node, data.Host, data.ID})
		return e, now || before
	case image.Removed:
		now, before := v.sees(ImageObject(data.Image), data.Host)
		delete(v.seen, seenObject{access.Image, data.Host, data.ID})
		return e, now || before
	case storagepool.PoolLevelChanged: // for users who can list the hosts
		return e, v.rights.Role.AtLeast(access.RoleInstructor)
	case job.Job:
		return e, v.rights.On(JobObject(data)) > access.None
	case lab.Lab:
		return e, v.rights.On(LabObject(data)) > access.None
	case lab.Removed:
		return e, v.rights.On(LabObject(data.Lab)) > access.None
	}
	return e, e.Type == event.HostChanged || e.Type == event.Reset || v.rights.Role == access.RoleAdmin
}
