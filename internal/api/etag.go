package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
)

// IfMatch is the condition of a change. It is exported because huma only reads exported embedded
// structs.
type IfMatch struct {
	IfMatch string `header:"If-Match" doc:"The ETag (or \"version\") that you read. If the object was changed since, the request is refused with 412, and nothing is changed. Without it, the change is always made."`
}

// expect returns a check of the current version right before a change; nil if any version is
// accepted. version returns the version of an object.
func expect[T any](in IfMatch, version func(T) string) func(T) error {
	versions := versionsIn(in.IfMatch)
	if versions == nil {
		return nil
	}
	return func(now T) error {
		if slices.Contains(versions, version(now)) {
			return nil
		}
		return fault.New(fault.ChangedMeanwhile, "The object was changed since you read it. Reload it, and repeat your change if it still applies.")
	}
}

// expectAll is expect as a list, empty if any version is accepted.
func expectAll[T any](in IfMatch, version func(T) string) []func(T) error {
	if check := expect(in, version); check != nil {
		return []func(T) error{check}
	}
	return nil
}

// etag returns the ETag header of a version.
func etag(version string) string { return `"` + version + `"` }

// versionOf returns the version of the properties that PATCH can change. It ignores what changes
// without a request, such as whether a node runs.
func versionOf(parts ...any) string {
	text, err := json.Marshal(parts)
	if err != nil { // cannot happen: they are texts, numbers and lists
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

func nodeVersion(n domain.Node) string {
	size := []any{n.RAMMiB, n.CPUs}
	if n.Next != nil {
		size = []any{n.Next.RAMMiB, n.Next.CPUs}
	}
	return versionOf(n.Name, size, n.DiskBytes, n.Autostart, n.OSType, n.Description, append([]string{}, n.Tags...))
}

func imageVersion(i image.Image) string {
	return versionOf(i.DisplayName, i.Description, tagsOf(i.Tags), i.Firmware, i.TPM)
}

func labVersion(l lab.Lab) string { return versionOf(l.Name) }

func accountVersion(a access.Account) string { return versionOf(a.Name, a.Role, a.Disabled, a.Quota) }
