package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
)

// Host is a libvirt host on the wire.
type Host struct {
	Name              string   `json:"name"`
	URI               string   `json:"uri"`
	State             string   `json:"state" enum:"connected,connecting,unreachable"`
	Error             string   `json:"error,omitempty" doc:"Why the host can't be used, and what to do."`
	Accelerator       string   `json:"accelerator" doc:"Accelerator of new nodes: kvm or qemu (software emulation)."`
	AcceleratorReason string   `json:"acceleratorReason"`
	CPUs              int      `json:"cpus"`
	MemoryBytes       int64    `json:"memoryBytes"`
	LibvirtVersion    string   `json:"libvirtVersion"`
	HypervisorVersion string   `json:"hypervisorVersion"`
	Warnings          []string `json:"warnings" doc:"Known faults of its libvirt or QEMU, and how to fix them."`
	Network           string   `json:"network" example:"default" doc:"Network of new nodes that name none: a network name; user (user-mode networking); or none, if the default network is not available and such nodes are refused."`
	UserNetwork       bool     `json:"userNetwork" doc:"Whether nodes may use user-mode networking (network: user)."`
	Nodes             int      `json:"nodes"`
	Running           int      `json:"running"`
	Pools             []Pool   `json:"pools"`
}

func (s *Server) hosts() []Host {
	list := []Host{}
	count, running := map[string]int{}, map[string]int{}
	for _, n := range s.o.Nodes.Nodes() {
		count[n.Host]++
		if n.Active() {
			running[n.Host]++
		}
	}
	for _, h := range s.o.Hosts.Hosts() {
		st := h.Status()
		v := Host{
			Name: st.Name, URI: st.URI, State: string(st.State), Error: st.Problem,
			Accelerator: st.Capabilities.Accelerator, AcceleratorReason: st.Capabilities.AcceleratorReason,
			CPUs: st.Capabilities.CPUs, MemoryBytes: st.Capabilities.MemoryMiB << 20,
			LibvirtVersion: st.Capabilities.LibvirtVersion, HypervisorVersion: st.Capabilities.HypervisorVersion,
			Network: s.o.Nodes.NetworkMode(st.Name), UserNetwork: s.o.Nodes.UserModeAllowed(st.Name), Nodes: count[st.Name], Running: running[st.Name], Pools: []Pool{},
			Warnings: append([]string{}, st.Capabilities.Warnings...),
		}
		if v.Error == "" {
			v.Error = shown(s.o.Pools.Problem(st.Name))
		}
		for _, p := range s.o.Pools.Pools(st.Name) {
			v.Pools = append(v.Pools, poolView(p))
		}
		list = append(list, v)
	}
	return list
}

// shown returns the message of an error that users may see.
func shown(err error) string {
	var f *fault.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f):
		return f.Message
	default:
		return "The storage pools cannot be used; the service's log says why."
	}
}

// Health is the state of the service and its dependencies.
type Health struct {
	Status    string `json:"status" enum:"ok,degraded"`
	Version   string `json:"version"`
	Database  string `json:"database" enum:"ok,unreachable"`
	Guacamole string `json:"guacamole" enum:"off,ok,unreachable" doc:"Whether Guacamole's database can be synced. Nodes don't depend on it."`
	// GuacamoleWeb and Guacds are the parts that the database says nothing of.
	GuacamoleWeb string            `json:"guacamoleWeb" enum:"off,unknown,ok,unreachable" doc:"Whether Guacamole's web application responds at guacamole-url; unknown until the first check."`
	Guacds       map[string]string `json:"guacds,omitempty" doc:"State of each guacd that guacamole-guacd names, by host (default: for all others): unknown, ok or unreachable."`
	Hosts        map[string]string `json:"hosts" doc:"State by host: connected, connecting, unreachable, or storage (its pools can't be used)."`

	UnfinishedChanges int `json:"unfinishedChanges" doc:"Number of changes that the service could neither complete nor undo: see GET /api/changes. While it is not 0, the status is degraded."`
}

// databasePatience is the timeout for a database that does not respond.
const databasePatience = 3 * time.Second

func (s *Server) registerSystem() {
	register(s, huma.Operation{
		OperationID: "health", Method: http.MethodGet, Path: "/api/health", Summary: "Check the health of the service and its dependencies", Tags: []string{"system"},
		Description: "Returns 200 while the service is running; status is degraded if a dependency is unreachable.", Security: []map[string][]string{{}},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body Health }, error) {
		out := &struct{ Body Health }{Health{Status: "ok", Version: s.o.Version, Database: "ok", Hosts: map[string]string{}}}
		asked, cancel := context.WithTimeout(ctx, databasePatience)
		defer cancel()
		if err := s.o.Database(asked); err != nil {
			out.Body.Status, out.Body.Database = "degraded", "unreachable"
		}
		s.addGuacamole(&out.Body)
		if counts, err := s.o.Nodes.CountUnfinished(asked); err == nil { // otherwise the database is unreachable
			for _, n := range counts {
				out.Body.UnfinishedChanges += n
			}
		}
		if out.Body.UnfinishedChanges > 0 {
			out.Body.Status = "degraded"
		}
		for _, h := range s.o.Hosts.Hosts() {
			state := string(h.Status().State)
			switch {
			case state != string(hypervisor.Connected):
			case s.o.Pools.Problem(h.Name()) != nil:
				state = "storage"
			case !s.o.Nodes.Known(h.Name()):
				state = string(hypervisor.Connecting)
			}
			if state != string(hypervisor.Connected) {
				out.Body.Status = "degraded"
			}
			out.Body.Hosts[h.Name()] = state
		}
		return out, nil
	})
	register(s, huma.Operation{
		OperationID: "list-hosts", Method: http.MethodGet, Path: "/api/hosts", Summary: "List the libvirt hosts with their pools", Tags: []string{"system"},
		Description: "In the order of the configuration. Requests that name no host use the first one.",
	}, func(_ context.Context, in *Paging) (*hostList, error) {
		hosts := s.hosts()
		places := make(map[string]string, len(hosts))
		for i, h := range hosts {
			places[h.Name] = fmt.Sprintf("%06d", i)
		}
		page, next, err := pageOf(*in, "hosts", hosts, func(h Host) string { return places[h.Name] })
		if err != nil {
			return nil, err
		}
		out := &hostList{}
		out.Body.Hosts, out.Body.Next = page, next
		return out, nil
	})
}

type hostList struct {
	Body struct {
		Hosts []Host `json:"hosts"`
		Next
	}
}
