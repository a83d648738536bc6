package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// pool returns the current state of a pool.
func (l *lab) pool(role string) api.Pool {
	l.t.Helper()
	var host api.Host
	l.call(http.MethodPost, "/api/hosts/local/refresh", nil, http.StatusOK, &host)
	for _, p := range host.Pools {
		if p.Role == role {
			return p
		}
	}
	l.t.Fatalf("there is no pool for %s: %+v", role, host.Pools)
	return api.Pool{}
}

// The pools report what uses their space and how much sharing images saves. In a pool that
// is critically full, nothing can be created.
func TestCapacityOfThePools(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.launch(nil, "--pool-warning-percent=1", "--pool-critical-percent=100")
	l.awaitHealth("ok")
	content := l.fullImage(8)
	image := l.uploaded("full.qcow2", content)
	for _, name := range []string{"a", "b", "c"} {
		l.call(http.MethodPost, "/api/nodes", request{"name": l.name(name), "customImageName": image.ID, "resources": request{"ram": 64}}, http.StatusCreated, nil)
	}
	images, nodes := l.pool("images"), l.pool("nodes")
	if images.Shares.Images < 8<<20 || images.Allocation != images.Shares.Images || images.Shares.Uploads != 0 || images.RoomForImages == nil || *images.RoomForImages < 1 {
		t.Errorf("the images pool is %+v", images)
	}
	// Instead of three copies of 8 MiB there are one image and three small overlays.
	if nodes.OverlayEfficiency == nil || *nodes.OverlayEfficiency < 2.5 || *nodes.OverlayEfficiency > 3 || nodes.FullCopies < 24<<20 {
		t.Errorf("the nodes pool is %+v", nodes)
	}
	if nodes.Shares.Overlays <= 0 || nodes.RoomForNodes == nil || *nodes.RoomForNodes < 1 || images.Level != "warning" {
		t.Errorf("the pools are %+v, %+v", images, nodes)
	}
	// Space for an upload is reserved before its data arrives.
	l.call(http.MethodPost, "/api/uploads", nil, http.StatusCreated, nil, "Tus-Resumable", "1.0.0", "Upload-Length", "1073741824", "Upload-Metadata", "filename eC5xY293Mg==")
	if after := l.pool("images"); after.Shares.Uploads != 1<<30 || *after.RoomForImages >= *images.RoomForImages {
		t.Errorf("with an upload of 1 GiB under way the images pool is %+v", after)
	}
	metrics := string(l.call(http.MethodGet, "/metrics", nil, http.StatusOK, nil).body)
	for _, want := range []string{
		`sandboxlabs_pool_level{host="local",role="nodes"} 1`, `sandboxlabs_pool_share_bytes{host="local",role="images",share="uploads"} 1.073741824e+09`,
		`sandboxlabs_overlay_efficiency{host="local"} 2.`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	l.stop()

	l.launch(nil, "--pool-warning-percent=1", "--pool-critical-percent=1")
	l.awaitHealth("ok")
	full := refusal{http.StatusInsufficientStorage, "storage_full", "kept free"}
	l.refused(http.MethodPost, "/api/nodes", request{"name": l.name("d"), "customImageName": image.ID}, full)
	body, kind := form("more.qcow2", strings.NewReader(string(content)))
	l.refused(http.MethodPost, "/api/images/custom", body, full, "Content-Type", kind)
	id := l.nodes()[0].ID
	l.refused(http.MethodPost, "/api/nodes/"+id+"/clone", request{"name": l.name("d")}, full)
	l.refused(http.MethodPost, "/api/nodes/"+id+"/disks", request{"size": 1 << 20}, full)
	l.refused(http.MethodPost, "/api/nodes/"+id+"/snapshots", request{"name": "s"}, full)
	for path, body := range map[string]request{"/clone": {"name": l.name("d"), "mode": "full"}, "/image": {"name": "d"}} {
		if j := l.awaitJob(l.startJob("/api/nodes/"+id+path, body).ID, "failed"); j.Error == nil || j.Error.Code != "storage_full" || j.Attempt != 1 {
			t.Errorf("%s: the job ended with %+v", path, j.Error)
		}
	}
	if nodes := l.pool("nodes"); nodes.Level != "critical" {
		t.Errorf("the nodes pool is %+v", nodes)
	}
	l.delete(id) // frees space
	l.stop()
	if out, code := l.run("doctor", "--pool-warning-percent=90", "--pool-critical-percent=80"); code == 0 || !strings.Contains(out, "pool-critical-percent") {
		t.Errorf("a critical level below the warning is taken: %s", out)
	}
}
