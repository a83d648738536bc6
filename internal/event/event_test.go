package event

import "testing"

func drain(s *Subscription) (list []Event) {
	for {
		select {
		case e, ok := <-s.C:
			if !ok {
				return list
			}
			list = append(list, e)
		default:
			return list
		}
	}
}

func TestSubscribersGetEventsInOrder(t *testing.T) {
	var b Broker
	s := b.Subscribe(0)
	defer s.Close()
	for i := range 10 {
		b.Publish(NodeChanged, i)
	}
	got := drain(s)
	if len(got) != 10 {
		t.Fatalf("%d events, want 10", len(got))
	}
	for i, e := range got {
		if e.Data != i || (i > 0 && e.ID != got[i-1].ID+1) {
			t.Errorf("event %d is %+v", i, e)
		}
	}
}

func TestResume(t *testing.T) {
	var b Broker
	s := b.Subscribe(0)
	for i := range 5 {
		b.Publish(NodeChanged, i)
	}
	seen := drain(s)
	s.Close()
	s.Close() // again is harmless

	s = b.Subscribe(seen[2].ID)
	if got := drain(s); len(got) != 2 || got[0].Data != 3 || got[1].Data != 4 {
		t.Errorf("resumed with %+v", got)
	}
	s = b.Subscribe(seen[4].ID)
	if got := drain(s); len(got) != 0 {
		t.Errorf("nothing was missed, and came %+v", got)
	}
	for name, id := range map[string]uint64{"of an earlier run": 7, "of the future": seen[4].ID + 100} {
		s = b.Subscribe(id)
		if got := drain(s); len(got) != 1 || got[0].Type != Reset {
			t.Errorf("an id %s: %+v, want a reset", name, got)
		}
	}
	for range remembered {
		b.Publish(NodeChanged, nil)
	}
	s = b.Subscribe(seen[4].ID - 1)
	if got := drain(s); len(got) != 1 || got[0].Type != Reset {
		t.Errorf("forgotten events: %d, want a reset", len(got))
	}
}

func TestSlowSubscriberIsCutOff(t *testing.T) {
	var b Broker
	slow, quick := b.Subscribe(0), b.Subscribe(0)
	defer quick.Close()
	for range remembered + queued + 1 {
		b.Publish(NodeChanged, nil)
		<-quick.C
	}
	n := 0
	for range slow.C { // ends because it was closed
		n++
	}
	if n != remembered+queued {
		t.Errorf("the slow one got %d events", n)
	}
	b.Publish(NodeChanged, "still")
	if e := <-quick.C; e.Data != "still" {
		t.Errorf("the quick one got %+v", e)
	}
}
