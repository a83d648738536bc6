package storagepool_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
)

// replace overwrites an image's volume, as another program would.
func (p *pools) replace(img image.Image, content []byte) {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), "other")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		p.t.Fatal(err)
	}
	virsh(p.t, "vol-upload", "--pool", p.prefix+"-images", img.ID, file)
}

// Whatever opens a ready image first checks that its file is the one that was verified,
// whether or not the pool was read since.
func TestReplacedImageIsNotOpened(t *testing.T) {
	t.Parallel()
	p := open(t)
	hostile := qcow2(t, "-b", "/etc/hostname", "-F", "raw", "-u")
	for name, use := range map[string]func(img image.Image, overlay string) error{
		"overlay": func(img image.Image, _ string) error {
			_, err := p.CreateOverlay(t.Context(), "local", "new.qcow2", img.ID, 64<<20)
			return err
		},
		"media": func(img image.Image, _ string) error { return p.CheckUnchanged(t.Context(), "local", img.ID) },
		"compact": func(img image.Image, _ string) error {
			w := image.Work{ID: img.ID, Host: "local", Old: img.ID, Volume: strings.TrimSuffix(img.ID, ".qcow2") + ".r1234567890123.qcow2"}
			return p.Jobs().Compact(t.Context(), w, &progress{})
		},
		"grow": func(img image.Image, _ string) error {
			return p.Jobs().Grow(t.Context(), image.Work{ID: img.ID, Host: "local", VirtualBytes: 128 << 20}, &progress{})
		},
		"copy of a disk": func(_ image.Image, overlay string) error {
			_, err := p.CopyDisk(t.Context(), "local", overlay, "copy.qcow2", func(_, _ int64) {})
			return err
		},
		"capture of a disk": func(_ image.Image, overlay string) error {
			w, err := p.Jobs().NewImage("local", "captured", "ann")
			if err != nil {
				return err
			}
			return p.Jobs().Capture(t.Context(), w, overlay, &progress{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			img, err := p.Receive(t.Context(), upload.Upload{FileName: "x.qcow2"}, bytes.NewReader(qcow2(t)))
			if err != nil {
				t.Fatal(err)
			}
			overlay := ""
			if strings.HasSuffix(name, "disk") {
				if overlay, err = p.CreateOverlay(t.Context(), "local", strings.Fields(name)[0]+".qcow2", img.ID, 64<<20); err != nil {
					t.Fatal(err)
				}
			}
			before := p.volumes("nodes") + p.volumes("images")
			p.replace(img, hostile)
			if err := use(img, overlay); fault.CodeOf(err) != fault.ImageNotReady || !strings.Contains(err.Error(), "changed") {
				t.Errorf("error %v", err)
			}
			if after := p.volumes("nodes") + p.volumes("images"); after != before {
				t.Errorf("the pools have\n%s, and had\n%s", after, before)
			}
			if now, err := p.Image("local", img.ID); err != nil || now.State != image.Changed || now.SHA256 != "" {
				t.Errorf("the image is %+v: %v", now, err)
			}
		})
	}
}

// A changed image is ready again after its current file was verified.
func TestChangedImageIsVerifiedAgain(t *testing.T) {
	t.Parallel()
	p := open(t)
	good := qcow2(t)
	img, err := p.Receive(t.Context(), upload.Upload{FileName: "x.qcow2", Owner: "ann"}, bytes.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	stateIs := func(when string, want image.State) {
		t.Helper()
		if err := p.Service.Refresh(t.Context(), "local"); err != nil {
			t.Fatal(err)
		}
		if now, err := p.Image("local", img.ID); err != nil || now.State != want || now.Owner != "ann" {
			t.Errorf("%s the image is %+v: %v", when, now, err)
		}
	}
	verify := func() error {
		w, err := p.Jobs().CheckVerify(img.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !w.Changed {
			t.Errorf("it is verified as %+v", w)
		}
		return p.Jobs().Verify(t.Context(), w, &progress{})
	}
	stateIs("at first", image.Ready)

	p.replace(img, qcow2(t, "-b", "/etc/hostname", "-F", "raw", "-u"))
	stateIs("with a backing file", image.Changed)
	if _, err := p.Jobs().CheckChange(img.ID); fault.CodeOf(err) != fault.ImageNotReady {
		t.Errorf("it may be compacted: %v", err)
	}
	if err := verify(); fault.CodeOf(err) != fault.ImageUnsafe {
		t.Errorf("a backing file was verified: %v", err)
	}
	stateIs("refused", image.Changed)

	p.replace(img, good) // the same bytes, but not verified
	stateIs("with its old content", image.Changed)
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	stateIs("verified", image.Ready)
	if err := p.Jobs().Grow(t.Context(), image.Work{ID: img.ID, Host: "local", VirtualBytes: 128 << 20}, &progress{}); err != nil {
		t.Fatal(err)
	}
	stateIs("grown by the service itself", image.Ready)
	if _, err := p.CreateOverlay(t.Context(), "local", "new.qcow2", img.ID, 128<<20); err != nil {
		t.Error(err)
	}
	virsh(t, "vol-wipe", "--pool", p.prefix+"-images", img.ID)
	stateIs("wiped", image.Changed)
}
