package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// The service finds a file that libvirt has not seen in its pool's folder yet, whoever
// owns the pool, and also by another name.
func TestFileThatNoPoolHasSeen(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	folder := filepath.Join(poolsFolder, l.name("theirs"))
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = l.tryVirsh("pool-destroy", l.name("theirs"))
		_ = os.RemoveAll(folder)
	})
	l.virsh("pool-create-as", l.name("theirs"), "dir", "--target", folder)
	if err := os.Symlink(folder, filepath.Join(folder, "link")); err != nil {
		t.Fatal(err)
	}
	for pool, as := range map[string]string{folder: folder, filepath.Join(poolsFolder, l.nodesPool()): "", folder + "-linked": filepath.Join(folder, "link")} {
		if as == "" {
			as = pool
		}
		if pool == folder+"-linked" {
			l.virsh("pool-refresh", l.name("theirs")) // now libvirt knows the previous overlay, but not the next one
		}
		file := filepath.Join(as, filepath.Base(pool)+".qcow2")
		l.qemuImg("create", "-q", "-f", "qcow2", file, "1M")
		id := l.defineForeign(l.name(filepath.Base(pool)), withDisk(file))
		until(t, promptly, said("the domain is listed"), func() bool { return l.listed(id).ID == id })
		l.call(http.MethodPost, "/api/nodes/"+id+"/adopt", nil, http.StatusOK, nil)
		n := l.edit(id, request{"resources": request{"disk": 2 << 20}})
		if n.Resources.Disk != 2<<20 {
			t.Errorf("%s: the disk has %d bytes after it was grown", file, n.Resources.Disk)
		}
		l.virsh("undefine", id)
	}

	// A full clone copies such a disk.
	file := filepath.Join(folder, "copied.qcow2")
	l.qemuImg("create", "-q", "-f", "qcow2", file, "1M")
	id := l.defineForeign(l.name("copied"), withDisk(file))
	until(t, promptly, said("the domain is listed"), func() bool { return l.listed(id).ID == id })
	l.call(http.MethodPost, "/api/nodes/"+id+"/adopt", nil, http.StatusOK, nil)
	j := l.startJob("/api/nodes/"+id+"/clone", request{"name": l.name("copy"), "mode": "full"})
	l.awaitJob(j.ID, "succeeded")
	for _, n := range l.nodes() {
		if n.Name == l.name("copy") {
			l.delete(n.ID)
		}
	}
	l.virsh("undefine", id)

	// The error for a file that is in no pool says what to do.
	lone := filepath.Join(t.TempDir(), "lone.qcow2")
	l.qemuImg("create", "-q", "-f", "qcow2", lone, "1M")
	id = l.defineForeign(l.name("lone"), withDisk(lone))
	until(t, promptly, said("the domain is listed"), func() bool { return l.listed(id).ID == id })
	l.call(http.MethodPost, "/api/nodes/"+id+"/adopt", nil, http.StatusOK, nil)
	l.refused(http.MethodPatch, "/api/nodes/"+id, request{"resources": request{"disk": 2 << 20}}, refusal{http.StatusConflict, "unsupported", "virsh pool-create-as"})
	l.virsh("undefine", id)
	l.stop()
}
