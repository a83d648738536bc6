package audit

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

var moreTimes = regexp.MustCompile(`refused (\d+) more times`)

// TestRefusalsAreFolded has someone be refused 20,000 times, for the same and for ever
// other things: the table stays small, no refusal goes uncounted, and what others do is
// there as it was.
func TestRefusalsAreFolded(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		s := open(t, url, nil, 0)
		stop := run(t, s)
		refused := Entry{Actor: "eve", ActorID: "id-eve", Via: "session", Address: "192.0.2.1", Action: "delete-node", TargetKind: "nodes", Status: 403, Code: "forbidden"}
		const each = 5000
		for i := range each {
			same, varied, many, stranger := refused, refused, refused, refused
			same.Action, same.TargetID = "run-node", "one"
			varied.TargetID = fmt.Sprint("node", i)
			many.Action = fmt.Sprint("action", i) // no client can choose so many: the bound holds all the same
			stranger.Actor, stranger.ActorID, stranger.Via, stranger.Action = "", "", "password", "sign-in"
			stranger.Address = fmt.Sprintf("192.0.2.%d", i%200)
			for _, e := range []Entry{same, varied, many, stranger} {
				s.Record(e)
			}
			if i%1000 == 0 {
				s.Record(Entry{Actor: "eve", ActorID: "id-eve", Action: "delete-node", TargetID: fmt.Sprint("done", i), Status: 204})
				s.Record(Entry{Actor: "ann", ActorID: "id-ann", Action: "delete-node", TargetID: fmt.Sprint("ann", i), Status: 403, Address: fmt.Sprint(i)})
			}
		}
		stop()
		entries, counted, done, others := 0, 0, 0, 0
		err := s.Each(t.Context(), Filter{}, func(e Entry) error {
			switch {
			case e.Actor == "ann":
				others++
				return nil
			case e.Status < firstRefusal:
				done++
				return nil
			}
			entries++
			counted++
			if m := moreTimes.FindStringSubmatch(e.Detail); m != nil {
				n, err := strconv.Atoi(m[1])
				counted += n - 1
				if e.Action == "run-node" && (n != each-foldFree || e.TargetID != "one" || e.Code != "forbidden" || e.Address != "192.0.2.1") {
					t.Errorf("of the same refusal %+v tells", e)
				}
				return err
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if counted != 4*each {
			t.Errorf("%d refusals are counted, want %d", counted, 4*each)
		}
		if most := (foldFree + 1) * (foldKinds + 1 + 200); entries > most {
			t.Errorf("the refusals are %d entries, more than %d", entries, most)
		}
		if done != 5 || others != 5 {
			t.Errorf("%d entries of what was done and %d of another's refusals are there, want 5 and 5", done, others)
		}
	})
}

// TestFoldingBeginsAgain has the window end: the next refusal is its own entry.
func TestFoldingBeginsAgain(t *testing.T) {
	f := newFolder()
	now := time.Now()
	refuse := func() (stored int) {
		for range 2 * foldFree {
			if f.take(Entry{Time: now, Actor: "eve", Action: "run-node", Status: 403}) {
				stored++
			}
		}
		return stored
	}
	if n := refuse(); n != foldFree {
		t.Errorf("%d of the first are stored", n)
	}
	if list := f.over(now.Add(foldWindow-time.Second), false); len(list) != 0 {
		t.Errorf("before the window is over: %+v", list)
	}
	now = now.Add(foldWindow)
	if list := f.over(now, false); len(list) != 1 || !moreTimes.MatchString(list[0].Detail) {
		t.Errorf("when the window is over: %+v", list)
	}
	if n := refuse(); n != foldFree {
		t.Errorf("%d of the next are stored", n)
	}
	if f.over(now, true); len(f.seen) != 0 || len(f.kinds) != 0 {
		t.Errorf("%d kinds of %d actors are remembered", len(f.seen), len(f.kinds))
	}

	for i := range 2 * foldActors { // from an IPv6 network there are always more addresses
		f.take(Entry{Time: now, Address: fmt.Sprint(i), Action: "sign-in", Via: "password", Status: 401})
	}
	if len(f.seen) > foldActors+1 || len(f.kinds) > foldActors+1 {
		t.Errorf("%d kinds of %d actors are remembered", len(f.seen), len(f.kinds))
	}
}
