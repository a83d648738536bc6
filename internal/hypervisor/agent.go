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
	// agentTimeout limits each command to an agent, in seconds. Before the first command,
	// libvirt waits up to 5 s for the agent to respond to a guest-sync.
	agentTimeout libvirt.DomainQemuAgentCommandTimeout = 3
	// silentAfter is the duration from which a failed command counts as not answered:
	// other errors are returned at once.
	silentAfter = time.Second
	// maxAsks limits how many agents of a host are asked at a time, since each may block
	// one of libvirtd's 20 workers. maxDoubtfulAsks limits those among them that did not
	// answer the last time, so that the others never wait for them.
	maxAsks         = 12
	maxDoubtfulAsks = 4
	// An agent that did not answer is not asked for firstAgentPause, and each further time
	// for twice as long, up to lastAgentPause.
	firstAgentPause = 15 * time.Second
	lastAgentPause  = 10 * time.Minute
)

// ErrAgentSilent is returned for an agent that is not asked for a while because it did not
// answer.
var ErrAgentSilent = errors.New("the guest's agent did not answer, and is not asked again yet")

// Agents is the only way to the guest agents of a host. The guest controls its agent: it
// may answer late, wrongly or never, and an agent that accepts everything and never
// answers must not block anything else. So each command has a timeout, a limited number of
// agents of a host is asked concurrently, and those that did not answer are asked less and
// less often, in a few of the slots. Its methods may be called from any goroutine.
//
// Each command has its own timeout. The timeout that libvirt keeps for each agent
// (virDomainAgentSetResponseTimeout) is not used, because it applies to all programs that
// ask that agent: each program would override the timeout of the others.
type Agents struct {
	do       func(ctx context.Context, op string, f Call) error
	slots    chan struct{} // contains one item per conversation
	doubtful chan struct{} // the same, for agents that did not answer the last time

	mu     sync.Mutex
	silent map[string]silence       // by domain UUID
	asked  map[string]chan struct{} // by domain UUID: closed when the conversation is over
}

// silence is what is known of an agent that did not answer.
type silence struct {
	times int // in a row
	since time.Time
	until time.Time // not asked before
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

// Command sends a command and decodes the agent's response into answer. The guest may send
// anything. After a command without an answer, all further commands fail at once.
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

// Due returns whether Ask would ask a domain's agent now. It is false during another
// conversation with the agent and while the agent is not asked because it did not answer.
func (a *Agents) Due(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[id] == nil && !time.Now().Before(a.silent[id].until)
}

// Ask runs f with the agent of a domain, after other conversations with the agent and when
// a slot is free. It fails with ErrAgentSilent while the agent is not asked because it did
// not answer, and otherwise like Host.Do, to which it passes op.
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

// begin waits until no other conversation with the agent is in progress. doubtful reports
// whether the agent did not answer the last time.
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

// slot waits for a free slot.
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

// note records whether an agent answered. It records nothing if the agent was not
// connected.
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

// changed makes Ask try an agent that connected or disconnected again soon. The agent
// remains doubtful, because a guest may connect and disconnect its agent as often as it
// likes.
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

// forget drops the state of a domain that stopped, or of all domains if id is empty.
func (a *Agents) forget(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if id == "" {
		clear(a.silent)
	} else {
		delete(a.silent, id)
	}
}
