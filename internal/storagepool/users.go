package storagepool

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sandboxlabs/sandboxlabs/internal/diskref"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// DomainUse is what a domain refers to: running, as it is defined, in its snapshots and
// checkpoints, and in its saved state.
type DomainUse struct {
	ID, Name string
	Refs     []diskref.Ref
}

// DomainRefs returns what all domains of a host refer to, those included that have just
// been defined. It may be called from any goroutine.
type DomainRefs func(ctx context.Context, host string) ([]DomainUse, error)

// RefsBy has refs tell what domains refer to. Call it before Run; without it, only
// volumes use volumes.
func (s *Service) RefsBy(refs DomainRefs) { s.domainRefs = refs }

// Users is what uses some files, or may use them.
type Users struct {
	Using []string // domains, in words
	// doubtful are domains and volumes, in words, whose references lead nowhere that is
	// known.
	doubtful []string
}

// UsersOf finds the domains of a host, but for the one whose id is without, that have one of some
// files for a disk, or anywhere below one; and what may have one, volumes included.
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

// Unclear answers fault.NodeBusy while something may use what, in words; nil else.
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
