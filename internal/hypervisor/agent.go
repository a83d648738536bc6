package hypervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"libvirt.org/go/libvirt"
)

const (
	// agentTimeout bounds each command to an agent, in seconds. Before the first one
	// libvirt waits up to 5 s for the agent to show that it listens.
	agentTimeout libvirt.DomainQemuAgentCommandTimeout = 3
	// silentAfter is how long an agent takes that did not answer: other errors come at
	// once.
	silentAfter = time.Second
	// maxAsks bounds the agents of a host that are asked at a time: each may hold up one
	// of libvirtd's workers, of which there are 20. maxDoubtfulAsks bounds those among
	// them that did not answer the last time, so that the others never wait for them.
	maxAsks         = 12
	maxDoubtfulAsks = 4
	// An agent that did not answer is left alone for firstAgentPause, and twice as long
	// each further time, up to lastAgentPause.
	firstAgentPause = 15 * time.Second
	lastAgentPause  = 10 * time.Minute
)

// ErrAgentSilent is returned for an agent that is left alone for a while, because it did
// not answer.
var ErrAgentSilent = errors.New("the guest's agent did not answer, and is not asked again yet")

// Agents is the only way to the guest agents of a host. An agent belongs to its guest: it
// may answer late, wrongly or never, and one that accepts everything and never answers
// must hold up nothing else. So each command is bounded, the agents of a host are asked
// side by side up to a cap, and those that did not answer are asked ever more seldom, in
// few of the slots. Its methods may be called from any goroutine.
//
// Commands carry their own time limit. The limit that libvirt keeps for each agent
// (virDomainAgentSetResponseTimeout) is not used: it holds for all programs that ask that
// agent, so each of two would take back what the other one relies on.
type Agents struct {
	do       func(ctx context.Context, op string, f Call) error
	slots    chan struct{} // has one for each conversation
	doubtful chan struct{} // likewise, of agents that did not answer the last time

	mu     sync.Mutex
	silent map[string]silence       // by domain UUID
	asked  map[string]chan struct{} // by domain UUID: closed when the conversation is over
}

// silence is what is remembered of an agent that did not answer.
type silence struct {
	times int // in a row
	since time.Time
	until time.Time // it is not asked before
}

func newAgents(do func(ctx context.Context, op string, f Call) error) *Agents {
	return &Agents{
		do: do, slots: make(chan struct{}, maxAsks), doubtful: make(chan struct{}, maxDoubtfulAsks),
		silent: map[string]silence{}, asked: map[string]chan struct{}{},
	}
}

// Agent is a domain's agent during one conversation.
type Agent struct {
	domain   *libvirt.Domain
	answered bool
	silent   bool // it did not answer the last command
}

// Command sends a command and decodes what the agent returns into answer, which the guest
// chose freely. After a command that was not answered all others fail at once.
func (a *Agent) Command(name string, arguments, answer any) error {
	if a.silent {
		return ErrAgentSilent
	}
	command, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{name, arguments})
	if err != nil {
		return err
	}
	begun := time.Now()
	text, err := a.domain.QemuAgentCommand(string(command), agentTimeout, 0)
	if err != nil {
		a.silent = time.Since(begun) > silentAfter
		return fmt.Errorf("guest agent: %s: %w", name, err)
	}
	a.answered = true
	if err := json.Unmarshal([]byte(text), &struct {
		Return any `json:"return"`
	}{answer}); err != nil {
		return fmt.Errorf("guest agent: %s: %w", name, err)
	}
	return nil
}

// Due returns whether Ask would ask a domain's agent now: false while another
// conversation with it lasts, and while it is left alone.
func (a *Agents) Due(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[id] == nil && !time.Now().Before(a.silent[id].until)
}

// Ask runs f with the agent of a domain, after other conversations with it and when a slot
// is free. It fails with ErrAgentSilent while the agent is left alone, and as Host.Do does,
// which op is for.
func (a *Agents) Ask(ctx context.Context, id, op string, f func(*Agent) error) error {
	doubtful, over, err := a.begin(ctx, id)
	if err != nil {
		return err
	}
	defer over()
	release, err := a.slot(ctx, doubtful)
	if err != nil {
		return err
	}
	defer release()
	return a.do(ctx, op, func(conn *libvirt.Connect) error {
		d, err := conn.LookupDomainByUUIDString(id)
		if err != nil {
			return err
		}
		defer func() { _ = d.Free() }()
		agent := &Agent{domain: d}
		err = f(agent)
		a.note(id, agent)
		return err
	})
}

// begin waits until no one else talks to an agent. doubtful is one that did not answer the
// last time.
func (a *Agents) begin(ctx context.Context, id string) (doubtful bool, over func(), err error) {
	for {
		a.mu.Lock()
		s, other := a.silent[id], a.asked[id]
		if time.Now().Before(s.until) {
			a.mu.Unlock()
			return false, nil, ErrAgentSilent
		}
		if other == nil {
			mine := make(chan struct{})
			a.asked[id] = mine
			a.mu.Unlock()
			return s.times > 0, func() {
				a.mu.Lock()
				delete(a.asked, id)
				a.mu.Unlock()
				close(mine)
			}, nil
		}
		a.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return false, nil, ctx.Err()
		}
	}
}

// slot waits for one that is free.
func (a *Agents) slot(ctx context.Context, doubtful bool) (release func(), err error) {
	needed := []chan struct{}{a.slots}
	if doubtful {
		needed = []chan struct{}{a.doubtful, a.slots}
	}
	var taken []chan struct{}
	release = func() {
		for _, c := range taken {
			<-c
		}
	}
	for _, c := range needed {
		select {
		case c <- struct{}{}:
			taken = append(taken, c)
		case <-ctx.Done():
			release()
			return nil, ctx.Err()
		}
	}
	return release, nil
}

// note remembers whether an agent answered. Where it was not there, nothing is learned.
func (a *Agents) note(id string, agent *Agent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !agent.silent {
		if agent.answered {
			delete(a.silent, id)
		}
		return
	}
	s := silence{times: a.silent[id].times + 1, since: time.Now()}
	pause := firstAgentPause
	for range s.times - 1 {
		pause = min(2*pause, lastAgentPause)
	}
	s.until = s.since.Add(pause)
	a.silent[id] = s
}

// changed has an agent that came or went asked again soon. It stays among the doubtful: a
// guest may have its agent come and go as often as it likes.
func (a *Agents) changed(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s, known := a.silent[id]; known {
		if soon := s.since.Add(firstAgentPause); soon.Before(s.until) {
			s.until = soon
			a.silent[id] = s
		}
	}
}

// forget drops what is remembered of a domain that stopped, or of all with an empty id.
func (a *Agents) forget(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if id == "" {
		clear(a.silent)
	} else {
		delete(a.silent, id)
	}
}
