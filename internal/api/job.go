package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/policy"
)

// Job is a job in the API.
type Job struct {
	ID          string     `json:"id"`
	Kind        string     `json:"kind" doc:"Kind of job, such as image.pull."`
	Owner       string     `json:"owner"`
	Target      JobTarget  `json:"target"`
	State       string     `json:"state" enum:"queued,running,cancelling,succeeded,failed,cancelled"`
	Step        string     `json:"step,omitempty" doc:"Current step, such as downloading. The progress is that of the step."`
	Unit        string     `json:"unit" enum:"bytes,parts" doc:"Unit of done, total and rate: bytes; or parts, for imports of labs (nodes, networks, links) and deletions of accounts (objects)."`
	Done        int64      `json:"done"`
	Total       int64      `json:"total" doc:"0 if unknown."`
	Rate        int64      `json:"rate" doc:"Current rate per second."`
	ETASeconds  *int64     `json:"etaSeconds,omitempty" doc:"Estimated time until the step is done."`
	Attempt     int        `json:"attempt"`
	MaxAttempts int        `json:"maxAttempts"`
	NextAttempt *time.Time `json:"nextAttempt,omitempty" doc:"Time of the next attempt."`
	Error       *JobError  `json:"error,omitempty" doc:"Why the last attempt failed."`
	Created     time.Time  `json:"created"`
	Started     *time.Time `json:"started,omitempty"`
	Finished    *time.Time `json:"finished,omitempty"`
}

// JobTarget is the object that a job creates or changes.
type JobTarget struct {
	Type string `json:"type" enum:"image,node,lab,user"`
	ID   string `json:"id" doc:"It may exist only after the job has succeeded."`
	Host string `json:"host,omitempty"`
}

// JobError is the failure of a job.
type JobError struct {
	Code   string `json:"code" doc:"As in an error."`
	Detail string `json:"detail"`
}

func (s *Server) jobView(j job.Job) Job {
	v := Job{
		ID: j.ID, Kind: j.Kind, Owner: policy.OwnerName(s.o.Access, j.Owner, ""), Target: JobTarget(j.Target), State: string(j.State), Step: j.Step, Unit: "bytes",
		Done: j.DoneBytes, Total: j.TotalBytes, Rate: j.BytesPerSecond, Attempt: j.Attempt, MaxAttempts: j.MaxAttempts,
		NextAttempt: timeOrNil(j.NextAttempt), Created: j.Created, Started: timeOrNil(j.Started), Finished: timeOrNil(j.Finished),
	}
	if j.Kind == lab.ImportJob || j.Kind == policy.RemoveAccountJob {
		v.Unit = "parts"
	}
	if left, ok := j.Remaining(); ok {
		seconds := int64(left.Seconds() + 0.5)
		v.ETASeconds = &seconds
	}
	if j.Error != "" {
		v.Error = &JobError{Code: string(j.ErrorCode), Detail: j.Error}
	}
	return v
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

type jobID struct {
	ID string `path:"id"`
}

type jobPage struct {
	State  []string `query:"state" doc:"Only jobs in one of these states; active: jobs that have not ended." enum:"active,queued,running,cancelling,succeeded,failed,cancelled"`
	Cursor string   `query:"cursor" doc:"nextCursor of the previous page."`
	Limit  int      `query:"limit" minimum:"1" maximum:"200" default:"100"`
}

func (s *Server) registerJobs() {
	register(s, huma.Operation{
		OperationID: "list-jobs", Method: http.MethodGet, Path: "/api/jobs", Summary: "List jobs, newest first", Tags: []string{"jobs"},
		Description: "Administrators see all jobs, others their own. Jobs that have ended are kept for 30 days.",
	}, s.listJobs)
	register(s, huma.Operation{
		OperationID: "get-job", Method: http.MethodGet, Path: "/api/jobs/{id}", Summary: "Show a job", Tags: []string{"jobs"},
	}, func(ctx context.Context, in *jobID) (*struct{ Body Job }, error) {
		j, err := s.o.Guard.Job(ctx, rightsOf(ctx), in.ID, access.View)
		return &struct{ Body Job }{s.jobView(j)}, err
	})
	cancel := func(ctx context.Context, in *jobID) (*struct{ Body Job }, error) {
		if _, err := s.o.Guard.Job(ctx, rightsOf(ctx), in.ID, access.Manage); err != nil {
			return nil, err
		}
		j, err := s.o.Jobs.Cancel(ctx, in.ID)
		return &struct{ Body Job }{s.jobView(j)}, err
	}
	register(s, huma.Operation{
		OperationID: "cancel-job", Method: http.MethodPost, Path: "/api/jobs/{id}/cancel", Summary: "Cancel a job", Tags: []string{"jobs"},
		Description: "Its changes are undone; meanwhile its state is cancelling. A job that has ended is not changed.",
	}, cancel)
	register(s, huma.Operation{
		OperationID: "delete-job", Method: http.MethodDelete, Path: "/api/jobs/{id}", Summary: "Cancel a job (the same as POST …/cancel)", Tags: []string{"jobs"},
	}, cancel)
}

func (s *Server) listJobs(ctx context.Context, in *jobPage) (*struct {
	Body struct {
		Jobs []Job `json:"jobs"`
		Next
	}
}, error) {
	after, err := afterCursor("jobs", in.Cursor)
	if err != nil {
		return nil, err
	}
	filter := job.Filter{After: after, Limit: in.Limit}
	for _, state := range in.State {
		if state == "active" {
			filter.States = append(filter.States, job.Active...)
		} else {
			filter.States = append(filter.States, job.State(state))
		}
	}
	if who := rightsOf(ctx); who.Role != access.RoleAdmin {
		if filter.Owner = who.OwnerID(); filter.Owner == "" {
			return nil, fault.New(fault.Forbidden, "Jobs belong to accounts. Sign in with an account.")
		}
	}
	jobs, next, err := s.o.Jobs.List(ctx, filter)
	if err != nil {
		return nil, err
	}
	out := &struct {
		Body struct {
			Jobs []Job `json:"jobs"`
			Next
		}
	}{}
	out.Body.Jobs = make([]Job, len(jobs))
	if next != "" {
		out.Body.NextCursor = cursorAt("jobs", next)
	}
	for i, j := range jobs {
		out.Body.Jobs[i] = s.jobView(j)
	}
	return out, nil
}
