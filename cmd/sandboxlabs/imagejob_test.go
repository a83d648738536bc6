package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/job"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
)

// TestImageJobs creates an image from a node, resizes and compacts it, and verifies files
// that virsh has added to the pool.
func TestImageJobs(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	var up api.Uploaded
	if a := l.upload("base.qcow2", bytes.NewReader(l.dataImage(4<<20))); a.status != http.StatusCreated || a.decode(&up) != nil {
		t.Fatalf("upload: %d %s", a.status, a.body)
	}
	base := up.Image
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name("source"), "image": base.ID, "resources": request{"disk": 64 << 20}}, http.StatusCreated, &n)
	// Write data as a guest would.
	if out, err := exec.CommandContext(t.Context(), "qemu-io", "-f", "qcow2", "-c", "write -P 0x5a 8M 12M", n.OverlayPath).CombinedOutput(); err != nil {
		t.Fatalf("qemu-io: %v: %s", err, out)
	}
	for _, path := range []string{"/compact", "/resize"} {
		l.refused(http.MethodPost, "/api/images/"+base.ID+path, request{"virtualSize": 1 << 30}, refusal{http.StatusConflict, "image_in_use", l.name("source")})
	}
	l.refused(http.MethodPost, "/api/nodes/"+n.ID+"/image", request{"name": " "}, refusal{http.StatusUnprocessableEntity, "invalid_request", "name"})

	j := l.awaitJob(l.startJob("/api/nodes/"+n.ID+"/image", request{"name": "My template"}).ID, "succeeded")
	img := l.image(j.Target.ID)
	if img.State != "ready" || img.DisplayName != "My template" || img.Format != "qcow2" || img.VirtualSize != 64<<20 || img.Type != "custom" {
		t.Errorf("the image of the node is %+v", img)
	}
	same := func(file string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", n.OverlayPath, file).CombinedOutput(); err != nil {
			t.Errorf("%s is another disk than the node's: %v: %s", file, err, out)
		}
	}
	same(img.Path)
	if out := l.virsh("vol-dumpxml", "--pool", l.imagesPool(), filepath.Base(img.Path)); strings.Contains(out, "backingStore") {
		t.Errorf("it is backed by something:\n%s", out)
	}

	l.refused(http.MethodPost, "/api/images/"+img.ID+"/resize", request{"virtualSize": 32 << 20}, refusal{http.StatusUnprocessableEntity, "invalid_request", "only be enlarged"})
	l.awaitJob(l.startJob("/api/images/"+img.ID+"/resize", request{"virtualSize": 128 << 20}).ID, "succeeded")
	if grown := l.image(img.ID); grown.VirtualSize != 128<<20 || grown.State != "ready" {
		t.Errorf("the image that was grown is %+v", grown)
	}
	// A file that is larger than the data on its disk.
	if out, err := exec.CommandContext(t.Context(), "qemu-io", "-f", "qcow2", "-c", "write -P 1 100M 20M", "-c", "write -z 100M 20M", img.Path).CombinedOutput(); err != nil {
		t.Fatalf("qemu-io: %v: %s", err, out)
	}
	// The change by qemu-io has not been verified.
	j = l.awaitJob(l.startJob("/api/images/"+img.ID+"/compact", nil).ID, "failed")
	if changed := l.image(img.ID); j.Error == nil || j.Error.Code != "image_not_ready" || changed.State != "changed" {
		t.Errorf("the image that another program wrote to is %+v; compacting it ended with %+v", changed, j.Error)
	}
	l.awaitJob(l.startJob("/api/images/"+img.ID+"/verify", nil).ID, "succeeded")
	j = l.awaitJob(l.startJob("/api/images/"+img.ID+"/compact", nil).ID, "succeeded")
	small := l.image(img.ID)
	if small.State != "ready" || small.VirtualSize != 128<<20 || small.Path == img.Path || small.Size > 20<<20 {
		t.Errorf("the image that was compacted is %+v after %+v", small, j)
	}
	l.wantVolumes(l.imagesPool(), base.ID, filepath.Base(small.Path))
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name("from"), "image": img.ID}, http.StatusCreated, nil)

	// Files that virsh adds to the pool.
	for name, content := range map[string][]byte{"theirs.qcow2": l.qemuImage("1M"), "evil.qcow2": l.qemuImage("1M", "-b", "/etc/passwd", "-F", "raw", "-u")} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		l.virsh("vol-create-as", l.imagesPool(), name, "0", "--format", "raw")
		l.virsh("vol-upload", "--pool", l.imagesPool(), name, file)
	}
	l.call(http.MethodPost, "/api/hosts/local/refresh", nil, http.StatusOK, nil)
	if got := l.image("theirs.qcow2"); got.State != "unverified" {
		t.Errorf("what virsh uploaded is %+v", got)
	}
	l.awaitJob(l.startJob("/api/images/theirs.qcow2/verify", nil).ID, "succeeded")
	if got := l.image("theirs.qcow2"); got.State != "ready" {
		t.Errorf("what was verified is %+v", got)
	}
	j = l.awaitJob(l.startJob("/api/images/evil.qcow2/verify", nil).ID, "failed")
	if j.Error == nil || j.Error.Code != "image_unsafe" || !strings.Contains(j.Error.Detail, "backing file") {
		t.Errorf("the hostile one: %+v", j.Error)
	}
	if got := l.image("evil.qcow2"); got.State != "unverified" {
		t.Errorf("the hostile one is %+v", got)
	}
	l.refused(http.MethodPost, "/api/images/theirs.qcow2/verify", nil, refusal{http.StatusConflict, "unsupported", "is ready"})
	l.stop()
}

func (l *lab) image(id string) api.Image {
	l.t.Helper()
	var img api.Image
	l.call(http.MethodGet, "/api/images/"+id, nil, http.StatusOK, &img)
	return img
}

// TestCrashInAConversion kills the service while libvirt converts an image. After the
// restart, the job resumes. A canceled conversion leaves nothing behind.
func TestCrashInAConversion(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	raw := filepath.Join(t.TempDir(), "raw")
	l.qemuImg("convert", "-f", "qcow2", "-O", "raw", l.fileOf(l.dataImage(256<<20)), raw)
	disk, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	disk[510], disk[511] = 0x55, 0xaa
	clear(disk[446:510])
	begin := func() api.Job {
		var up api.Uploaded
		if a := l.upload("big.vmdk", bytes.NewReader(disk)); a.status != http.StatusAccepted || a.decode(&up) != nil || up.Image.State != "verifying" {
			t.Fatalf("upload: %d %s", a.status, a.body)
		}
		var list struct{ Jobs []api.Job }
		until(t, promptly, func() string { return fmt.Sprintf("libvirt converts: %+v", list.Jobs) }, func() bool {
			l.call(http.MethodGet, "/api/jobs?state=running", nil, http.StatusOK, &list)
			return len(list.Jobs) == 1 && list.Jobs[0].Target.ID == up.Image.ID && list.Jobs[0].Step == "converting" && list.Jobs[0].Done > 0
		})
		return list.Jobs[0]
	}
	j := begin()
	l.kill()
	l.start()
	if j = l.awaitJob(j.ID, "succeeded"); j.Kind != "image.convert" || j.Attempt != 2 {
		t.Errorf("the job is %+v", j)
	}
	img := l.image(j.Target.ID)
	if img.State != "ready" || img.Format != "qcow2" || img.SourceFormat != "raw" || img.SHA256 == "" {
		t.Errorf("the image is %+v", img)
	}
	if err := os.WriteFile(raw, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	l.qemuImg("compare", "-f", "qcow2", "-F", "raw", img.Path, raw)
	l.call(http.MethodDelete, "/api/images/"+img.ID, nil, http.StatusNoContent, nil)

	j = begin()
	l.call(http.MethodDelete, "/api/jobs/"+j.ID, nil, http.StatusOK, nil)
	l.awaitJob(j.ID, "cancelled")
	until(t, patience, said("nothing is left in the pool"), func() bool { return len(l.volumes(l.imagesPool())) == 0 })
	for _, table := range []string{"images", "uploads", "intents"} { // rows are deleted after the files that they describe
		until(t, promptly, said("nothing is left in table "+table), func() bool { return l.rows(table) == 0 })
	}
	until(t, patience, said("libvirt is done"), func() bool { return !strings.Contains(l.virsh("pool-list", "--name"), l.imagesPool()+"-work") })
	l.stop()
}

// TestCancelAConversionThatWaits cancels a conversion before it has begun. The upload is
// deleted, too; otherwise it would be converted again.
func TestCancelAConversionThatWaits(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addConfigFlags(flags)
	if err := flags.Parse(l.flags()); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(flags)
	if err != nil {
		t.Fatal(err)
	}
	a, err := newApp(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	g, ctx := errgroup.WithContext(t.Context())
	ctx, stop := context.WithCancel(ctx)
	defer func() {
		stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	}()
	g.Go(func() error { return a.runBackend(ctx) }) // jobs do not run yet
	if err := a.ready(ctx, ""); err != nil {
		t.Fatal(err)
	}
	disk := make([]byte, 1<<20)
	disk[510], disk[511] = 0x55, 0xaa
	img, err := a.uploads.Receive(ctx, upload.Upload{FileName: "x.raw"}, bytes.NewReader(disk))
	if err != nil {
		t.Fatal(err)
	}
	list := func() []job.Job {
		jobs, _, err := a.jobs.List(ctx, job.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		return jobs
	}
	until(t, promptly, said("the conversion is on record"), func() bool { return len(list()) == 1 })
	id := list()[0].ID
	if j, err := a.jobs.Cancel(ctx, id); err != nil || j.State != job.Cancelling {
		t.Errorf("cancelled while it waits, the job is %+v: %v", j, err)
	}
	g.Go(func() error { return a.jobs.Run(ctx) })
	until(t, promptly, said("the job has ended"), func() bool {
		j, err := a.jobs.Job(ctx, id)
		return err == nil && j.State == job.Cancelled
	})
	if n := l.rows("uploads"); n > 0 || len(list()) != 1 {
		t.Errorf("%d uploads are left, and the jobs %+v", n, list())
	}
	if _, err := a.images.Image("", img.ID); fault.CodeOf(err) != fault.ImageNotFound {
		t.Errorf("the image: %v", err)
	}
	l.wantVolumes(l.imagesPool())
}

// fileOf writes content to a temporary file.
func (l *lab) fileOf(content []byte) string {
	l.t.Helper()
	file := filepath.Join(l.t.TempDir(), "file")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		l.t.Fatal(err)
	}
	return file
}

// TestCrashInAnImageJob kills the service during each of the other image jobs. After the
// restart, the job resumes, and leaves nothing behind but its result.
func TestCrashInAnImageJob(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	id := l.uploaded("full.qcow2", l.fullImage(128)).ID
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", request{"name": l.name("source"), "image": id, "resources": request{"ram": 64}}, http.StatusCreated, &n)
	flat := filepath.Join(t.TempDir(), "flat.raw")
	l.qemuImg("convert", "-O", "raw", n.OverlayPath, flat)
	for _, c := range []struct {
		path string
		body any
		step string // during which it is killed; empty: at once
	}{
		{"/api/nodes/" + n.ID + "/image", request{"name": "made"}, "converting"},
		{"/api/images/theirs.qcow2/verify", nil, ""},
		{"/api/images/theirs.qcow2/resize", request{"virtualSize": 1 << 30}, ""},
		{"/api/images/theirs.qcow2/compact", nil, "converting"},
	} {
		if strings.HasSuffix(c.path, "verify") {
			l.virsh("vol-clone", "--pool", l.imagesPool(), filepath.Base(l.image(id).Path), "theirs.qcow2")
			l.call(http.MethodPost, "/api/hosts/local/refresh", nil, http.StatusOK, nil)
		}
		j := l.startJob(c.path, c.body)
		until(t, promptly, func() string { return fmt.Sprintf("the job is there: %+v", j) }, func() bool {
			j = l.job(j.ID)
			return c.step == "" || j.State == "succeeded" || j.Step == c.step
		})
		if j.State == "succeeded" {
			t.Logf("%s was over before the crash", c.path)
		}
		l.kill()
		l.start()
		l.awaitJob(j.ID, "succeeded")
		img := l.image(j.Target.ID)
		if img.State != "ready" {
			t.Errorf("after %s the image is %+v", c.path, img)
		}
		l.qemuImg("compare", "-f", "qcow2", "-F", "raw", img.Path, flat) // compare treats missing data at the end of the shorter image as zeros
		if intents := l.rows("intents"); intents > 0 {
			t.Errorf("after %s %d intents are left", c.path, intents)
		}
	}
	var volumes []string
	for _, img := range l.images().CustomImages {
		volumes = append(volumes, filepath.Base(img.Path))
	}
	if len(volumes) != 3 {
		t.Errorf("the images' volumes are %q", volumes)
	}
	l.wantVolumes(l.imagesPool(), volumes...)
	l.stop()
}
