package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/guacamole"
)

// syncPatience is the timeout for a Guacamole database that does not respond.
const syncPatience = 10 * time.Second

// GuacamoleState is the state of the synchronization with Guacamole's database, in the API.
type GuacamoleState struct {
	Enabled     bool       `json:"enabled"`
	State       string     `json:"state" enum:"off,unknown,ok,unreachable" doc:"State of its database; unknown until the first sync has finished."`
	Error       string     `json:"error,omitempty" doc:"Why it is unreachable, and what to do."`
	Connections int        `json:"connections" doc:"Connections of nodes, at the last successful sync."`
	Users       int        `json:"users" doc:"Users of accounts, at the last successful sync."`
	LastSync    *time.Time `json:"lastSync,omitempty" doc:"Time of the last successful sync."`
	Failures    int        `json:"failures" doc:"Failed syncs since then."`
	Web         string     `json:"web" enum:"off,unknown,ok,unreachable" doc:"State of its web application."`
	WebError    string     `json:"webError,omitempty" doc:"Why the web application is unreachable, and what to do."`
	// Guacds are the guacds in the options.
	Guacds map[string]string `json:"guacds,omitempty" doc:"State of each guacd that guacamole-guacd names, by host (default: for all others)."`
}

// GuacamoleSync is the result of a synchronization, in the API.
type GuacamoleSync struct {
	Nodes        int      `json:"nodes" doc:"Running nodes with a screen."`
	Made         int      `json:"made" doc:"Connections created; updated and removed count connections too."`
	Updated      int      `json:"updated"`
	Removed      int      `json:"removed"`
	Users        int      `json:"users" doc:"Users created, renamed or removed."`
	DurationMs   int64    `json:"durationMs"`
	UnknownHosts []string `json:"unknownHosts" doc:"Unreachable hosts. Their connections were not changed."`
	Problems     []string `json:"problems" doc:"What could not be synced."`
}

func guacamoleStateOf(st guacamole.Status) GuacamoleState {
	v := GuacamoleState{
		Enabled: true, State: string(st.State), Connections: st.Connections, Users: st.Users, LastSync: instant(st.Passed), Failures: st.Failures,
		Web: string(st.Web), WebError: st.WebProblem, Guacds: guacdStates(st),
	}
	if st.State == guacamole.Unreachable {
		v.Error = st.Problem
	}
	return v
}

func (s *Server) registerGuacamoleSync() {
	register(s, huma.Operation{
		OperationID: "get-guacamole", Method: http.MethodGet, Path: "/api/guacamole", Summary: "Read the state of the Guacamole sync", Tags: []string{"system"},
		Description: "Administrators only.",
	}, func(context.Context, *struct{}) (*struct{ Body GuacamoleState }, error) {
		if s.o.Guacamole == nil {
			return &struct{ Body GuacamoleState }{GuacamoleState{State: "off", Web: "off"}}, nil
		}
		return &struct{ Body GuacamoleState }{guacamoleStateOf(s.o.Guacamole.Status())}, nil
	})
	register(s, huma.Operation{
		OperationID: "sync-guacamole", Method: http.MethodPost, Path: "/api/guacamole/sync", Summary: "Sync Guacamole now", Tags: []string{"system"},
		Description: "This happens automatically at each change and every ten seconds. Administrators only.",
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body GuacamoleSync }, error) {
		if s.o.Guacamole == nil {
			return nil, guacamoleOff()
		}
		ctx, cancel := context.WithTimeout(ctx, syncPatience)
		defer cancel()
		report, err := s.o.Guacamole.Sync(ctx)
		if err != nil {
			return nil, fault.Wrap(err, fault.GuacamoleAway, "Could not sync Guacamole: %v. Retrying automatically.", err)
		}
		return &struct{ Body GuacamoleSync }{GuacamoleSync{
			Nodes: report.Nodes, Made: report.Made, Updated: report.Updated, Removed: report.Removed, Users: report.Users,
			DurationMs:   report.Duration.Milliseconds(),
			UnknownHosts: append([]string{}, report.UnknownHosts...), Problems: append([]string{}, report.Problems...),
		}}, nil
	})
}

func guacamoleOff() error {
	return fault.New(fault.Unsupported, "Guacamole is not set up. An administrator must set guacamole-database and guacamole-url.")
}
