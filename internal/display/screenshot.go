package display

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// The widths that a screenshot may be scaled to, in pixels.
const (
	MinWidth = 16
	MaxWidth = 1920
)

const (
	// shotLifetime is how old a screenshot may be.
	shotLifetime = time.Second
	// maxShotBytes limits what a host may send for a screenshot: an uncompressed picture
	// of maxPixels, and a header.
	maxShotBytes = maxPixels*3 + 1<<10
	// maxScaled limits how many widths of a screenshot are kept.
	maxScaled = 8
	// captureTimeout limits how long a request waits for a screenshot, because libvirt
	// waits indefinitely for a QEMU that does not answer.
	captureTimeout = 10 * time.Second
)

// Picture is a screenshot as a PNG file.
type Picture struct {
	PNG []byte // must not be changed
	Tag string // changes when PNG does
}

// Screenshot returns a picture of the node's screen that is at most a second old. width
// scales it down to that many pixels; with 0, or more than the screen's width, it is not
// scaled. One capture of a node runs at a time, and all waiting callers get its result.
//
// Errors: fault.NodeNotFound, NodeNotRunning, HostUnreachable, Unsupported for a screen
// that is missing or too large, Hypervisor, also for a QEMU that does not answer, Invalid
// for a width out of range, and ErrShutdown. When ctx is done, the capture continues for
// the others.
func (s *Service) Screenshot(ctx context.Context, id string, width int) (Picture, error) {
	if width != 0 && (width < MinWidth || width > MaxWidth) {
		return Picture{}, fault.New(fault.Invalid, "The width must be %d to %d pixels.", MinWidth, MaxWidth)
	}
	shot, err := s.recent(ctx, id)
	if err != nil {
		return Picture{}, err
	}
	if width == 0 || width >= shot.width {
		return shot.picture, nil
	}
	if err := s.draw(ctx); err != nil {
		return Picture{}, err
	}
	defer func() { <-s.drawing }()
	return shot.scale(width)
}

// draw waits for a free slot for decoding pictures.
func (s *Service) draw(ctx context.Context) error {
	select {
	case s.drawing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// recent returns the last shot, or takes one.
func (s *Service) recent(ctx context.Context, id string) (*shot, error) {
	s.mu.Lock()
	last := s.shots[id]
	if last != nil {
		s.mu.Unlock()
		return last, nil
	}
	if s.taking[id] {
		s.mu.Unlock()
		return nil, noAnswer()
	}
	// With the lock held, so that no shot is stored between the check and this call.
	done := s.flight.DoChan(id, func() (any, error) { return s.take(id) })
	s.mu.Unlock()
	patience := time.NewTimer(captureTimeout)
	defer patience.Stop()
	select {
	case r := <-done:
		taken, _ := r.Val.(*shot)
		return taken, r.Err
	case <-patience.C:
		s.mu.Lock()
		if _, goesOn := s.taking[id]; goesOn {
			s.taking[id] = true
		}
		s.mu.Unlock()
		return nil, noAnswer()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func noAnswer() error {
	return fault.New(fault.Hypervisor, "Couldn't take a screenshot: the node's QEMU doesn't respond. If this persists, force the node off.")
}

// begin records that a capture is in progress; Run waits for it to end.
func (s *Service) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrShutdown
	}
	s.work.Add(1)
	return nil
}

// setTaking records whether a node's screen is being captured.
func (s *Service) setTaking(id string, begins bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if begins {
		s.taking[id] = false
	} else {
		delete(s.taking, id)
	}
}

// keep stores a shot for as long as it may be shown.
func (s *Service) keep(id string, taken *shot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shots[id] = taken
	time.AfterFunc(shotLifetime, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.shots[id] == taken {
			delete(s.shots, id)
		}
	})
}

// take captures a screen and stores the shot.
func (s *Service) take(id string) (*shot, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.work.Done()
	host, _, _, ok := s.o.Nodes.Place(id)
	if !ok {
		return nil, fault.New(fault.NodeNotFound, "Node not found. It may have been deleted.")
	}
	s.setTaking(id, true)
	defer s.setTaking(id, false)
	var taken *shot
	// On a separate connection, since Recv blocks all other calls on its connection.
	err := s.o.Hosts.Dial(s.ctx, host, func(c *libvirt.Connect) (err error) {
		taken, err = s.capture(c, id)
		return err
	})
	if err != nil {
		return nil, explainCapture(err)
	}
	s.keep(id, taken)
	return taken, nil
}

// capture takes a screenshot in the host's format: PNG, or PPM with older QEMU releases.
func (s *Service) capture(c *libvirt.Connect, id string) (*shot, error) {
	d, err := c.LookupDomainByUUIDString(id)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Free() }()
	if active, err := d.IsActive(); err != nil {
		return nil, err
	} else if !active {
		return nil, fault.New(fault.NodeNotRunning, "The node is not running. Start it first.")
	}
	stream, err := c.NewStream(0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Free() }()
	// During this call, QEMU writes the picture to a file, from which libvirtd then sends
	// it.
	if _, err := d.Screenshot(stream, 0, 0); err != nil {
		return nil, err
	}
	// Aborting a completely read stream does nothing.
	defer func() { _ = stream.Abort() }()
	if err := s.draw(s.ctx); err != nil {
		return nil, ErrShutdown
	}
	defer func() { <-s.drawing }()
	data, err := receive(stream)
	if err != nil {
		return nil, err
	}
	return newShot(data)
}

func receive(stream *libvirt.Stream) ([]byte, error) {
	var all bytes.Buffer
	buf := make([]byte, 256<<10)
	for {
		n, err := stream.Recv(buf)
		if n > 0 {
			if all.Len()+n > maxShotBytes {
				return nil, tooLarge()
			}
			all.Write(buf[:n])
		}
		if errors.Is(err, io.EOF) || (err == nil && n == 0) {
			return all.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// explainCapture turns libvirt's errors into errors for users.
func explainCapture(err error) error {
	var lv libvirt.Error
	switch {
	case fault.CodeOf(err) != fault.Internal:
		return err
	case errors.Is(err, libvirt.ERR_NO_DOMAIN):
		return fault.Wrap(err, fault.NodeNotFound, "Node not found. It may have been deleted.")
	case errors.Is(err, libvirt.ERR_CONFIG_UNSUPPORTED), errors.Is(err, libvirt.ERR_NO_SUPPORT), errors.Is(err, libvirt.ERR_INVALID_ARG):
		return fault.Wrap(err, fault.Unsupported, "Couldn't take a screenshot: %s.", messageOf(err))
	case errors.Is(err, libvirt.ERR_OPERATION_INVALID):
		// libvirt has no other permanent reason, since the node was running when the
		// capture started.
		return fault.Wrap(err, fault.NoScreen, "The node has no screen to take a picture of, or has just stopped. Add a screen with `virsh edit`: <video/> and <graphics type='vnc' listen='127.0.0.1'/>.")
	case errors.As(err, &lv):
		return fault.Wrap(err, fault.Hypervisor, "Couldn't take a screenshot: %s.", lv.Message)
	}
	return fmt.Errorf("take a screenshot: %w", err)
}

func messageOf(err error) string {
	var lv libvirt.Error
	if errors.As(err, &lv) {
		return lv.Message
	}
	return err.Error()
}

// shot is a captured screen with the sizes it was scaled to.
type shot struct {
	picture Picture
	width   int

	mu     sync.Mutex // held while scaling
	scaled map[int]Picture
}

func newShot(data []byte) (*shot, error) {
	file, width, err := asPNG(data)
	if err != nil {
		return nil, err
	}
	return &shot{picture: newPicture(file), width: width, scaled: map[int]Picture{}}, nil
}

func newPicture(file []byte) Picture {
	sum := sha256.Sum256(file)
	return Picture{PNG: file, Tag: hex.EncodeToString(sum[:16])}
}

// scale returns the shot at a smaller width. It scales to each width only once.
func (s *shot) scale(width int) (Picture, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.scaled[width]; ok {
		return p, nil
	}
	file, err := scalePNG(s.picture.PNG, width)
	if err != nil {
		return Picture{}, err
	}
	p := newPicture(file)
	if len(s.scaled) < maxScaled {
		s.scaled[width] = p
	}
	return p, nil
}
