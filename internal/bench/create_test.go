//go:build bench

package bench

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"libvirt.org/go/libvirtxml"
)

const creations = 30

// benchCreate creates nodes with the service and, alternating, with virsh. It returns the
// ids of the service's nodes; those of virsh are removed.
func (r *rig) benchCreate(ctx context.Context, report *table, base image) (ids []string) {
	r.t.Helper()
	first, _ := r.createNode(ctx, base, 0)
	ids = []string{first}
	var model libvirtxml.Domain
	if err := model.Unmarshal(string(virsh(ctx, r.t, "dumpxml", "--inactive", "--security-info", first).out)); err != nil {
		r.t.Fatal(err)
	}
	var ours, theirs, startUp times
	for i := range creations {
		id, took := r.createNode(ctx, base, i+1)
		ids, ours = append(ids, id), append(ours, took)
		theirs = append(theirs, r.createWithVirsh(ctx, base, &model, i))
		startUp = append(startUp, virsh(ctx, r.t, "uri").took)
	}
	report.add("create a node", ours.inMilliseconds(0.9), "virsh vol-create-as + define", theirs.inMilliseconds(0.9), faster(ours.median(), theirs.median()), "")
	rest := theirs.median() - 2*startUp.median()
	report.add("create a node, less start-up", milliseconds(ours.median()), "the same less 2 × virsh uri ("+milliseconds(startUp.median())+")", milliseconds(rest), faster(ours.median(), rest), "")
	return ids
}

// createNode creates node number i, and returns how long the request took.
func (r *rig) createNode(ctx context.Context, base image, i int) (id string, took time.Duration) {
	r.t.Helper()
	var node struct{ ID, State string }
	begin := time.Now()
	r.do(ctx, http.MethodPost, "/api/nodes", map[string]any{
		"name": fmt.Sprintf("%s-ours-%d", r.prefix, i), "imageType": "custom", "customImageName": base.ID, "resources": map[string]any{"ram": 64},
	}, http.StatusCreated, &node)
	took = time.Since(begin)
	if node.ID == "" || node.State != "stopped" {
		r.t.Fatalf("the new node is not as it should be: %+v", node)
	}
	return node.ID, took
}

// createWithVirsh creates an overlay and a domain like those of createNode, returns how
// long the two commands took, and removes them.
func (r *rig) createWithVirsh(ctx context.Context, base image, model *libvirtxml.Domain, i int) time.Duration {
	r.t.Helper()
	id := uuid.NewString()
	name := fmt.Sprintf("%s-virsh-%d", r.prefix, i)
	def := *model
	devices := *model.Devices
	def.Devices, def.UUID, def.Name = &devices, id, name
	devices.Disks = append([]libvirtxml.DomainDisk(nil), devices.Disks...)
	devices.Disks[0].Source = &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: filepath.Join(folder, r.nodesPool(), id+".qcow2")}}
	text, err := def.Marshal()
	if err != nil {
		r.t.Fatal(err)
	}
	path := filepath.Join(r.files, "domain.xml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, model.UUID, id)), 0o600); err != nil { // also in the path of the console's log
		r.t.Fatal(err)
	}
	volume := virsh(ctx, r.t, "vol-create-as", r.nodesPool(), id+".qcow2", "64M", "--format", "qcow2", "--backing-vol", base.Path, "--backing-vol-format", "qcow2")
	domain := virsh(ctx, r.t, "define", "--validate", path)
	// The service reads the new domain: wait, so that this does not affect its next turn.
	if !eventually(ctx, func() bool { return r.try(ctx, http.MethodGet, "/api/nodes/"+id, nil, http.StatusOK, nil) == nil }) {
		r.t.Fatalf("the service does not see the domain %s that virsh defined", name)
	}
	virsh(ctx, r.t, "undefine", name)
	virsh(ctx, r.t, "vol-delete", "--pool", r.nodesPool(), id+".qcow2")
	if !eventually(ctx, func() bool { return r.try(ctx, http.MethodGet, "/api/nodes/"+id, nil, http.StatusNotFound, nil) == nil }) {
		r.t.Fatalf("the service still shows the domain %s that virsh undefined", name)
	}
	return volume.took + domain.took
}
