package storagepool_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// small gives a pool a file system of its own, of so many MiB, and returns its folder.
func (p *pools) small(role, mebibytes string) (folder string) {
	p.t.Helper()
	nodes, err := p.NodesFolder("local")
	if err != nil {
		p.t.Fatal(err)
	}
	folder = strings.TrimSuffix(nodes, "nodes") + role
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "mode=755,size="+mebibytes+"m"); err != nil {
		p.t.Skipf("only root can mount a file system: %v", err)
	}
	p.t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			p.t.Error(err)
		}
	})
	if err := p.Refresh(p.t.Context(), "local"); err != nil {
		p.t.Fatal(err)
	}
	return folder
}

// occupy makes a file of so many MiB, by no call of libvirt's.
func occupy(t *testing.T, folder string, mebibytes int64) {
	t.Helper()
	f, err := os.Create(filepath.Join(folder, ".occupied"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, mebibytes<<20); err != nil { //nolint:gosec // a file descriptor
		t.Fatal(err)
	}
}

func (p *pools) status(role string) storagepool.PoolStatus {
	for _, st := range p.Pools("local") {
		if st.Role == role {
			return st
		}
	}
	p.t.Errorf("nothing is known of the pool for %s", role)
	return storagepool.PoolStatus{}
}

// What guests write shows by itself, in each pool.
func TestPoolsFillUp(t *testing.T) {
	t.Parallel()
	p := open(t)
	roles := []string{"nodes", "logs"}
	for role, folder := range map[string]string{"nodes": p.small("nodes", "400"), "logs": p.small("nodes-logs", "400")} {
		if st := p.status(role); st.Capacity != 400<<20 || st.Level != storagepool.LevelOK {
			t.Errorf("at first the pool for %s is %+v", role, st)
		}
		occupy(t, folder, 380)
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		var late []string
		for _, role := range roles {
			if st := p.status(role); st.Level != storagepool.LevelCritical || st.Available > 20<<20 {
				late = append(late, role)
			}
		}
		if len(late) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("that they are full is not seen of %q: %+v", late, p.Pools("local"))
		}
	}
	if _, err := p.CreateDisk(t.Context(), "local", "d.qcow2", 1<<20); fault.CodeOf(err) != fault.StorageFull {
		t.Errorf("a disk in a pool that is full: %v", err)
	}
}
