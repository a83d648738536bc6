package storagepool

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sandboxlabs/sandboxlabs/internal/diskref"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// DomainUse lists the files that a domain refers to: in its live and persistent
// definitions, its snapshots and checkpoints, and its saved state.
type DomainUse struct {
	ID, Name string
	Refs     []diskref.Ref
}

// DomainRefs returns what all domains of a host refer to, including domains that were just
// defined. It must be safe for concurrent use.
type DomainRefs func(ctx context.Context, host string) ([]DomainUse, error)

// RefsBy sets the function that returns the domains' references. Call it before Run.
// Without it, only volumes count as users of volumes.
func (s *Service) RefsBy(refs DomainRefs) { s.domainRefs = refs }

// Users lists what uses, or may use, a set of files.
type Users struct {
	Using []string // descriptions of domains
	// doubtful describes the domains and volumes with references that cannot be resolved.
	doubtful []string
}

// UsersOf returns the domains of a host that use one of files as a disk or anywhere in a
// backing chain, and the domains and volumes that may use one because a reference cannot
// be resolved. The domain with the id without is ignored.
func (s *Service) UsersOf(ctx context.Context, host string, all Survey, without string, files ...string) (Users, error) {
	var u Users
	for _, v := range all.files {
		if v.unclear != "" && (without == "" || !strings.HasPrefix(v.Name, without)) {
			u.doubtful = append(u.doubtful, fmt.Sprintf("volume %s of pool %s is backed by %s", v.Name, v.Pool, v.unclear))
		}
	}
	slices.Sort(u.doubtful)
	if s.domainRefs == nil {
		return u, nil
	}
	domains, err := s.domainRefs(ctx, host)
	if err != nil {
		return u, err
	}
	wanted := all.Paths(files...)
	for _, d := range domains {
		if d.ID == without {
			continue
		}
		used, unresolved := all.Uses(d.Refs)
		if i := slices.IndexFunc(used, func(file string) bool { return wanted[file] }); i >= 0 {
			u.Using = append(u.Using, fmt.Sprintf("domain %q (%s)", d.Name, used[i]))
		}
		for _, ref := range unresolved {
			u.doubtful = append(u.doubtful, fmt.Sprintf("domain %q refers to %s", d.Name, ref))
		}
	}
	return u, nil
}

// Unclear returns fault.NodeBusy if something may use what, a description for the error;
// otherwise nil.
func (u Users) Unclear(what string) *fault.Error {
	if len(u.doubtful) == 0 {
		return nil
	}
	return fault.New(fault.NodeBusy, "%s may be in use: %s, and what that leads to is not known here. Make its folder a storage pool (`virsh pool-create-as NAME dir --target FOLDER`), so that libvirt tells, or take the reference away.",
		what, strings.Join(FirstOf(u.doubtful), "; "))
}

// FirstOf shortens a list for an error.
func FirstOf(names []string) []string {
	const most = 5
	if len(names) > most {
		return append(slices.Clone(names[:most]), "…")
	}
	return names
}
