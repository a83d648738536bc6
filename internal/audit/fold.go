package audit

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Someone who is refused again and again must not fill the table. Of refusals that are
// alike, the first few are their own entries; the others are counted, and become one entry
// when foldWindow is over.
const (
	foldWindow   = 10 * time.Minute
	foldFree     = 10    // alike, that are their own entries
	foldKinds    = 50    // of one actor that are counted apart; beyond it they are counted together
	foldActors   = 10000 // that are counted apart, likewise
	foldInterval = 15 * time.Second
	// firstRefusal is the lowest HTTP status that is a refusal.
	firstRefusal = 400
	// severalActions is the action of an entry for refusals that are not alike.
	severalActions = "several"
)

// alike is what refusals have in common that are folded.
type alike struct {
	actor, actorID, via, address string
	action, code                 string
	status                       int
}

// folded are refusals that are alike.
type folded struct {
	first   Entry
	count   int // beyond those that are their own entries
	free    int // their own entries
	begun   time.Time
	last    time.Time
	sameID  bool // all were for the first's target
	several bool
}

// folder counts refusals.
type folder struct {
	mu    sync.Mutex
	seen  map[alike]*folded
	kinds map[string]int // by actor
}

func newFolder() *folder { return &folder{seen: map[alike]*folded{}, kinds: map[string]int{}} }

// actorOf is whom refusals are counted by: the account, or the address where no one is
// known.
func actorOf(e Entry) string {
	if e.ActorID != "" {
		return e.ActorID
	}
	return e.Actor + "\n" + e.Address
}

// take returns whether an entry is to be stored as it is; else it is counted.
func (f *folder) take(e Entry) bool {
	if e.Status < firstRefusal {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	key := alike{e.Actor, e.ActorID, e.Via, e.Address, e.Action, e.Code, e.Status}
	actor, several := actorOf(e), false
	if f.seen[key] == nil {
		if _, known := f.kinds[actor]; !known && len(f.kinds) >= foldActors {
			actor, key = "", alike{action: severalActions}
			several = true
		} else if f.kinds[actor] >= foldKinds {
			key = alike{actor: e.Actor, actorID: e.ActorID, action: severalActions}
			if e.ActorID == "" {
				key.address = e.Address
			}
			several = true
		}
	}
	v := f.seen[key]
	if v == nil {
		v = &folded{first: e, begun: e.Time, sameID: true, several: several}
		f.seen[key] = v
		f.kinds[actor]++
	}
	if v.free < foldFree {
		v.free++
		return true
	}
	v.count++
	v.last = e.Time
	v.sameID = v.sameID && v.first.TargetKind == e.TargetKind && v.first.TargetID == e.TargetID && v.first.Detail == e.Detail
	return false
}

// over returns the entries of those that began foldWindow before now, or of all.
func (f *folder) over(now time.Time, all bool) (list []Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, v := range f.seen {
		if !all && now.Sub(v.begun) < foldWindow {
			continue
		}
		delete(f.seen, key)
		actor := actorOf(v.first)
		if key == (alike{action: severalActions}) {
			actor = ""
		}
		if f.kinds[actor]--; f.kinds[actor] <= 0 {
			delete(f.kinds, actor)
		}
		if v.count > 0 {
			list = append(list, v.entry(key))
		}
	}
	return list
}

// entry says how often a refusal was repeated.
func (v *folded) entry(key alike) Entry {
	e := Entry{
		Time: v.last, Actor: key.actor, ActorID: key.actorID, Via: key.via, Address: key.address,
		Action: key.action, Code: key.code, Status: key.status, TargetKind: v.first.TargetKind,
	}
	detail := ""
	switch {
	case v.several:
		e.TargetKind, e.Status = "", v.first.Status
	case v.sameID:
		e.TargetID, e.TargetName, detail = v.first.TargetID, v.first.TargetName, v.first.Detail
	}
	more := fmt.Sprintf("refused %d more times since %s", v.count, v.begun.Format(time.RFC3339))
	if !v.sameID && !v.several {
		more += ", for several targets"
	}
	e.Detail = strings.TrimSpace(detail + " " + more)
	return e
}
