package api

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/audit"
)

// AuditEntry is an audit entry in the API.
type AuditEntry struct {
	ID         int64     `json:"id"`
	Time       time.Time `json:"time"`
	User       string    `json:"user" doc:"The account; empty for a sign-in to an account that does not exist."`
	UserID     string    `json:"userId,omitempty"`
	Via        string    `json:"via" doc:"How they signed in: session, token, ticket, password, oidc, command (on the service's machine), open (sign-in is off)."`
	Action     string    `json:"action" doc:"The operation's id, open-console or open-screen; for a command its name."`
	TargetKind string    `json:"targetKind,omitempty" doc:"nodes, images, users, …"`
	TargetID   string    `json:"targetId,omitempty"`
	TargetName string    `json:"targetName,omitempty" doc:"Its name at that time."`
	Detail     string    `json:"detail,omitempty" doc:"More about the target; replayed: nothing was done, because the Idempotency-Key was used before."`
	Address    string    `json:"address,omitempty" doc:"Address of the client."`
	Status     int       `json:"status,omitempty" doc:"HTTP status of the response; none for a command."`
	Code       string    `json:"code,omitempty" doc:"Error code; none on success."`
}

func auditEntry(e audit.Entry) AuditEntry {
	return AuditEntry{
		ID: e.ID, Time: e.Time.UTC(), User: e.Actor, UserID: e.ActorID, Via: e.Via, Action: e.Action, TargetKind: e.TargetKind,
		TargetID: e.TargetID, TargetName: e.TargetName, Detail: e.Detail, Address: e.Address, Status: e.Status, Code: e.Code,
	}
}

// AuditFilter selects audit entries.
type AuditFilter struct {
	User   string    `query:"user" maxLength:"255" doc:"Name of the account."`
	Action string    `query:"action" maxLength:"255"`
	Target string    `query:"target" maxLength:"255" doc:"Id or name of the target."`
	Since  time.Time `query:"since" doc:"Start time (inclusive)."`
	Until  time.Time `query:"until" doc:"End time (exclusive)."`
}

func (f AuditFilter) filter() audit.Filter {
	return audit.Filter{Actor: strings.ToLower(strings.TrimSpace(f.User)), Action: f.Action, Target: f.Target, Since: f.Since, Until: f.Until}
}

func (s *Server) registerAudit() {
	register(s, huma.Operation{
		OperationID: "list-audit", Method: http.MethodGet, Path: "/api/audit", Summary: "Search the audit log", Tags: []string{"access"},
		Description: "Every change, every opened console and screen, every sign-in; newest first. Administrators only.",
	}, func(ctx context.Context, in *struct {
		AuditFilter
		Cursor string `query:"cursor" maxLength:"64" doc:"nextCursor of the previous page."`
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	}) (*struct {
		Body struct {
			Entries []AuditEntry `json:"entries"`
			Next
		}
	}, error) {
		before := int64(0)
		after, err := afterCursor("audit", in.Cursor)
		if err != nil {
			return nil, err
		}
		if after != "" {
			if before, err = strconv.ParseInt(after, 10, 64); err != nil || before < 1 {
				return nil, errCursor()
			}
		}
		entries, next, err := s.o.Audit.Search(ctx, in.filter(), before, in.Limit)
		if err != nil {
			return nil, err
		}
		out := &struct {
			Body struct {
				Entries []AuditEntry `json:"entries"`
				Next
			}
		}{}
		out.Body.Entries = []AuditEntry{}
		for _, e := range entries {
			out.Body.Entries = append(out.Body.Entries, auditEntry(e))
		}
		if next > 0 {
			out.Body.NextCursor = cursorAt("audit", strconv.FormatInt(next, 10))
		}
		return out, nil
	})
	register(s, huma.Operation{
		OperationID: actionExport, Method: http.MethodGet, Path: "/api/audit/export", Summary: "Export the audit log as CSV or NDJSON", Tags: []string{"access"},
		Description: "Streamed, oldest first. In CSV, text that a spreadsheet would read as a formula is prefixed with an apostrophe. Administrators only.",
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			"application/x-ndjson": {Schema: &huma.Schema{Type: "string"}}, "text/csv": {Schema: &huma.Schema{Type: "string"}},
		}}},
	}, func(_ context.Context, in *struct {
		AuditFilter
		Format string `query:"format" enum:"ndjson,csv" default:"ndjson"`
	}) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(c huma.Context) {
			c.SetHeader("Content-Disposition", `attachment; filename="audit.`+in.Format+`"`)
			c.SetHeader("Content-Type", map[string]string{"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}[in.Format])
			s.exportAudit(c, in.filter(), in.Format)
		}}, nil
	})
}

// exportAudit streams the selected entries. It aborts the connection on an error, so that the
// client does not take a partial export for a complete one.
func (s *Server) exportAudit(c huma.Context, filter audit.Filter, format string) {
	w := bufio.NewWriterSize(c.BodyWriter(), 64<<10)
	table := csv.NewWriter(w)
	write := func(e audit.Entry) error { return json.NewEncoder(w).Encode(auditEntry(e)) }
	if format == "csv" {
		_ = table.Write([]string{"id", "time", "user", "user id", "via", "action", "target kind", "target id", "target name", "detail", "address", "status", "code"})
		write = func(e audit.Entry) error {
			return table.Write([]string{
				strconv.FormatInt(e.ID, 10), e.Time.UTC().Format(time.RFC3339Nano), cell(e.Actor), cell(e.ActorID), cell(e.Via), cell(e.Action),
				cell(e.TargetKind), cell(e.TargetID), cell(e.TargetName), cell(e.Detail), cell(e.Address), strconv.Itoa(e.Status), cell(e.Code),
			})
		}
	}
	err := s.o.Audit.Each(c.Context(), filter, write)
	table.Flush()
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		if c.Context().Err() == nil {
			s.o.Log.Error("the export of the audit was cut off", "error", err)
		}
		panic(http.ErrAbortHandler)
	}
}

// cell returns a text that spreadsheets do not interpret as a formula.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
