// Package fault holds the errors that SandboxLabs shows to its users: a stable
// machine-readable code and a message that is safe to show and says what to do.
//
// Every other error is internal: it is logged in full and shown as one fixed
// sentence. The package knows nothing of HTTP; package api maps codes to
// statuses.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Code identifies a kind of failure. Codes are part of the REST contract:
// scripts compare them, so their spelling never changes.
type Code string

// The codes that the service answers with.
const (
	Invalid                Code = "invalid_request"
	Unauthenticated        Code = "unauthenticated"
	Forbidden              Code = "forbidden"
	ChangedMeanwhile       Code = "changed_meanwhile"
	SecondFactorRequired   Code = "second_factor_required"
	PasswordChangeRequired Code = "password_change_required"
	NameTaken              Code = "name_taken"
	ConfirmationRequired   Code = "confirmation_required"
	LastAdmin              Code = "last_admin"
	StillOwner             Code = "still_owner"
	QuotaExceeded          Code = "quota_exceeded"
	CrossOrigin            Code = "cross_origin"
	HostNotAllowed         Code = "host_not_allowed"
	NotFound               Code = "not_found"
	MethodNotAllowed       Code = "method_not_allowed"
	NodeNotFound           Code = "node_not_found"
	NodeNameTaken          Code = "node_name_taken"
	NodeRunning            Code = "node_running"
	NodeNotRunning         Code = "node_not_running"
	NodePaused             Code = "node_paused"
	NodeNotManaged         Code = "node_not_managed"
	NodeManaged            Code = "node_managed"
	NodeBusy               Code = "node_busy"
	NodeHasSnapshots       Code = "node_has_snapshots"
	NodeSaved              Code = "node_saved"
	ConsoleReconnecting    Code = "console_reconnecting"
	GuestNotReading        Code = "guest_not_reading"
	ImageNotFound          Code = "image_not_found"
	ImageNotReady          Code = "image_not_ready"
	ImageUnsafe            Code = "image_unsafe"
	ImageInUse             Code = "image_in_use"
	ImageTooLarge          Code = "image_too_large"
	UploadIncomplete       Code = "upload_incomplete"
	UploadBusy             Code = "upload_busy"
	UploadMismatch         Code = "upload_offset_mismatch"
	ChecksumMismatch       Code = "checksum_mismatch"
	SignatureInvalid       Code = "signature_invalid"
	HostNotFound           Code = "host_not_found"
	HostUnreachable        Code = "host_unreachable"
	PoolUnavailable        Code = "pool_unavailable"
	StorageFull            Code = "storage_full"
	Hypervisor             Code = "hypervisor_error"
	GuacamoleAway          Code = "guacamole_unavailable"
	IdempotencyReused      Code = "idempotency_key_reused"
	RequestInProgress      Code = "request_in_progress"
	TooLarge               Code = "body_too_large"
	TooManyRequests        Code = "too_many_requests"
	JobNotFound            Code = "job_not_found"
	JobExists              Code = "job_exists"
	SourceUnavailable      Code = "source_unavailable"
	Unsupported            Code = "unsupported"
	PeerRefused            Code = "peer_refused"
	NetworkUnavailable     Code = "network_unavailable"
	UserNetworkOff         Code = "user_network_off"
	SubnetTaken            Code = "subnet_taken"
	// What a node lacks, or what stands in the way of a change of it.
	NoScreen          Code = "no_screen"
	BlockJobActive    Code = "block_job_active"
	NoFreeSlot        Code = "no_free_slot"
	DiskMissing       Code = "disk_missing"
	BaseMissing       Code = "base_missing"
	MemoryUnavailable Code = "memory_unavailable"
	Internal          Code = "internal"
)

// Error is a failure that may be shown to a user.
type Error struct {
	Code Code
	// Message says what is wrong and what to do about it, in one line of plain text
	// (see sentence). It holds no secret,
	// no path of the service's own machine and no text of a lower layer that
	// was not written for users.
	Message string
	// Field names the offending member of the request, as a client wrote it
	// ("resources.ram"); empty where no single one is at fault.
	Field string
	// RetryAfter is how long a client should wait before it tries again; zero
	// where waiting does not help.
	RetryAfter time.Duration
	// Cause is logged, and never shown.
	Cause error
}

// New returns an Error with a formatted message.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: sentence(format, args...)}
}

// Field returns an Invalid error about one member of the request.
func Field(field, format string, args ...any) *Error {
	return &Error{Code: Invalid, Field: field, Message: sentence(format, args...)}
}

// Wrap returns an Error that keeps cause for the log.
func Wrap(cause error, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: sentence(format, args...), Cause: cause}
}

// Error returns code, message and cause: a text for logs. Show users Message.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Cause)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Unwrap returns Cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf returns the code of the first Error in err's chain, Internal for any
// other error, and the empty Code for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}
