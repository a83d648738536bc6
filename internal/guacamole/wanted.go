package guacamole

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	protocol = "vnc"
	// maxNameRunes is what Guacamole's tables hold of a name.
	maxNameRunes = 128
	// offMark ends the name of a kept connection whose node is off.
	offMark = " (off)"
	// screenAge is how long a screen is trusted that no event spoke of: a VNC
	// password that virsh changes while the guest runs raises none.
	screenAge = time.Minute
)

// parameters are those that we set. Others that someone adds stay.
var parameters = []string{"hostname", "port", "password", "autoretry"}

// screen is a Screen that was read, or that the node has none.
type screen struct {
	Screen
	absent bool
	read   time.Time
}

// wanted is how a node's connection should be.
type wanted struct {
	node    Node
	names   []string          // the best first
	set     map[string]string // of parameters; our other ones should be absent
	guacd   Guacd
	off     bool     // kept though the node is off: not made again
	viewers []Viewer // who may open it
}

// plan is what Guacamole should have, decided at the start of a pass.
type plan struct {
	want  map[string]wanted // by node
	leave map[string]bool   // nodes whose screen could not be read
	// unknown are the hosts whose nodes are not all known: their connections stay.
	unknown map[string]bool
}

// collect finds out what Guacamole should have.
func (s *Service) collect(ctx context.Context, viewers []Viewer, report *Report) (plan, error) {
	list, unknown := s.o.Nodes.Inventory()
	nodes := map[string]Node{}
	for _, n := range list {
		// While a node migrates two hosts have it: the one where it runs is meant.
		if other, known := nodes[n.ID]; !known || !other.Running {
			nodes[n.ID] = n
		}
	}
	s.mu.Lock()
	for id := range s.dirty {
		delete(s.screens, id)
	}
	s.dirty = map[string]bool{}
	old := s.screens
	s.mu.Unlock()

	p := plan{want: map[string]wanted{}, leave: map[string]bool{}, unknown: unknown}
	fresh := make(map[string]screen, len(nodes))
	for id, n := range nodes {
		if unknown[n.Host] {
			p.leave[id] = true
			continue
		}
		screen, err := s.screen(ctx, n, old[id])
		if ctx.Err() != nil {
			return plan{}, ctx.Err()
		}
		if err != nil {
			p.leave[id] = true
			report.Problems = append(report.Problems, "the screen of node "+id+" cannot be read: "+err.Error())
			continue
		}
		if n.Running {
			fresh[id] = screen
		}
		w := wanted{node: n, off: screen.absent, guacd: s.guacd(n.Host)}
		if w.off && !s.o.KeepStopped {
			continue
		}
		w.names = connectionNames(n, w.off)
		w.set = s.parameters(n, screen)
		for _, v := range viewers {
			if v.Sees(n) {
				w.viewers = append(w.viewers, v)
			}
		}
		p.want[id] = w
		if !w.off {
			report.Nodes++
		}
	}
	s.mu.Lock()
	s.screens = fresh
	s.mu.Unlock()
	return p, nil
}

// screen returns a node's screen, from memory where that is recent enough.
func (s *Service) screen(ctx context.Context, n Node, old screen) (screen, error) {
	if !n.Running {
		return screen{absent: true}, nil
	}
	if !old.read.IsZero() && time.Since(old.read) < screenAge {
		return old, nil
	}
	v, err := s.o.Nodes.Screen(ctx, n.ID)
	if errors.Is(err, ErrNoScreen) {
		v, err = Screen{}, nil
	}
	return screen{Screen: v, absent: v.Port == 0, read: time.Now()}, err
}

// parameters are those of a node's connection. One that is off has no port and
// so reaches nothing; its address stays, for guacd takes an empty one to be its
// own machine.
func (s *Service) parameters(n Node, screen screen) map[string]string {
	if screen.absent {
		return map[string]string{"hostname": s.address(n.Host, "")}
	}
	set := map[string]string{
		"hostname": s.address(n.Host, screen.Listen),
		"port":     strconv.Itoa(screen.Port),
		// A guest's VNC server may take a moment: two more tries, a second apart.
		"autoretry": "2",
	}
	if screen.Password != "" {
		set["password"] = escapeTokens(screen.Password)
	}
	return set
}

// guacd shows the screens of a host.
func (s *Service) guacd(host string) Guacd {
	if g, ok := s.o.Guacds[host]; ok {
		return g
	}
	return s.o.Guacds[""]
}

// address is where guacd reaches the screens of a host; never empty.
func (s *Service) address(host, listen string) string {
	if a := cmp.Or(s.o.VNCHosts[host], s.o.VNCHosts[""]); a != "" {
		return a
	}
	if ip := net.ParseIP(listen); listen == "" || (ip != nil && ip.IsUnspecified()) {
		return "127.0.0.1"
	}
	return listen
}

// tokenPattern is what Guacamole replaces in the value of a parameter.
var tokenPattern = regexp.MustCompile(`\$\{[A-Za-z0-9_]*(:[^}]*)?\}`)

// escapeTokens keeps Guacamole from replacing anything in a value.
func escapeTokens(value string) string { return tokenPattern.ReplaceAllString(value, `$$${0}`) }

// connectionNames are the names that a node's connection may have, the best
// first: two nodes of one name are told apart by their hosts, or by their ids.
func connectionNames(n Node, off bool) []string {
	mark := ""
	if off {
		mark = offMark
	}
	name := cmp.Or(clean(n.Name), n.ID)
	return []string{
		fit(name, mark),
		fit(name, " ("+clean(n.Host)+")"+mark),
		fit(name, " ("+n.ID+")"+mark),
	}
}

// clean drops what Guacamole's tables do not take, or what no one can read.
func clean(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, "")))
}

// fit joins a name and its end, cutting the name where both are too long.
func fit(name, end string) string {
	keep := max(maxNameRunes-len([]rune(end)), 0)
	if runes := []rune(name); len(runes) > keep {
		name = string(runes[:keep])
	}
	whole := []rune(name + end)
	return string(whole[:min(len(whole), maxNameRunes)])
}

// change is what it takes to make a connection as it should be.
type change struct {
	name   string // the name it should have
	row    bool   // name, parent, protocol or guacd differ
	set    map[string]string
	drop   []string
	host   bool
	grant  []int
	revoke []int
}

func (c change) none() bool {
	return !c.row && len(c.set) == 0 && len(c.drop) == 0 && !c.host && len(c.grant) == 0 && len(c.revoke) == 0
}

// compare returns what has to change in a connection; the zero connection is one that has
// to be made. names are the ids of the group's connections. users are ours by account, nil
// when who may see what is not known now: then nothing is granted or revoked.
func compare(have connection, w wanted, group int, names map[string]int, users map[string]user) change {
	c := change{name: w.names[len(w.names)-1], set: map[string]string{}, host: have.host != w.node.Host}
	for _, name := range w.names {
		if id, taken := names[name]; !taken || id == have.id {
			c.name = name
			break
		}
	}
	c.row = have.name != c.name || have.parent != group || have.protocol != protocol || have.guacd != w.guacd
	for _, p := range parameters {
		value, wanted := w.set[p]
		old, there := have.parameters[p]
		switch {
		case wanted && (!there || old != value):
			c.set[p] = value
		case !wanted && there:
			c.drop = append(c.drop, p)
		}
	}
	if users == nil {
		return c
	}
	may := map[int]bool{}
	for _, v := range w.viewers {
		if u, ok := users[v.ID]; ok {
			may[u.entity] = true
		}
	}
	for _, entity := range slices.Sorted(maps.Keys(may)) {
		if !slices.Contains(have.readers, entity) {
			c.grant = append(c.grant, entity)
		}
	}
	for _, u := range users {
		if !may[u.entity] && slices.Contains(have.readers, u.entity) {
			c.revoke = append(c.revoke, u.entity)
		}
	}
	return c
}
