// Package job does long work that must survive: a job is on record before it
// begins, is taken up again after a crash of the service, is tried again with
// growing pauses when it fails for a passing reason, and can be cancelled.
//
// River keeps the queue, in the service's own database. The table of this
// package says what users see of a job; where the two differ, it is right.
package job

import (
	"encoding/json"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// State is how far a job has come.
type State string

// The states. Of the last three a job never leaves.
const (
	Queued     State = "queued" // for its first attempt or, with Attempt > 0, for another one
	Running    State = "running"
	Cancelling State = "cancelling" // asked to end, and undoing what it began
	Succeeded  State = "succeeded"
	Failed     State = "failed"
	Cancelled  State = "cancelled"
)

// States are all of them, in their order.
var States = []State{Queued, Running, Cancelling, Succeeded, Failed, Cancelled}

// Active are those of jobs that have not ended.
var Active = []State{Queued, Running, Cancelling}

// IsFinal returns whether a job in this state has ended.
func (s State) IsFinal() bool { return s == Succeeded || s == Failed || s == Cancelled }

// Target is what a job makes or changes.
type Target struct {
	Type string // "image", "node" or "lab"
	ID   string
	Host string
}

// Job is a piece of long work. Times are UTC, zero while they are to come.
type Job struct {
	ID     string // time-ordered UUID
	Kind   string // "image.pull"
	Owner  string // who started it
	Target Target
	State  State
	Step   string // what it does now: "downloading"

	// DoneBytes of TotalBytes are done; a total of 0 is not known. An import of a lab
	// counts what it makes instead.
	DoneBytes, TotalBytes int64
	// BytesPerSecond is its recent rate, 0 when it does not run here.
	BytesPerSecond int64

	Attempt, MaxAttempts int
	// NextAttempt is when a job that failed for a passing reason is tried again.
	NextAttempt time.Time
	// ErrorCode and Error describe the last attempt that failed.
	ErrorCode fault.Code
	Error     string

	Created, Started, Finished time.Time

	args json.RawMessage
}

// Remaining estimates the time to the end; false when it cannot be told.
func (j Job) Remaining() (time.Duration, bool) {
	if j.State != Running || j.BytesPerSecond <= 0 || j.TotalBytes <= 0 || j.DoneBytes > j.TotalBytes {
		return 0, false
	}
	return time.Duration(float64(j.TotalBytes-j.DoneBytes) / float64(j.BytesPerSecond) * float64(time.Second)), true
}

// Args decodes what the job was started with.
func (j Job) Args(into any) error { return json.Unmarshal(j.args, into) }

// passing are the failures that may be gone at another attempt. Internal ones
// are among them: what is not understood is not known to be final.
var passing = map[fault.Code]bool{
	fault.Internal: true, fault.HostUnreachable: true, fault.PoolUnavailable: true, fault.SourceUnavailable: true,
}
