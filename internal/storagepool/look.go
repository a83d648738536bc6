package storagepool

import (
	"context"
	"errors"
	"fmt"
	"path"
	"time"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// libvirt refuses to read a pool's folder anew while it makes a volume in the pool, or
// of one in it: for moments mostly, and for minutes while somebody clones a large one
// (`virsh vol-clone`). All else goes on meanwhile. What libvirt has not seen in the
// folder by then, another pool on the same folder shows.

const (
	rescanPatience = 5 * time.Second
	// lookPatience is that of those who can look otherwise.
	lookPatience = 300 * time.Millisecond
	rescanPause  = 20 * time.Millisecond
	// leftPatience is how long a pool that others look by may live. They take moments.
	leftPatience = 2 * time.Second
)

// rescan has libvirt look at the pool's folder again. It waits while libvirt refuses,
// and answers fault.PoolUnavailable when that takes long; see isBusy.
func rescan(lp *libvirt.StoragePool) error { return rescanFor(lp, rescanPatience) }

func rescanFor(lp *libvirt.StoragePool, patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(rescanPause) {
		err := lp.Refresh(0)
		if !IsBusy(err) {
			return err
		}
		if time.Now().After(end) {
			name, _ := lp.GetName() // it is in the handle
			return fault.Wrap(err, fault.PoolUnavailable, "Storage pool %q can't be read now, because a large volume is being created in it (for example by `virsh vol-clone`). Try again when that has finished.", name)
		}
	}
}

// IsBusy tells whether libvirt has refused to read a pool's folder for what it does in
// the pool. It knows the pool's volumes then as they were when it last did.
func IsBusy(err error) bool {
	var lv libvirt.Error
	return errors.As(err, &lv) && lv.Code == libvirt.ERR_INTERNAL_ERROR && lv.Domain == libvirt.FROM_STORAGE
}

// anew runs f with a pool that knows what is in the folder of ours now: with ours or,
// where libvirt does not read that, one that lives meanwhile. f makes nothing in it,
// and cleans the paths of its volumes.
func (s *Service) anew(ctx context.Context, conn *libvirt.Connect, host string, lp *libvirt.StoragePool, p place, f func(*libvirt.StoragePool) error) error {
	if err := rescanFor(lp, lookPatience); !IsBusy(err) {
		if err == nil {
			err = f(lp)
		}
		return err
	}
	return s.withLook(ctx, conn, host, p, f)
}

// withLook runs f with a pool that lives meanwhile on the folder of p, one at a time on a host.
func (s *Service) withLook(ctx context.Context, conn *libvirt.Connect, host string, p place, f func(*libvirt.StoragePool) error) error {
	lib := s.libraries[host]
	select {
	case lib.looking <- struct{}{}:
		defer func() { <-lib.looking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	look, err := openLook(ctx, conn, p)
	if err != nil {
		return fmt.Errorf("read the folder %s: %w", p.path, err)
	}
	defer closeWork(look)
	return f(look)
}

// lookName names the pool by which one of ours is looked into.
func lookName(pool string) string { return pool + "-look" }

// openLook makes a pool that lives until closeWork, on the folder of one of ours, by a
// spelling of the path that openWork has not. Another process may have one for a
// moment; one that stays was left by a crash.
func openLook(ctx context.Context, conn *libvirt.Connect, p place) (*libvirt.StoragePool, error) {
	def := libvirtxml.StoragePool{Type: "dir", Name: lookName(p.name), Target: &libvirtxml.StoragePoolTarget{Path: path.Clean(p.path) + "/./."}}
	text, err := def.Marshal()
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(leftPatience); ; {
		look, err := conn.StoragePoolCreateXML(text, 0)
		if err == nil || !errors.Is(err, libvirt.ERR_OPERATION_FAILED) { // else there is one already
			return look, err
		}
		if time.Now().After(end) {
			left, gone := conn.LookupStoragePoolByName(def.Name)
			if gone != nil {
				return nil, err
			}
			closeWork(left)
			end = time.Now().Add(leftPatience)
		}
		if err := Pause(ctx, rescanPause); err != nil {
			return nil, err
		}
	}
}
