package api

import (
	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// eventView makes of all events those that one client may know of.
type eventView struct {
	rights access.Rights
	// seen are the nodes and images that the client has seen; not kept for
	// administrators, who see all.
	seen map[seenObject]bool
}

// seenObject is a node or an image on one host: while a node migrates, two have it.
type seenObject struct {
	kind     access.Kind
	host, id string
}

func (s *Server) newEventView(rights access.Rights) *eventView {
	v := &eventView{rights: rights, seen: map[seenObject]bool{}}
	for _, n := range s.o.Nodes.Nodes() {
		v.sees(policy.NodeObject(n), n.Host)
	}
	for _, i := range s.o.Storage.Images() {
		v.sees(policy.ImageObject(i), i.Host)
	}
	return v
}

// sees tells whether the client sees an object now, and did before.
func (v *eventView) sees(o access.Object, host string) (now, before bool) {
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

// change takes the client's new rights, and returns what it has to be told of them:
// what it may see now, or do now, and what it sees no longer.
func (v *eventView) change(rights access.Rights, nodes []domain.Node, images []storagepool.Image, labs []lab.Lab) []event.Event {
	before := v.rights
	v.rights = rights
	if (before.Role == access.RoleAdmin) != (rights.Role == access.RoleAdmin) {
		clear(v.seen) // there is no record of what an administrator saw
		for _, n := range nodes {
			v.sees(policy.NodeObject(n), n.Host)
		}
		for _, i := range images {
			v.sees(policy.ImageObject(i), i.Host)
		}
		return []event.Event{{Type: event.Reset, Data: struct{}{}}}
	}
	var list []event.Event
	tell := func(o access.Object, e event.Event) {
		if before.On(o) == rights.On(o) {
			return
		}
		if e, ok := v.filter(e); ok {
			list = append(list, e)
		}
	}
	for _, n := range nodes {
		tell(policy.NodeObject(n), event.Event{Type: event.NodeChanged, Data: n})
	}
	for _, i := range images {
		tell(policy.ImageObject(i), event.Event{Type: event.ImageChanged, Data: i})
	}
	for _, l := range labs {
		if rights.On(policy.LabObject(l)) > access.None {
			tell(policy.LabObject(l), event.Event{Type: event.LabChanged, Data: l})
		} else if before.On(policy.LabObject(l)) > access.None {
			list = append(list, event.Event{Type: event.LabRemoved, Data: lab.Removed{Lab: l}})
		}
	}
	return list
}

// filter returns the event as the client may be told, false when it may not: of
// what it sees no longer, it is told that it is gone.
func (v *eventView) filter(e event.Event) (event.Event, bool) {
	switch data := e.Data.(type) {
	case domain.Node:
		now, before := v.sees(policy.NodeObject(data), data.Host)
		if !now && before {
			e.Type, e.Data = event.NodeRemoved, domain.Removed{ID: data.ID, Host: data.Host}
		}
		return e, now || before
	case storagepool.Image:
		now, before := v.sees(policy.ImageObject(data), data.Host)
		if !now && before {
			e.Type, e.Data = event.ImageRemoved, storagepool.Removed{ID: data.ID, Host: data.Host}
		}
		return e, now || before
	case domain.Removed:
		now, before := v.sees(policy.NodeObject(data.Node), data.Host)
		delete(v.seen, seenObject{access.Node, data.Host, data.ID})
		return e, now || before
	case storagepool.Removed:
		now, before := v.sees(policy.ImageObject(data.Image), data.Host)
		delete(v.seen, seenObject{access.Image, data.Host, data.ID})
		return e, now || before
	case storagepool.PoolLevelChanged: // to those who may list the hosts
		return e, v.rights.Role.AtLeast(access.RoleInstructor)
	case job.Job:
		return e, v.rights.On(policy.JobObject(data)) > access.None
	case lab.Lab:
		return e, v.rights.On(policy.LabObject(data)) > access.None
	case lab.Removed:
		return e, v.rights.On(policy.LabObject(data.Lab)) > access.None
	}
	return e, e.Type == event.HostChanged || e.Type == event.Reset || v.rights.Role == access.RoleAdmin
}
