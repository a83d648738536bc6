// Package job runs long tasks that must not get lost: a job is recorded before it begins, is
// resumed after a crash of the service, is retried with increasing delays after a transient
// failure, and can be cancelled.
//
// River manages the queue, in the service's own database. Users see a job's state from this
// package's table, which takes precedence over River's.
package job

import (
	"encoding/json"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// State is the state of a job.
type State string

// The states. The last three are final.
const (
	Queued     State = "queued" // waiting for its first attempt or, if Attempt > 0, for another one
	Running    State = "running"
	Cancelling State = "cancelling" // cancellation requested; its changes are being undone
	Succeeded  State = "succeeded"
	Failed     State = "failed"
	Cancelled  State = "cancelled"
)

// States lists all states in their order.
var States = []State{Queued, Running, Cancelling, Succeeded, Failed, Cancelled}

// Active lists the states of jobs that have not ended.
var Active = []State{Queued, Running, Cancelling}

// IsFinal returns whether a job in this state has ended.
func (s State) IsFinal() bool { return s == Succeeded || s == Failed || s == Cancelled }

// Target is what a job creates or changes.
type Target struct {
	Type string // "image", "node" or "lab"
	ID   string
	Host string
}

// Job is a long-running task. Times are UTC; a time is zero if the event has not happened yet.
type Job struct {
	ID     string // time-ordered UUID
	Kind   string // "image.pull"
	Owner  string // account that started it
	Target Target
	State  State
	Step   string // current step: "downloading"

	// DoneBytes of TotalBytes are processed; a TotalBytes of 0 means unknown. The import of a lab
	// counts the objects it creates instead.
	DoneBytes, TotalBytes int64
	// BytesPerSecond is the recent rate; 0 if the job does not run in this process.
	BytesPerSecond int64

	Attempt, MaxAttempts int
	// NextAttempt is when a job is retried after a transient failure.
	NextAttempt time.Time
	// ErrorCode and Error describe the failure of the last failed attempt.
	ErrorCode fault.Code
	Error     string

	Created, Started, Finished time.Time

	args json.RawMessage
}

// Remaining estimates the remaining time; it returns false if there is no estimate.
func (j Job) Remaining() (time.Duration, bool) {
	if j.State != Running || j.BytesPerSecond <= 0 || j.TotalBytes <= 0 || j.DoneBytes > j.TotalBytes {
		return 0, false
	}
	return time.Duration(float64(j.TotalBytes-j.DoneBytes) / float64(j.BytesPerSecond) * float64(time.Second)), true
}

// Args decodes the arguments that the job was started with.
func (j Job) Args(into any) error { return json.Unmarshal(j.args, into) }

// passing is the set of failures that may be transient. It includes internal errors, because nobody
// knows whether an unexpected error is permanent.
var passing = map[fault.Code]bool{
	fault.Internal: true, fault.HostUnreachable: true, fault.PoolUnavailable: true, fault.SourceUnavailable: true,
}
