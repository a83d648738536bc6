package hypervisor

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Agents that did not answer never take the slots of the others.
func TestSilentAgentsLeaveSlots(t *testing.T) {
	a := newAgents(nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range maxDoubtfulAsks {
		if _, err := a.slot(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.slot(ended, true); err == nil {
		t.Error("one more agent that did not answer is asked")
	}
	for range maxAsks - maxDoubtfulAsks {
		if _, err := a.slot(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.slot(ended, false); err == nil {
		t.Error("more agents are asked than the cap")
	}
	if len(a.slots) != maxAsks || len(a.doubtful) != maxDoubtfulAsks {
		t.Errorf("%d and %d slots are taken", len(a.slots), len(a.doubtful))
	}
}

func TestSilentAgentsAreAskedMoreSeldom(t *testing.T) {
	a := newAgents(nil)
	ask := func() (doubtful bool, err error) {
		doubtful, over, err := a.begin(t.Context(), "id")
		if err == nil {
			over()
		}
		return doubtful, err
	}
	if doubtful, err := ask(); err != nil || doubtful {
		t.Fatalf("a new agent: doubtful %v, %v", doubtful, err)
	}
	var last time.Duration
	for i := range 12 {
		a.note("id", &Agent{silent: true})
		s := a.silent["id"]
		if pause := s.until.Sub(s.since); pause < last || pause > lastAgentPause || i == 0 && pause != firstAgentPause {
			t.Errorf("pause %d is %v, after %v", i+1, pause, last)
		} else {
			last = pause
		}
		if _, err := ask(); !errors.Is(err, ErrAgentSilent) || a.Due("id") {
			t.Errorf("after %d times it is asked again at once: %v", i+1, err)
		}
	}
	if last != lastAgentPause {
		t.Errorf("the last pause is %v", last)
	}
	// It connects again: it is asked soon, as a doubtful one.
	a.changed("id")
	s := a.silent["id"]
	if s.until.Sub(s.since) != firstAgentPause || s.times != 12 {
		t.Errorf("when it comes again it is %+v", s)
	}
	s.until = time.Now()
	a.silent["id"] = s
	if doubtful, err := ask(); err != nil || !doubtful {
		t.Errorf("when it is due: doubtful %v, %v", doubtful, err)
	}
	a.note("id", &Agent{}) // it was not connected: nothing is known of it
	if a.silent["id"].times != 12 {
		t.Error("an agent that is not there counts as one that answers")
	}
	a.note("id", &Agent{answered: true})
	if doubtful, err := ask(); err != nil || doubtful {
		t.Errorf("when it answered: doubtful %v, %v", doubtful, err)
	}
	a.note("id", &Agent{silent: true})
	a.forget("id")
	if !a.Due("id") {
		t.Error("the agent of another run is left alone")
	}
}

// Two conversations with one agent run one after the other.
func TestOneConversationWithAnAgent(t *testing.T) {
	a := newAgents(nil)
	_, over, err := a.begin(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	if a.Due("id") || !a.Due("other") {
		t.Error("an agent that is being asked is due, or another is not")
	}
	second := make(chan error, 1)
	go func() {
		_, over, err := a.begin(t.Context(), "id")
		if err == nil {
			over()
		}
		second <- err
	}()
	select {
	case <-second:
		t.Error("two conversations with one agent")
	case <-time.After(50 * time.Millisecond):
	}
	over()
	if err := <-second; err != nil {
		t.Error(err)
	}
}
