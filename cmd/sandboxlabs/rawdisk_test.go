package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"libvirt.org/go/libvirtxml"
)

// TestNothingGuessesAFormat has guests with raw disks into which they have written a qcow2
// header with a file of the host as backing file. libvirt's pools then report them as
// qcow2; the service does not.
func TestNothingGuessesAFormat(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	seen := l.follow()
	written := filepath.Join(t.TempDir(), "written")
	if err := os.WriteFile(written, l.qemuImage("1M", "-b", "/etc/hostname", "-F", "raw", "-u"), 0o600); err != nil {
		t.Fatal(err)
	}
	// guest creates a node with such a disk.
	guest := func(pool, volume string) (id string) {
		t.Helper()
		l.virsh("vol-create-as", pool, volume, "1M", "--format", "raw")
		l.virsh("vol-upload", "--pool", pool, volume, written)
		l.virsh("pool-refresh", pool)
		if xml := l.virsh("vol-dumpxml", "--pool", pool, volume); !strings.Contains(xml, "/etc/hostname") {
			t.Errorf("libvirt does not take the volume for what was written into it: %s", xml)
		}
		id = l.defineForeign(l.name(volume), func(d *libvirtxml.Domain) {
			d.Devices = &libvirtxml.DomainDeviceList{Disks: []libvirtxml.DomainDisk{{
				Device: "disk", Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "raw"},
				Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: filepath.Join(poolsFolder, pool, volume)}},
				Target: &libvirtxml.DomainDiskTarget{Dev: "vda", Bus: "virtio"},
			}}}
		})
		seen.await("the domain", promptly, func(e serverEvent) bool { return e.node().ID == id })
		l.act(id, "adopt", nil)
		return id
	}
	id := guest(l.nodesPool(), "guest.img")
	path := "/api/nodes/" + id
	l.refused(http.MethodPost, path+"/clone", request{"name": l.name("linked")}, refusal{http.StatusConflict, "unsupported", "no qcow2 file"})
	l.refused(http.MethodPost, path+"/snapshots", request{"name": "s"}, refusal{http.StatusConflict, "unsupported", "not in qcow2 format"})
	for path, body := range map[string]request{path + "/clone": {"name": l.name("full"), "mode": "full"}, path + "/image": {"name": "copy"}} {
		if j := l.awaitJob(l.startJob(path, body).ID, "failed"); j.Error == nil || j.Error.Code != "unsupported" || !strings.Contains(j.Error.Detail, "no qcow2 file") {
			t.Errorf("%s ended with %+v", path, j.Error)
		}
	}
	l.act(id, "run", nil) // QEMU reads it in the format of its definition, or finds no backing file
	l.act(id, "stop", forced)

	other := guest(l.imagesPool(), "template.qcow2")
	l.call(http.MethodPost, "/api/hosts/local/refresh", nil, http.StatusOK, nil)
	l.refused(http.MethodPost, "/api/images/template.qcow2/verify", nil, refusal{http.StatusConflict, "image_in_use", l.name("template.qcow2")})
	l.refused(http.MethodPost, "/api/nodes", request{"name": l.name("on"), "image": "template.qcow2"}, refusal{http.StatusConflict, "image_not_ready", ""})

	for _, id := range []string{id, other} {
		if disk := l.definition(id).Devices.Disks[0]; disk.Driver.Type != "raw" || disk.BackingStore != nil {
			t.Errorf("the node's disk is %+v", disk.Driver)
		}
		l.delete(id)
	}
	l.wantVolumes(l.nodesPool(), "guest.img")
	l.wantVolumes(l.imagesPool(), "template.qcow2")
	l.stop()
}
