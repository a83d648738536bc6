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

// libvirt refuses to refresh a pool while it creates a volume in it or copies one from it:
// usually for moments, but for minutes while someone clones a large volume
// (`virsh vol-clone`). Other operations continue. A temporary pool on the same folder
// shows what libvirt has not seen in the folder by then.

const (
	rescanPatience = 5 * time.Second
	// lookPatience is the timeout of callers that can use a temporary pool instead.
	lookPatience = 300 * time.Millisecond
	rescanPause  = 20 * time.Millisecond
	// leftPatience is how long a temporary pool of another process may exist. They
	// normally exist for moments.
	leftPatience = 2 * time.Second
)

// rescan refreshes the pool. It retries while libvirt is busy, and returns
// fault.PoolUnavailable after a timeout; see IsBusy.
func rescan(lp *libvirt.StoragePool) error { return rescanFor(lp, rescanPatience) }

func rescanFor(lp *libvirt.StoragePool, patience time.Duration) error {
	for end := time.Now().Add(patience); ; time.Sleep(rescanPause) {
		err := lp.Refresh(0)
		if !IsBusy(err) {
			return err
		}
		if time.Now().After(end) {
			name, _ := lp.GetName() // cached in the handle
			return fault.Wrap(err, fault.PoolUnavailable, "Storage pool %q can't be read now, because a large volume is being created in it (for example by `virsh vol-clone`). Try again when that has finished.", name)
		}
	}
}

// IsBusy returns whether libvirt refused to refresh a pool because of another operation in
// the pool. libvirt still knows the volumes of the last refresh.
func IsBusy(err error) bool {
	var lv libvirt.Error
	return errors.As(err, &lv) && lv.Code == libvirt.ERR_INTERNAL_ERROR && lv.Domain == libvirt.FROM_STORAGE
}

// anew calls f with a pool that is in sync with the folder: lp or, if libvirt cannot
// refresh it now, a temporary pool on the same folder. f must not create volumes in it,
// and must clean the paths of its volumes.
func (s *Service) anew(ctx context.Context, conn *libvirt.Connect, host string, lp *libvirt.StoragePool, p place, f func(*libvirt.StoragePool) error) error {
	if err := rescanFor(lp, lookPatience); !IsBusy(err) {
		if err == nil {
			err = f(lp)
		}
		return err
	}
	return s.withLook(ctx, conn, host, p, f)
}

// withLook calls f with a temporary pool on the folder of p. Only one such pool exists on
// a host at a time.
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

// lookName returns the name of the temporary pool on another pool's folder.
func lookName(pool string) string { return pool + "-look" }

// openLook creates a temporary pool on the folder of p; closeWork removes it. libvirt
// identifies folders by the spelling of the path, so openLook uses one that differs from
// that of openWork. Another process may have such a pool for a moment; one that remains
// was left by a crash, and is removed.
func openLook(ctx context.Context, conn *libvirt.Connect, p place) (*libvirt.StoragePool, error) {
	def := libvirtxml.StoragePool{Type: "dir", Name: lookName(p.name), Target: &libvirtxml.StoragePoolTarget{Path: path.Clean(p.path) + "/./."}}
	text, err := def.Marshal()
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(leftPatience); ; {
		look, err := conn.StoragePoolCreateXML(text, 0)
		if err == nil || !errors.Is(err, libvirt.ERR_OPERATION_FAILED) { // otherwise there is one already
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
