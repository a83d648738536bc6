package storagepool_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"gorm.io/gorm"

	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
)

// beginning is called at the beginning of each step.
type beginning func(step string)

func (f beginning) Begin(step string) { f(step) }
func (beginning) Progress(_, _ int64) {}

// described returns an image with values in all fields that only the database stores.
func (p *pools) described(u upload.Upload) image.Image {
	p.t.Helper()
	u.Owner = "ann"
	img, err := p.Receive(p.t.Context(), u, bytes.NewReader(qcow2(p.t)))
	if err == nil {
		text := "for the first year"
		_, err = p.EditImage(p.t.Context(), img.ID, image.Edit{Description: &text, Tags: &[]string{"a"}}, nil)
	}
	if err == nil {
		err = p.Service.Refresh(p.t.Context(), "local")
	}
	if err == nil {
		img, err = p.Usable("local", img.ID)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return img
}

// wantImage reads the pool and checks that an image is unchanged, except for its path.
func (p *pools) wantImage(when string, want image.Image, volume string) {
	p.t.Helper()
	if err := p.Service.Refresh(p.t.Context(), "local"); err != nil {
		p.t.Fatal(err)
	}
	want.Path = filepath.Join(filepath.Dir(want.Path), volume)
	list := p.Images()
	if len(list) == 1 {
		want.FileBytes = list[0].FileBytes
	}
	if len(list) != 1 || list[0] != want {
		p.t.Errorf("%s the images are\n%+v, want\n%+v", when, list, want)
	}
}

// Reading the pool while an image is being compacted finds the image unchanged; after an
// undo it stays so.
func TestReadingWhileAnImageIsCompacted(t *testing.T) {
	t.Parallel()
	for name, u := range map[string]upload.Upload{"base": {FileName: "x.qcow2", BaseID: "tiny"}, "custom": {FileName: "x.qcow2"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := open(t)
			img := p.described(u)
			w, err := p.Jobs().CheckChange(img.ID)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err = p.Jobs().Compact(ctx, w, beginning(func(step string) {
				if step == "verifying" {
					if volumes := p.volumes("images"); !strings.Contains(volumes, " "+w.Volume) {
						t.Errorf("the pool has %s; the test missed its moment", volumes)
					}
					p.wantImage("while it is compacted", img, w.Old)
					cancel()
				}
			}))
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("it ended with %v", err)
			}
			if err := p.Jobs().UndoCompact(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			p.wantImage("undone", img, w.Old)
			if volumes := p.volumes("images"); !strings.Contains(volumes, " "+w.Old) || strings.Contains(volumes, w.Volume) {
				t.Errorf("undone, the pool has %s", volumes)
			}

			if err := p.Jobs().Compact(t.Context(), w, &progress{}); err != nil {
				t.Fatal(err)
			}
			p.wantImage("compacted", img, w.Volume)
			// As after a crash between the two steps of replacing the volume.
			virsh(t, "vol-clone", "--pool", p.prefix+"-images", w.Volume, w.Old)
			p.wantImage("beside its old volume", img, w.Volume)
			if err := p.Jobs().UndoCompact(t.Context(), w); err != nil {
				t.Fatal(err)
			}
			p.wantImage("without it", img, w.Volume)
			if volumes := p.volumes("images"); strings.Contains(volumes, " "+w.Old) {
				t.Errorf("compacted, the pool has %s", volumes)
			}
		})
	}
}

// A service that has read the records just before another one replaced an image's volume
// does not undo that.
func TestAnotherServiceReadsWhileAnImageIsCompacted(t *testing.T) {
	t.Parallel()
	p := open(t)
	p.stop()
	database := filepath.Join(t.TempDir(), "shared.db")
	p.start(database)
	other := &pools{t: t, prefix: p.prefix}
	other.start(database)
	img := p.described(upload.Upload{FileName: "x.qcow2", BaseID: "tiny"})
	w, err := p.Jobs().CheckChange(img.ID)
	if err != nil {
		t.Fatal(err)
	}
	var began atomic.Bool
	behind := func(tx *gorm.DB) {
		if tx.Statement.Table == "images" && began.CompareAndSwap(false, true) {
			if err := p.Jobs().Compact(t.Context(), w, &progress{}); err != nil {
				t.Error(err)
			}
		}
	}
	other.after.Store(&behind)
	if err := other.Service.Refresh(t.Context(), "local"); err != nil || !began.Load() {
		t.Fatalf("the other service has read the records: %v, %v", began.Load(), err)
	}
	p.wantImage("in the one service", img, w.Volume)
	other.wantImage("in the other", img, w.Volume)
	if err := p.Jobs().UndoCompact(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	p.wantImage("undone when it is over", img, w.Volume)
}
