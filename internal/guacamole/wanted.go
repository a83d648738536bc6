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
	// maxNameRunes is the maximum length of a name in Guacamole's tables.
	maxNameRunes = 128
	// offMark is the suffix for the name of a kept connection whose node is off.
	offMark = " (off)"
	// screenAge is how long a screen is trusted without an event. If virsh changes a VNC
	// password while the guest runs, libvirt sends none.
	screenAge = time.Minute
)

// parameters are those that we set. Parameters that others add stay.
var parameters = []string{"hostname", "port", "password", "autoretry"}

// screen is a known Screen, or the fact that the node has none.
type screen struct {
	Screen
	absent bool
	read   time.Time
}

// wanted is the desired state of a node's connection.
type wanted struct {
	node    Node
	names   []string          // the preferred one first
	set     map[string]string // parameters to set; our other ones must be absent
	guacd   Guacd
	off     bool     // kept although the node is off; not created again
	viewers []Viewer // who may open it
}

// plan is the desired state of Guacamole's database, determined at the start of a pass.
type plan struct {
	want  map[string]wanted // by node id
	leave map[string]bool   // nodes whose screen could not be read
	// unknown are the hosts whose nodes are not all known: their connections stay.
	unknown map[string]bool
}

// collect determines the desired state of Guacamole's database.
func (s *Service) collect(ctx context.Context, viewers []Viewer, report *Report) (plan, error) {
	list, unknown := s.o.Nodes.Inventory()
	nodes := map[string]Node{}
	for _, n := range list {
		// During a migration, two hosts have the node: use the one where it runs.
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

// screen returns a node's screen, from memory if that is recent enough.
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

// parameters returns the parameters of a node's connection. For a node that is off it has
// no port, so that it connects to nothing. Its address stays, because guacd takes an empty
// one for its own machine.
func (s *Service) parameters(n Node, screen screen) map[string]string {
	if screen.absent {
		return map[string]string{"hostname": s.address(n.Host, "")}
	}
	set := map[string]string{
		"hostname": s.address(n.Host, screen.Listen),
		"port":     strconv.Itoa(screen.Port),
		// A guest's VNC server may need a moment: retry twice, a second apart.
		"autoretry": "2",
	}
	if screen.Password != "" {
		set["password"] = escapeTokens(screen.Password)
	}
	return set
}

// guacd returns the guacd that shows the screens of a host.
func (s *Service) guacd(host string) Guacd {
	if g, ok := s.o.Guacds[host]; ok {
		return g
	}
	return s.o.Guacds[""]
}

// address returns the address at which guacd reaches the screens of a host. It is never
// empty.
func (s *Service) address(host, listen string) string {
	if a := cmp.Or(s.o.VNCHosts[host], s.o.VNCHosts[""]); a != "" {
		return a
	}
	if ip := net.ParseIP(listen); listen == "" || (ip != nil && ip.IsUnspecified()) {
		return "127.0.0.1"
	}
	return listen
}

// tokenPattern matches what Guacamole substitutes in the value of a parameter.
var tokenPattern = regexp.MustCompile(`\$\{[A-Za-z0-9_]*(:[^}]*)?\}`)

// escapeTokens keeps Guacamole from substituting tokens in a value.
func escapeTokens(value string) string { return tokenPattern.ReplaceAllString(value, `$$${0}`) }

// connectionNames returns the possible names for a node's connection, the preferred one
// first: nodes with the same name are distinguished by their hosts or their ids.
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

// clean removes characters that Guacamole's tables do not accept or that are not
// printable.
func clean(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, "")))
}

// fit appends a suffix to a name, and truncates the name if both are too long together.
func fit(name, end string) string {
	keep := max(maxNameRunes-len([]rune(end)), 0)
	if runes := []rune(name); len(runes) > keep {
		name = string(runes[:keep])
	}
	whole := []rune(name + end)
	return string(whole[:min(len(whole), maxNameRunes)])
}

// change is the difference between a connection and its desired state.
type change struct {
	name   string // the desired name
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

// compare returns the changes that a connection needs. The zero connection is one to be
// created. names are the ids of the group's connections. users are ours by account, or nil
// when the rights are not known now: then nothing is granted or revoked.
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
