package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/api"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/inventory"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/guacamole"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
)

// guacamoleConfig holds the options of Guacamole. Without a Database, Guacamole is off.
type guacamoleConfig struct {
	Database    string
	URL         *url.URL
	VNCHosts    map[string]string
	Guacds      map[string]guacamole.Guacd
	JSONSecret  guacamole.Secret
	KeepStopped bool
}

func addGuacamoleFlags(f *pflag.FlagSet) {
	f.String("guacamole-database", "", "postgres:// URL of Guacamole's database, file:PATH to read it from a file, or sealed:…; empty: Guacamole is not used")
	f.String("guacamole-url", "", "URL of Guacamole for browsers")
	f.String("guacamole-vnc-host", "", "address at which guacd reaches the hosts' screens; name=address,… sets one per host (default: where they listen)")
	f.String("guacamole-guacd", "", "address:port at which Guacamole reaches the guacd of the hosts, tls://address:port for TLS; name=…,name=… sets one per host (default: Guacamole's guacd)")
	f.String("guacamole-json-secret", "", "Guacamole's json-secret-key: file:PATH to read it from a file, or sealed:… as printed by: sandboxlabs secret seal")
	f.String("guacamole-stopped", "keep", "keep or remove the connections of stopped nodes; removing them breaks open pages, links and the history of a restarted node")
}

// parseGuacamole reads and checks the options of Guacamole.
func (c *config) parseGuacamole(k *koanf.Koanf) error {
	database, err := c.secretText(k, "guacamole-database")
	if err != nil {
		return err
	}
	key, err := c.secretText(k, "guacamole-json-secret")
	if err != nil {
		return err
	}
	c.Guacamole, err = parseGuacamoleConfig(k, database, key)
	return err
}

func parseGuacamoleConfig(k *koanf.Koanf, database, key string) (c guacamoleConfig, err error) {
	c.Database = database
	if c.JSONSecret, err = guacamole.ParseSecret(key); err != nil {
		return c, fmt.Errorf("guacamole-json-secret: %w", err)
	}
	switch stopped := k.String("guacamole-stopped"); stopped {
	case "remove":
	case "keep":
		c.KeepStopped = true
	default:
		return c, fmt.Errorf("guacamole-stopped: %q must be remove or keep", stopped)
	}
	if c.VNCHosts, err = parseByHost(k.String("guacamole-vnc-host"), parseVNCHost); err != nil {
		return c, fmt.Errorf("guacamole-vnc-host: %w", err)
	}
	if c.Guacds, err = parseByHost(k.String("guacamole-guacd"), parseGuacd); err != nil {
		return c, fmt.Errorf("guacamole-guacd: %w", err)
	}
	text := k.String("guacamole-url")
	if text == "" && c.Database == "" {
		return c, nil
	}
	if text == "" || c.Database == "" {
		return c, errors.New("guacamole-database and guacamole-url: set both, or none")
	}
	c.URL, err = url.Parse(text)
	if err != nil || c.URL.Host == "" || !slices.Contains([]string{"http", "https"}, c.URL.Scheme) || c.URL.RawQuery != "" || c.URL.Fragment != "" || c.URL.User != nil {
		return c, errors.New("guacamole-url: give Guacamole's web address, such as https://labs.example.org/guacamole")
	}
	return c, nil
}

// parseByHost parses one value for all hosts, or a list "name=value,…".
func parseByHost[T any](text string, parse func(string) (T, error)) (map[string]T, error) {
	values := map[string]T{}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, named := strings.Cut(part, "=")
		if !named {
			name, value = "", part
		}
		v, err := parse(value)
		if _, twice := values[name]; twice || err != nil {
			return nil, errors.Join(fmt.Errorf("%q is neither an address nor name=address,name=address", text), err)
		}
		values[name] = v
	}
	return values, nil
}

func parseVNCHost(text string) (string, error) {
	if text == "" || strings.ContainsAny(text, "/ ") {
		return "", fmt.Errorf("%q is not an address", text)
	}
	return text, nil
}

func parseGuacd(text string) (guacamole.Guacd, error) {
	address, tls := strings.CutPrefix(text, "tls://")
	host, number, err := net.SplitHostPort(address)
	port, wrong := strconv.ParseUint(number, 10, 16)
	if err != nil || wrong != nil || port == 0 || host == "" || strings.ContainsAny(host, "/ ") {
		return guacamole.Guacd{}, fmt.Errorf("%q is not of the form address:port", text)
	}
	return guacamole.Guacd{Host: host, Port: int(port), TLS: tls}, nil
}

// newGuacamole creates the reconciler and subscribes it to node events. It returns nil if
// Guacamole is off.
func newGuacamole(a *app) (*guacamole.Service, error) {
	c := a.config.Guacamole
	if c.Database == "" {
		return nil, nil // Guacamole is off, which is not an error
	}
	s, err := guacamole.New(guacamole.Options{
		Database: c.Database, URL: c.URL, JSONSecret: c.JSONSecret, VNCHosts: c.VNCHosts, Guacds: c.Guacds, KeepStopped: c.KeepStopped,
		Nodes: guacamoleNodes{a.inventory, a.nodes}, Viewers: guacamoleViewers{a.access, a.inventory, a.config.AuthOff},
		DB: a.db, Vault: a.keys, Ended: a.access.Ended,
		Changed: a.inventory.Republish,
		Log:     a.log,
	})
	if err != nil {
		return nil, err
	}
	a.inventory.Watch(s.NodeChanged)
	return s, nil
}

// guacamoleNodes adapts the nodes to package guacamole.
type guacamoleNodes struct {
	inventory *inventory.Inventory
	nodes     *domain.Service
}

var _ guacamole.Nodes = guacamoleNodes{}

// Inventory returns all nodes from memory, and the hosts whose nodes are not yet all
// known.
func (g guacamoleNodes) Inventory() ([]guacamole.Node, map[string]bool) {
	nodes, unknown := g.inventory.All()
	list := make([]guacamole.Node, 0, len(nodes))
	for _, n := range nodes {
		list = append(list, guacamole.Node{ID: n.ID, Name: n.Name, Host: n.Host, Running: n.Active()})
	}
	return list, unknown
}

// Screen returns the screen of a running node.
func (g guacamoleNodes) Screen(ctx context.Context, id string) (guacamole.Screen, error) {
	v, err := g.nodes.Screen(ctx, id)
	switch fault.CodeOf(err) {
	case "":
		return guacamole.Screen{Listen: v.Listen, Port: v.Port, Password: v.Password}, nil
	case fault.NodeNotRunning, fault.NodeNotFound, fault.NoScreen, fault.Unsupported:
		return guacamole.Screen{}, guacamole.ErrNoScreen
	default:
		return guacamole.Screen{}, err
	}
}

// guacamoleViewers adapts the accounts to package guacamole.
type guacamoleViewers struct {
	access  *access.Service
	nodes   *inventory.Inventory
	authOff bool
}

var _ guacamole.Viewers = guacamoleViewers{}

// Viewers lists the accounts that may open screens. Guacamole's screens accept input, so
// they are for accounts that may use the node, not for those that may only view it.
func (g guacamoleViewers) Viewers(ctx context.Context) ([]guacamole.Viewer, error) {
	all, err := g.access.AllRights(ctx)
	if err != nil {
		return nil, err
	}
	var list []guacamole.Viewer
	for _, rights := range all {
		list = append(list, guacamole.Viewer{ID: rights.UserID, Name: rights.Name, Sees: func(gn guacamole.Node) bool {
			n, err := g.nodes.Node(gn.ID)
			return err == nil && rights.On(policy.NodeObject(n)) >= access.Use
		}})
	}
	if g.authOff {
		everybody := access.Open()
		list = append(list, guacamole.Viewer{ID: api.AccountOf(everybody), Name: everybody.Name, Sees: func(guacamole.Node) bool { return true }})
	}
	return list, nil
}

// hostPatience is how long a command waits for a host's nodes to be loaded.
const hostPatience = 30 * time.Second

func newGuacamoleCommand() *cobra.Command {
	c := &cobra.Command{Use: "guacamole", Short: "Check and sync Guacamole's database"}
	c.AddCommand(&cobra.Command{
		Use:   "status",
		Short: "Check whether Guacamole's database is reachable and in sync; changes nothing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withGuacamole(cmd, func(ctx context.Context, a *app) error {
				r, err := a.guacamole.Compare(ctx)
				if err != nil {
					return err
				}
				st := a.guacamole.Status()
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Guacamole's database is reachable: %d connections and %d users of SandboxLabs, for %d running nodes with a screen.\n", st.Connections, st.Users, r.Nodes)
				if err == nil && r.Made+r.Updated+r.Removed+r.Users == 0 {
					_, err = fmt.Fprintln(cmd.OutOrStdout(), "It is in sync.")
				} else if err == nil {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "It is not in sync: %d connections to create, %d to update, %d to remove, %d users to change. A running service does this automatically; or run: sandboxlabs guacamole sync\n",
						r.Made, r.Updated, r.Removed, r.Users)
				}
				return errors.Join(err, printRest(cmd, r))
			})
		},
	}, &cobra.Command{
		Use:   "sync",
		Short: "Sync Guacamole's database with the running nodes once",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withGuacamole(cmd, func(ctx context.Context, a *app) error {
				r, err := a.guacamole.Sync(ctx)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), r)
				return errors.Join(err, printRest(cmd, r))
			})
		},
	})
	return c
}

// printRest prints the unreachable hosts and the problems, and returns errReported if
// there are any.
func printRest(cmd *cobra.Command, r guacamole.Report) error {
	var err error
	for _, host := range r.UnknownHosts {
		_, e := fmt.Fprintf(cmd.OutOrStdout(), "Host %q is unreachable. Its connections were not changed.\n", host)
		err = errors.Join(err, e)
	}
	for _, p := range r.Problems {
		_, e := fmt.Fprintf(cmd.OutOrStdout(), "Problem: %s\n", p)
		err = errors.Join(err, e)
	}
	if err == nil && len(r.UnknownHosts)+len(r.Problems) > 0 {
		return errReported
	}
	return err
}

// withGuacamole runs f after the nodes of all reachable hosts are loaded.
func withGuacamole(cmd *cobra.Command, f func(ctx context.Context, a *app) error) error {
	return withBackend(cmd, func(ctx context.Context, a *app) error {
		if a.guacamole == nil {
			return errors.New("Guacamole is off: set guacamole-database and guacamole-url") //nolint:staticcheck // a name
		}
		for _, h := range a.hosts.Hosts() {
			if err := a.nodesKnown(ctx, h); err != nil {
				return err
			}
		}
		return f(ctx, a)
	})
}

// nodesKnown waits until a host's nodes are loaded or the host turns out to be
// unreachable.
func (a *app) nodesKnown(ctx context.Context, h *hypervisor.Host) error {
	if err := h.Settled(ctx); err != nil {
		return err
	}
	deadline := time.After(hostPatience)
	for !a.inventory.Known(h.Name()) && h.Status().State == hypervisor.Connected {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline:
			return fmt.Errorf("could not read the nodes of host %q within %v", h.Name(), hostPatience)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}
