package storagepool_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// While another service has exclusive access to an image, no overlay can be created on it
// and it cannot be deleted. A mark that a crash left is removed when the service is back.
func TestMarkedImagesAreLeftAlone(t *testing.T) {
	t.Parallel()
	p := open(t)
	img, err := p.Receive(t.Context(), upload.Upload{FileName: "base.qcow2"}, bytes.NewReader(qcow2(t)))
	if err != nil {
		t.Fatal(err)
	}
	mark := ".held-" + uuid.NewString() + "-" + img.ID
	images := p.prefix + "-images"
	virsh(t, "vol-create-as", images, mark, "0", "--format", "raw")
	if _, err := p.CreateOverlay(t.Context(), "local", "o.qcow2", img.ID, 64<<20); fault.CodeOf(err) != fault.ImageInUse {
		t.Errorf("an overlay on a marked image: %v", err)
	}
	if list := p.volumes("nodes"); list != "" {
		t.Errorf("the overlay that was refused is there: %s", list)
	}
	if err := p.DeleteImage(t.Context(), img.ID); fault.CodeOf(err) != fault.ImageInUse || !strings.Contains(err.Error(), mark) {
		t.Errorf("deleting a marked image: %v", err)
	}
	if list := p.volumes("images"); strings.Count(list, ".held-") != 2 { // its name and its path
		t.Errorf("the images pool holds %s", list)
	}
	// The mark of another image does not matter.
	virsh(t, "vol-delete", mark, "--pool", images)
	virsh(t, "vol-create-as", images, ".held-"+uuid.NewString()+"-x"+img.ID, "0", "--format", "raw")
	if _, err := p.CreateOverlay(t.Context(), "local", "o.qcow2", img.ID, 64<<20); err != nil {
		t.Errorf("an overlay beside a mark: %v", err)
	}

	p.stop()
	database := filepath.Join(t.TempDir(), "crashed.db")
	db, err := store.Open(t.Context(), database, nil, slices.Concat(store.IntentMigrations(), image.Migrations(), upload.Migrations())...)
	if err != nil {
		t.Fatal(err)
	}
	virsh(t, "vol-create-as", images, mark, "0", "--format", "raw")
	if _, err := store.NewIntents(db, store.NewLease(db)).Begin(t.Context(), "image.hold", "local", map[string]string{"mark": mark}); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(db); err != nil {
		t.Fatal(err)
	}
	p.start(database)
	if list := p.volumes("images"); strings.Contains(list, mark) {
		t.Errorf("the mark of a crash is still there: %s", list)
	}
}

// A leftover of a crash that cannot be removed does not block the host's storage.
func TestLeftoverThatStays(t *testing.T) {
	t.Parallel()
	p := open(t)
	folder, err := p.NodesFolder("local")
	if err != nil {
		t.Fatal(err)
	}
	stays, goes := ".held-"+uuid.NewString()+"-stays", ".held-"+uuid.NewString()+"-goes"
	inside := filepath.Join(strings.TrimSuffix(folder, "nodes")+"images", stays, "x")
	if err := errors.Join(os.Mkdir(filepath.Dir(inside), 0o700), os.WriteFile(inside, nil, 0o600)); err != nil {
		t.Skipf("only root can put something into the pool that libvirt does not remove: %v", err)
	}
	t.Cleanup(func() { _ = os.Remove(inside) })
	p.stop()
	database := filepath.Join(t.TempDir(), "crashed.db")
	db, err := store.Open(t.Context(), database, nil, slices.Concat(store.IntentMigrations(), image.Migrations(), upload.Migrations())...)
	if err != nil {
		t.Fatal(err)
	}
	virsh(t, "vol-create-as", p.prefix+"-images", goes, "0", "--format", "raw")
	for _, mark := range []string{stays, goes} {
		_, begun := store.NewIntents(db, store.NewLease(db)).Begin(t.Context(), "image.hold", "local", map[string]string{"mark": mark})
		err = errors.Join(err, begun)
	}
	if err := errors.Join(err, store.Close(db)); err != nil {
		t.Fatal(err)
	}
	p.start(database)
	if list := p.volumes("images"); strings.Contains(list, goes) || !strings.Contains(list, stays) {
		t.Errorf("the images pool holds %s", list)
	}
}
