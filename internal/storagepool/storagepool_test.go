package storagepool_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/download"
	"github.com/sandboxlabs/sandboxlabs/internal/event"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/disk"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

type (
	images  = image.Service
	uploads = upload.Service
	disks   = disk.Service
)

// pools is a service on the machine's libvirt, with its own pools.
type pools struct {
	*storagepool.Service
	*images
	*uploads
	*disks
	t      *testing.T
	prefix string
	stop   func()

	// after is called after each read and each update of the service, which is committed
	// by then.
	after atomic.Pointer[func(*gorm.DB)]
}

func virsh(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("virsh", append([]string{"-q", "-c", "qemu:///system"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("virsh %v: %v: %s", args, err, out)
	}
	return string(out)
}

func open(t *testing.T) *pools {
	t.Helper()
	if err := exec.CommandContext(t.Context(), "virsh", "-q", "-c", "qemu:///system", "version").Run(); err != nil {
		t.Skip("libvirtd does not answer; run `make setup`")
	}
	p := &pools{t: t, prefix: testground.Name()}
	dir := t.TempDir()
	t.Cleanup(p.remove)
	p.start(filepath.Join(dir, "test.db"))
	return p
}

// start runs a service on the database; an earlier one must have been stopped.
func (p *pools) start(database string) {
	p.t.Helper()
	p.startOn("qemu:///system", database)
	if err := p.Prepare(p.t.Context(), "local"); err != nil {
		p.t.Fatal(err)
	}
}

// startOn is start for a host with another URI, which may be unreachable.
func (p *pools) startOn(uri, database string) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(p.t.Context())
	db, err := store.Open(ctx, database, nil, slices.Concat(store.IntentMigrations(), image.Migrations(), upload.Migrations())...)
	if err != nil {
		p.t.Fatal(err)
	}
	hosts, err := hypervisor.New(hypervisor.Options{Addresses: []hypervisor.Address{{Name: "local", URI: uri}}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		p.t.Fatal(err)
	}
	behind := func(tx *gorm.DB) {
		if f := p.after.Load(); f != nil && tx.Error == nil {
			(*f)(tx)
		}
	}
	if err := errors.Join(db.Callback().Query().After("*").Register("test", behind), db.Callback().Update().After("*").Register("test", behind)); err != nil {
		p.t.Fatal(err)
	}
	quiet, lease := slog.New(slog.DiscardHandler), store.NewLease(db)
	p.Service, err = storagepool.New(storagepool.Options{Hosts: hosts, Events: &event.Broker{}, ImagesPool: p.prefix + "-images", NodesPool: p.prefix + "-nodes", Log: quiet})
	if err != nil {
		p.t.Fatal(err)
	}
	p.images, err = image.New(image.Options{
		Hosts: hosts, Pools: p.Service, DB: db, Intents: store.NewIntents(db, lease), Events: &event.Broker{}, Catalog: image.Catalog{{ID: "tiny", Name: "Tiny"}}, Log: quiet,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.uploads, err = upload.New(upload.Options{
		Hosts: hosts, Pools: p.Service, Images: p.images, DB: db, Lease: lease, Downloads: download.New(download.Options{}), Log: quiet,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.disks = disk.New(hosts, p.Service, p.images)
	hosts.Listen(p.Service)
	ended := make(chan error, 3)
	go func() { ended <- hosts.Run(ctx) }()
	go func() { ended <- p.Service.Run(ctx) }()
	go func() { ended <- p.uploads.Run(ctx) }()
	stopped := false
	p.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-ended, <-ended, <-ended, store.Close(db)); err != nil {
			p.t.Error(err)
		}
	}
	p.t.Cleanup(p.stop)
}

// remove deletes the pools and their contents.
func (p *pools) remove() {
	for _, name := range strings.Fields(virsh(p.t, "pool-list", "--all", "--name")) {
		if !strings.HasPrefix(name, p.prefix) {
			continue
		}
		if strings.Contains(virsh(p.t, "pool-info", name), "inactive") {
			virsh(p.t, "pool-start", name)
		}
		virsh(p.t, "pool-refresh", name)
		for _, line := range strings.Split(strings.TrimSpace(virsh(p.t, "vol-list", name)), "\n") {
			if f := strings.Fields(line); len(f) > 0 {
				virsh(p.t, "vol-delete", "--pool", name, f[0])
			}
		}
		virsh(p.t, "pool-destroy", name)
		virsh(p.t, "pool-delete", name)
		virsh(p.t, "pool-undefine", name)
	}
}

func (p *pools) volumes(role string) string {
	virsh(p.t, "pool-refresh", p.prefix+"-"+role)
	return virsh(p.t, "vol-list", p.prefix+"-"+role)
}

// qcow2 creates an image with some data in it.
func qcow2(t *testing.T, options ...string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image.qcow2")
	args := append([]string{"create", "-q", "-f", "qcow2"}, options...)
	if out, err := exec.CommandContext(t.Context(), "qemu-img", append(args, path, "64M")...).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img %v: %v: %s", args, err, out)
	}
	if out, err := exec.CommandContext(t.Context(), "qemu-io", "-c", "write -P 0x5a 0 4M", path).CombinedOutput(); err != nil {
		t.Fatalf("qemu-io: %v: %s", err, out)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestReceiveKeepsWhatCame(t *testing.T) {
	t.Parallel()
	p := open(t)
	data := qcow2(t)
	sum := sha256.Sum256(data)
	want := hex.EncodeToString(sum[:])
	img, err := p.Receive(t.Context(), upload.Upload{FileName: "../x/My disk.qcow2", Owner: "ann", SHA256: strings.ToUpper(want)}, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if img.State != image.Ready || img.Type != image.Custom || img.SHA256 != want || img.VirtualBytes != 64<<20 || img.Format != "qcow2" || img.Owner != "ann" {
		t.Errorf("image %+v", img)
	}
	if !strings.HasPrefix(img.ID, "My_disk_") || !strings.HasSuffix(img.ID, ".qcow2") {
		t.Errorf("id %q", img.ID)
	}
	back := filepath.Join(t.TempDir(), "back.qcow2")
	virsh(t, "vol-download", "--pool", p.prefix+"-images", img.ID, back)
	if got, err := os.ReadFile(back); err != nil || !bytes.Equal(got, data) {
		t.Errorf("what is in the pool differs from what was sent (%v)", err)
	}

	other, err := p.Receive(t.Context(), upload.Upload{FileName: "My disk.qcow2"}, bytes.NewReader(data))
	if err != nil || other.ID == img.ID {
		t.Errorf("a second upload of the same name: %q, %v", other.ID, err)
	}
}

// cut fails after a number of bytes, like a broken connection.
type cut struct {
	r    io.Reader
	left int
}

func (c *cut) Read(b []byte) (int, error) {
	if c.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.r.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}

func TestReceiveThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	p := open(t)
	data := qcow2(t)
	cancelled, cancel := context.WithCancel(t.Context())
	for _, c := range []struct {
		name string
		ctx  context.Context
		up   upload.Upload
		r    io.Reader
		code fault.Code
	}{
		{"cut off in the header", t.Context(), upload.Upload{}, &cut{bytes.NewReader(data), 1000}, fault.UploadIncomplete},
		{"cut off in the first block", t.Context(), upload.Upload{}, &cut{bytes.NewReader(data), 100_000}, fault.UploadIncomplete},
		{"cut off between blocks", t.Context(), upload.Upload{}, &cut{bytes.NewReader(data), 2 << 20}, fault.UploadIncomplete},
		{"ends before its tables", t.Context(), upload.Upload{}, bytes.NewReader(data[:128<<10]), fault.ImageUnsafe},
		{"other digest", t.Context(), upload.Upload{SHA256: strings.Repeat("0", 64)}, bytes.NewReader(data), fault.Invalid},
		{"announced too large", t.Context(), upload.Upload{SizeBytes: 1 << 50}, bytes.NewReader(data), fault.ImageTooLarge},
		{"backing file", t.Context(), upload.Upload{}, bytes.NewReader(qcow2(t, "-b", "/etc/hostname", "-F", "raw", "-u")), fault.ImageUnsafe},
		{"client gone", cancelled, upload.Upload{}, io.MultiReader(bytes.NewReader(data[:1<<20]), hook{cancel}, bytes.NewReader(data[1<<20:])), fault.Internal},
	} {
		c.up.FileName = "bad.qcow2"
		_, err := p.Receive(c.ctx, c.up, c.r)
		if fault.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want code %s", c.name, err, c.code)
		}
		if left := p.volumes("images"); strings.Contains(left, "bad") {
			t.Errorf("%s: the pool has %s", c.name, left)
		}
		if left := p.Images(); len(left) > 0 {
			t.Errorf("%s: images %+v", c.name, left)
		}
	}
}

// qemu-img finds errors that are only in a file's own reference counts.
func TestReceiveHasQEMUCheckTheFile(t *testing.T) {
	t.Parallel()
	p := open(t)
	const cluster = 64 << 10
	// counted sets the reference count of the file's last cluster.
	counted := func(data []byte, times uint16) []byte {
		be := binary.BigEndian
		block := be.Uint64(data[be.Uint64(data[48:]):])
		be.PutUint16(data[block+uint64(len(data)/cluster-1)*2:], times)
		return data
	}
	data := qcow2(t)
	if len(data)%cluster != 0 {
		t.Fatalf("the file has %d bytes", len(data))
	}
	_, err := p.Receive(t.Context(), upload.Upload{FileName: "corrupt.qcow2"}, bytes.NewReader(counted(bytes.Clone(data), 0)))
	if fault.CodeOf(err) != fault.ImageUnsafe || !strings.Contains(err.Error(), "qemu-img finds 2 corruptions") {
		t.Errorf("an image with a cluster that counts as free: %v", err)
	}
	img, err := p.Receive(t.Context(), upload.Upload{FileName: "leak.qcow2"}, bytes.NewReader(counted(append(data, make([]byte, cluster)...), 1)))
	if err != nil || img.State != image.Ready {
		t.Errorf("an image with a cluster too many is %+v, %v", img, err)
	}
}

// hook is an empty reader that calls a function.
type hook struct{ call func() }

func (h hook) Read([]byte) (int, error) {
	h.call()
	return 0, io.EOF
}

func TestOverlayNamesItsBaseAndKeepsIt(t *testing.T) {
	t.Parallel()
	p := open(t)
	img, err := p.Receive(t.Context(), upload.Upload{FileName: "base.qcow2"}, bytes.NewReader(qcow2(t)))
	if err != nil {
		t.Fatal(err)
	}
	path, err := p.CreateOverlay(t.Context(), "local", "o1.qcow2", img.ID, 128<<20)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "qemu-img", "info", "--output=json", path).Output()
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		VirtualSize   int64  `json:"virtual-size"`
		Backing       string `json:"full-backing-filename"`
		BackingFormat string `json:"backing-filename-format"`
		Specific      struct {
			Data struct{ Compat string }
		} `json:"format-specific"`
	}
	if err := json.Unmarshal(out, &info); err != nil {
		t.Fatal(err)
	}
	if info.VirtualSize != 128<<20 || info.Backing != img.Path || info.BackingFormat != "qcow2" || info.Specific.Data.Compat != "1.1" {
		t.Errorf("overlay %s", out)
	}
	if err := p.DeleteImage(t.Context(), img.ID); fault.CodeOf(err) != fault.ImageInUse {
		t.Errorf("deleting the base: %v", err)
	}
	if err := p.DeleteNodeVolume(t.Context(), "local", "o1.qcow2", time.Time{}); err != nil {
		t.Fatal(err)
	}
	// An overlay that virsh created counts as well.
	virsh(t, "vol-create-as", p.prefix+"-nodes", "theirs.qcow2", "64M", "--format", "qcow2", "--backing-vol", img.Path, "--backing-vol-format", "qcow2")
	if err := p.DeleteImage(t.Context(), img.ID); fault.CodeOf(err) != fault.ImageInUse || !strings.Contains(err.Error(), "theirs.qcow2") {
		t.Errorf("deleting the base of virsh's overlay: %v", err)
	}
	virsh(t, "vol-delete", "--pool", p.prefix+"-nodes", "theirs.qcow2")
	if err := p.DeleteImage(t.Context(), img.ID); err != nil {
		t.Error(err)
	}
	if _, err := p.Image("", img.ID); fault.CodeOf(err) != fault.ImageNotFound {
		t.Errorf("after the deletion: %v", err)
	}
	if _, err := p.CreateOverlay(t.Context(), "local", "o2.qcow2", img.ID, 128<<20); fault.CodeOf(err) != fault.ImageNotFound {
		t.Errorf("an overlay on nothing: %v", err)
	}
}

// If the database is lost, the images in the pool are found again, but cannot be used
// before they are verified.
func TestVolumesWithoutRecords(t *testing.T) {
	t.Parallel()
	p := open(t)
	data := qcow2(t)
	if _, err := p.Receive(t.Context(), upload.Upload{BaseID: "tiny"}, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	custom, err := p.Receive(t.Context(), upload.Upload{FileName: "mine.qcow2"}, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Receive(t.Context(), upload.Upload{BaseID: "tiny"}, bytes.NewReader(data)); err == nil {
		t.Error("a base image was overwritten")
	}
	p.stop()
	p.start(filepath.Join(t.TempDir(), "empty.db"))
	base, err := p.Usable("local", "tiny")
	if err != nil || base.Type != image.Base || base.DisplayName != "Tiny" {
		t.Errorf("the base image: %+v, %v", base, err)
	}
	// An upload must not delete an existing volume, although it has no record.
	virsh(t, "vol-clone", "--pool", p.prefix+"-images", "tiny.qcow2", "unlisted.qcow2")
	if _, err := p.Receive(t.Context(), upload.Upload{BaseID: "unlisted"}, bytes.NewReader(data)); fault.CodeOf(err) != fault.Unsupported {
		t.Errorf("an upload onto a volume that is there: %v", err)
	}
	if left := p.volumes("images"); !strings.Contains(left, "unlisted.qcow2") {
		t.Errorf("an upload that was refused removed the volume; the pool has %s", left)
	}
	if img, err := p.Image("local", custom.ID); err != nil || img.State != image.Unverified {
		t.Errorf("the custom image: %+v, %v", img, err)
	}
	if _, err := p.Usable("local", custom.ID); fault.CodeOf(err) != fault.ImageNotReady {
		t.Errorf("an unverified image: %v", err)
	}
}

// A folder may be empty for a moment while its file system is not mounted.
func TestImagesReturnWithTheirVolumes(t *testing.T) {
	t.Parallel()
	p := open(t)
	img, err := p.Receive(t.Context(), upload.Upload{FileName: "away.qcow2", Owner: "ann"}, bytes.NewReader(qcow2(t)))
	if err != nil {
		t.Fatal(err)
	}
	await := func(what string, met func() bool) {
		t.Helper()
		for deadline := time.Now().Add(60 * time.Second); !met(); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("waited in vain until " + what)
			}
		}
	}
	hidden := filepath.Join(t.TempDir(), "hidden")
	move := func(from, to string) {
		t.Helper()
		data, err := os.ReadFile(from)
		if err == nil {
			err = errors.Join(os.WriteFile(to, data, 0o600), os.Remove(from))
		}
		if err != nil {
			t.Skipf("only root can take a volume away: %v", err)
		}
	}
	move(img.Path, hidden)
	if err := p.Service.Refresh(t.Context(), "local"); err != nil {
		t.Fatal(err)
	}
	await("the image is not shown", func() bool { _, err := p.Image("", img.ID); return err != nil })
	move(hidden, img.Path) // it is noticed without a refresh by the user
	await("the image is ready again", func() bool { again, err := p.Usable("", img.ID); return err == nil && again.Owner == "ann" })
}

// A disk is not deleted if an overlay of it was created just after the check that found
// none, whoever created the overlay.
func TestDiskLaidAfterTheLook(t *testing.T) {
	p := open(t)
	id := uuid.NewString()
	disk, err := p.CreateDisk(t.Context(), "local", id+".qcow2", 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if on, err := p.OverlaysOnNode(t.Context(), "local", id, []string{id + ".qcow2"}); err != nil || len(on) != 0 {
		t.Fatalf("%q lie on a new disk, %v", on, err)
	}
	virsh(t, "vol-create-as", p.prefix+"-nodes", "late.qcow2", "64M", "--format", "qcow2", "--backing-vol", disk, "--backing-vol-format", "qcow2")
	for _, since := range []time.Time{began, {}} {
		if err := p.DeleteNodeVolume(t.Context(), "local", id+".qcow2", since); fault.CodeOf(err) != fault.NodeBusy {
			t.Errorf("since %v: %v", since, err)
		}
	}
	virsh(t, "vol-delete", "late.qcow2", "--pool", p.prefix+"-nodes")
	if err := p.DeleteNodeVolume(t.Context(), "local", id+".qcow2", began); err != nil {
		t.Error(err)
	}
}

func TestConcurrentOverlaysAndDeletionNeverLoseABase(t *testing.T) {
	t.Parallel()
	p := open(t)
	data := qcow2(t)
	for range 3 {
		img, err := p.Receive(t.Context(), upload.Upload{FileName: "race.qcow2"}, bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		made, deleted := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := p.CreateOverlay(context.WithoutCancel(t.Context()), "local", "race.qcow2", img.ID, 64<<20)
			made <- err
		}()
		go func() { deleted <- p.DeleteImage(context.WithoutCancel(t.Context()), img.ID) }()
		madeErr, deletedErr := <-made, <-deleted
		if (madeErr == nil) == (deletedErr == nil) {
			t.Errorf("overlay: %v, deletion: %v: exactly one must win", madeErr, deletedErr)
		}
		if err := p.DeleteNodeVolume(t.Context(), "local", "race.qcow2", time.Time{}); err != nil {
			t.Error(err)
		}
	}
}

func TestPrepareMakesThePools(t *testing.T) {
	t.Parallel()
	p := open(t)
	names := virsh(t, "pool-list", "--autostart", "--name")
	for _, role := range []string{"images", "nodes", "nodes-logs"} {
		if !strings.Contains(names, p.prefix+"-"+role) {
			t.Errorf("no pool %s in %q", role, names)
		}
	}
	if err := p.TryWrite(t.Context(), "local"); err != nil {
		t.Error(err)
	}
	virsh(t, "pool-destroy", p.prefix+"-images")
	_, err := p.Receive(t.Context(), upload.Upload{FileName: "x.qcow2"}, bytes.NewReader(qcow2(t)))
	if fault.CodeOf(err) != fault.PoolUnavailable {
		t.Errorf("an upload into a stopped pool: %v", err)
	}
	// The service restarts the pool.
	for deadline := time.Now().Add(60 * time.Second); ; {
		if strings.Contains(virsh(t, "pool-info", p.prefix+"-images"), "running") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the pool was not started again")
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// Prepare does not wait for a host that is unreachable, but returns an error.
func TestPrepareOfAHostThatIsAway(t *testing.T) {
	t.Parallel()
	p := &pools{t: t, prefix: testground.Name()}
	dir := t.TempDir()
	p.startOn("qemu+unix:///system?socket="+filepath.Join(dir, "nobody"), filepath.Join(dir, "test.db"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for what, err := range map[string]error{
		"Prepare": p.Prepare(ctx, "local"), "Convert": p.Convert(ctx, upload.Conversion{ID: "x", Host: "local"}, &progress{}),
	} {
		if fault.CodeOf(err) != fault.HostUnreachable {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Uploads are admitted one after another; waiting for a host that does not respond can be
// cancelled.
func TestUploadsWaitForAdmission(t *testing.T) {
	t.Parallel()
	p := open(t)
	admitted, hangs, first := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := p.BeginUpload(t.Context(), upload.Upload{FileName: "a.qcow2", SizeBytes: 1 << 20, Recorded: func() {
			close(admitted)
			<-hangs
		}}, nil)
		first <- err
	}()
	<-admitted
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() {
		_, err := p.BeginUpload(ctx, upload.Upload{FileName: "b.qcow2", SizeBytes: 1 << 20}, nil)
		second <- err
	}()
	cancel()
	select {
	case err := <-second:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("an upload that was given up: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("an upload that was given up waits on")
	}
	close(hangs)
	if err := <-first; err != nil {
		t.Error(err)
	}
}
