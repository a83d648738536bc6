package display

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/display/rfbtest"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// viewer is an RFB client connected to a view by a pipe.
type viewer struct {
	*rfbtest.Client
	t    *testing.T
	seen *recorder
	end  chan error // what CopyTo returned
}

// recorder keeps everything that a viewer receives.
type recorder struct {
	net.Conn
	all bytes.Buffer
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.all.Write(p[:n])
	return n, err
}

// view opens a screen for an RFB client. Both are closed when the test ends.
func (l *lab) view(id string, o ViewOptions) *viewer {
	l.t.Helper()
	view, err := l.Open(l.t.Context(), id, o)
	if err != nil {
		l.t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	v := &viewer{t: l.t, seen: &recorder{Conn: theirs}, end: make(chan error, 1)}
	var pumps sync.WaitGroup
	greeted := make(chan struct{})
	pumps.Go(func() {
		if err := view.Greet(ours); err != nil {
			l.t.Error(err)
			return
		}
		close(greeted)
		pumps.Go(func() { _ = view.CopyFrom(ours) })
		v.end <- view.CopyTo(ours)
		_ = ours.Close()
	})
	l.t.Cleanup(func() {
		_ = theirs.Close()
		_ = ours.Close()
		view.Close()
		pumps.Wait()
	})
	if v.Client, err = rfbtest.Connect(v.seen); err != nil {
		l.t.Fatal(err)
	}
	<-greeted
	return v
}

// look requests the screen again.
func (v *viewer) look() *image.RGBA {
	v.t.Helper()
	if err := v.Update(); err != nil {
		v.t.Fatal(err)
	}
	return &image.RGBA{Pix: bytes.Clone(v.Screen.Pix), Stride: v.Screen.Stride, Rect: v.Screen.Rect}
}

// cursorPixels is more than the size of a text cursor, which blinks.
const cursorPixels = 9 * 16

// promptRows is the number of text rows once the firmware shows how to open its menu: its
// version, the machine's UUID, and the prompt. A key that is typed before is lost.
const promptRows = 3

// settle waits until the firmware has printed everything.
func (v *viewer) settle() *image.RGBA {
	v.t.Helper()
	last, since := v.look(), time.Now()
	eventually(v.t, "the screen shows the same text for two seconds", func() bool {
		now := v.look()
		if rfbtest.Differ(last, now) > cursorPixels || rfbtest.Rows(now) < promptRows || now.Rect.Dy() != 400 {
			last, since = now, time.Now()
		}
		return time.Since(since) > 2*time.Second
	})
	return last
}

// ended waits for the result of CopyTo.
func (v *viewer) ended() error {
	v.t.Helper()
	if _, err := io.Copy(io.Discard, v.seen); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		v.t.Log(err)
	}
	select {
	case err := <-v.end:
		return err
	case <-time.After(patience):
		v.t.Fatal("the view did not end")
		return nil
	}
}

func TestViewOfLocalAndRemoteHosts(t *testing.T) {
	for _, tt := range []struct {
		name string
		uri  func(*testing.T) string
	}{
		{"local", func(*testing.T) string { return systemURI }},
		{"remote", remoteURI},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, g := newLab(t, tt.uri(t)), runGuest(t)
			watcher := l.view(g.id, ViewOptions{ReadOnly: true})
			prompt := watcher.settle()

			for range 5 {
				if err := watcher.Press(rfbtest.Escape); err != nil {
					t.Fatal(err)
				}
			}
			// If the key reached the firmware, the menu would open within a fraction of
			// this.
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
				if n := rfbtest.Differ(prompt, watcher.look()); n > cursorPixels {
					t.Fatalf("%d pixels changed after a read-only viewer typed", n)
				}
			}

			typist := l.view(g.id, ViewOptions{})
			typist.look()
			if err := typist.Press(rfbtest.Escape); err != nil {
				t.Fatal(err)
			}
			eventually(t, "both viewers see the menu", func() bool {
				return rfbtest.Differ(prompt, typist.look()) > cursorPixels && rfbtest.Differ(prompt, watcher.look()) > cursorPixels
			})
			if bytes.Contains(watcher.seen.all.Bytes(), []byte(password)) || bytes.Contains(typist.seen.all.Bytes(), []byte(password)) {
				t.Error("the password went to a viewer")
			}
		})
	}
}

func TestRemoteHostWithAnotherPassword(t *testing.T) {
	l, g := newLab(t, remoteURI(t)), runGuest(t)
	for _, tt := range []struct {
		name   string
		change func(*Screen)
		want   fault.Code
	}{
		{"wrong", func(s *Screen) { s.Password = "wrong" }, fault.Hypervisor},
		{"unknown", func(s *Screen) { s.Password = "" }, fault.Unsupported},
		{"no port", func(s *Screen) { s.Port = 0 }, fault.Unsupported},
		{"nobody there", func(s *Screen) { s.Port = 1 }, fault.HostUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l.screen = tt.change
			_, err := l.Open(t.Context(), g.id, ViewOptions{})
			if fault.CodeOf(err) != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if bytes.Contains([]byte(err.Error()), []byte(password)) {
				t.Error("the error tells the password")
			}
		})
	}
	if len(l.views) > 0 {
		t.Errorf("%d views are left", len(l.views))
	}
}

func TestViewEndsWithTheNode(t *testing.T) {
	l, g := newLab(t, systemURI), runGuest(t)
	v := l.view(g.id, ViewOptions{})
	v.look()
	g.virsh("destroy")
	if err := v.ended(); fault.CodeOf(err) != fault.NodeNotRunning {
		t.Errorf("the view ended with %v", err)
	}
	if _, err := l.Open(t.Context(), g.id, ViewOptions{}); fault.CodeOf(err) != fault.NodeNotRunning {
		t.Errorf("Open of a node that is off: %v", err)
	}
	if _, err := l.Screenshot(t.Context(), g.id, 0); fault.CodeOf(err) != fault.NodeNotRunning {
		t.Errorf("Screenshot of a node that is off: %v", err)
	}
	g.virsh("start")
	v = l.view(g.id, ViewOptions{})
	v.look()
	g.virsh("undefine") // it continues as a transient domain
	v.look()
	g.virsh("destroy")
	if err := v.ended(); fault.CodeOf(err) != fault.NodeNotFound {
		t.Errorf("the view of a deleted node ended with %v", err)
	}
}

func TestViewEndsWithTheService(t *testing.T) {
	l, g := newLab(t, systemURI), runGuest(t)
	v := l.view(g.id, ViewOptions{})
	v.look()
	l.end()
	if err := v.ended(); !errors.Is(err, ErrShutdown) {
		t.Errorf("the view ended with %v", err)
	}
	if _, err := l.Open(t.Context(), g.id, ViewOptions{}); !errors.Is(err, ErrShutdown) {
		t.Errorf("Open: %v", err)
	}
	if _, err := l.Screenshot(t.Context(), g.id, 0); !errors.Is(err, ErrShutdown) {
		t.Errorf("Screenshot: %v", err)
	}
}

func TestViewersAreBounded(t *testing.T) {
	l, g := newLab(t, systemURI), runGuest(t)
	for range maxViews {
		v, err := l.Open(t.Context(), g.id, ViewOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
	}
	if _, err := l.Open(t.Context(), g.id, ViewOptions{}); fault.CodeOf(err) != fault.TooManyRequests {
		t.Errorf("one too many: %v", err)
	}
}

func TestScreenshot(t *testing.T) {
	l, g := newLab(t, systemURI), runGuest(t)
	l.view(g.id, ViewOptions{}).settle()

	file := filepath.Join(t.TempDir(), "virsh.png")
	g.virsh("screenshot", file)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("virsh screenshot is not a PNG: %v", err)
	}

	var wg sync.WaitGroup
	pictures := make([]Picture, 8)
	for i := range pictures {
		wg.Go(func() {
			var err error
			if pictures[i], err = l.Screenshot(t.Context(), g.id, i/4*320); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := l.dials.Load(); n != 1 {
		t.Errorf("%d captures for requests at once, want 1", n)
	}
	for i, p := range pictures {
		c, err := png.DecodeConfig(bytes.NewReader(p.PNG))
		if err != nil {
			t.Fatal(err)
		}
		width, height := want.Width, want.Height
		if i >= 4 {
			width, height = 320, (want.Height*320+want.Width/2)/want.Width
		}
		if c.Width != width || c.Height != height {
			t.Errorf("picture %d has %d x %d pixels, want %d x %d", i, c.Width, c.Height, width, height)
		}
		if p.Tag != pictures[i/4*4].Tag || p.Tag == "" {
			t.Errorf("picture %d: tag %q", i, p.Tag)
		}
	}

	eventually(t, "the picture is forgotten", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.shots) == 0
	})
	if _, err := l.Screenshot(t.Context(), g.id, 0); err != nil || l.dials.Load() != 2 {
		t.Errorf("after its lifetime: %v, %d captures", err, l.dials.Load())
	}
	if _, err := l.Screenshot(t.Context(), g.id, MaxWidth); err != nil {
		t.Errorf("wider than the screen: %v", err)
	}
	for _, width := range []int{-1, MinWidth - 1, MaxWidth + 1} {
		if _, err := l.Screenshot(t.Context(), g.id, width); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("width %d: %v", width, err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	l.NodeChanged(g.id)
	if _, err := l.Screenshot(gone, g.id, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("for a client that left: %v", err)
	}
}

// TestQEMUThatHangs requests pictures of more screens than are drawn at a time, whose
// QEMUs do not answer. The picture of another node must still be taken, and the service
// must stop.
func TestQEMUThatHangs(t *testing.T) {
	l, well := newLab(t, systemURI), runGuest(t)
	var wg sync.WaitGroup
	defer wg.Wait()
	asked, leave := context.WithCancel(t.Context())
	defer leave()
	for range maxDrawing {
		g := runGuest(t)
		g.freeze()
		before := l.dials.Load()
		wg.Go(func() { _, _ = l.Screenshot(asked, g.id, 0) })
		eventually(t, "a capture of it is under way", func() bool { return l.dials.Load() > before && g.isAsked() })
	}
	begun := time.Now()
	if _, err := l.Screenshot(t.Context(), well.id, 0); err != nil {
		t.Errorf("a screen beside those that hang: %v after %v", err, time.Since(begun))
	}
	// libvirt gives up on a QEMU that does not answer after 30 s, so waiting for these
	// takes as long.
	begun = time.Now()
	l.end()
	if took := time.Since(begun); took > stopTimeout+20*time.Second {
		t.Errorf("the service took %v to end", took)
	}
}
