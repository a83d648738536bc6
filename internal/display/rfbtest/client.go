// Package rfbtest is a small RFB 3.8 client for tests: it sees a screen as a
// picture, and types.
package rfbtest

import (
	"encoding/binary"
	"fmt"
	"image"
	"io"
)

// Escape is the keysym of X11 that RFB sends for the key.
const Escape = 0xff1b

const (
	encodingRaw         = 0
	encodingDesktopSize = -223
)

// Client is the client's end of a stream. Its methods are for one goroutine.
type Client struct {
	rw io.ReadWriter
	// Name is what the server calls the screen.
	Name string
	// Screen is the picture as of the last Update.
	Screen *image.RGBA
}

// Connect plays the client's part of the handshake with a server that asks for
// no password.
func Connect(rw io.ReadWriter) (*Client, error) {
	c := &Client{rw: rw}
	version, err := c.read(12)
	if err != nil {
		return nil, err
	}
	if string(version) != "RFB 003.008\n" {
		return nil, fmt.Errorf("the server speaks %q", version)
	}
	if _, err := rw.Write(version); err != nil {
		return nil, err
	}
	kinds, err := c.read(2)
	if err != nil {
		return nil, err
	}
	if kinds[0] != 1 || kinds[1] != 1 {
		return nil, fmt.Errorf("the server offers %v, not just None", kinds)
	}
	if _, err := rw.Write([]byte{1}); err != nil {
		return nil, err
	}
	result, err := c.read(4)
	if err != nil {
		return nil, err
	}
	if binary.BigEndian.Uint32(result) != 0 {
		return nil, fmt.Errorf("the server refuses")
	}
	// Not shared: the service makes it so.
	if _, err := rw.Write([]byte{0}); err != nil {
		return nil, err
	}
	init, err := c.read(24)
	if err != nil {
		return nil, err
	}
	name, err := c.read(int(binary.BigEndian.Uint32(init[20:])))
	if err != nil {
		return nil, err
	}
	c.Name = string(name)
	c.resize(int(binary.BigEndian.Uint16(init)), int(binary.BigEndian.Uint16(init[2:])))
	messages := []byte{
		0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0, // SetPixelFormat: 32 bits, red first
		2, 0, 0, 2, 0, 0, 0, encodingRaw, 0xff, 0xff, 0xff, 0x21, // SetEncodings: and desktop size
	}
	_, err = rw.Write(messages)
	return c, err
}

// Update asks for the screen as it is now, and waits for it.
func (c *Client) Update() error {
	for {
		size := c.Screen.Rect.Size()
		request := []byte{3, 0, 0, 0, 0, 0}
		request = binary.BigEndian.AppendUint16(request, uint16(size.X))
		request = binary.BigEndian.AppendUint16(request, uint16(size.Y))
		if _, err := c.rw.Write(request); err != nil {
			return err
		}
		resized, err := c.receive()
		if err != nil || !resized {
			return err
		}
	}
}

// receive reads messages up to an update of the screen.
func (c *Client) receive() (resized bool, err error) {
	for {
		kind, err := c.read(1)
		if err != nil {
			return false, err
		}
		switch kind[0] {
		case 0:
			return c.update()
		case 2: // bell
		case 3: // clipboard
			head, err := c.read(7)
			if err != nil {
				return false, err
			}
			if _, err := c.read(int(binary.BigEndian.Uint32(head[3:]))); err != nil {
				return false, err
			}
		default:
			return false, fmt.Errorf("a message of type %d", kind[0])
		}
	}
}

func (c *Client) update() (resized bool, err error) {
	head, err := c.read(3)
	if err != nil {
		return false, err
	}
	for range binary.BigEndian.Uint16(head[1:]) {
		r, err := c.read(12)
		if err != nil {
			return false, err
		}
		at := image.Pt(int(binary.BigEndian.Uint16(r)), int(binary.BigEndian.Uint16(r[2:])))
		size := image.Pt(int(binary.BigEndian.Uint16(r[4:])), int(binary.BigEndian.Uint16(r[6:])))
		switch encoding := int32(binary.BigEndian.Uint32(r[8:])); encoding {
		case encodingDesktopSize:
			c.resize(size.X, size.Y)
			resized = true
		case encodingRaw:
			pixels, err := c.read(4 * size.X * size.Y)
			if err != nil {
				return false, err
			}
			if !(image.Rectangle{Min: at, Max: at.Add(size)}).In(c.Screen.Rect) {
				return false, fmt.Errorf("an update outside the screen: %v at %v", size, at)
			}
			for y := range size.Y {
				row := pixels[4*size.X*y : 4*size.X*(y+1)]
				for i := 3; i < len(row); i += 4 {
					row[i] = 255
				}
				copy(c.Screen.Pix[c.Screen.PixOffset(at.X, at.Y+y):], row)
			}
		default:
			return false, fmt.Errorf("encoding %d, which was not asked for", encoding)
		}
	}
	return resized, nil
}

// Press presses a key and lets it go.
func (c *Client) Press(keysym uint32) error {
	for _, down := range []byte{1, 0} {
		if _, err := c.rw.Write(binary.BigEndian.AppendUint32([]byte{4, down, 0, 0}, keysym)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) resize(width, height int) { c.Screen = image.NewRGBA(image.Rect(0, 0, width, height)) }

func (c *Client) read(n int) ([]byte, error) {
	p := make([]byte, n)
	_, err := io.ReadFull(c.rw, p)
	return p, err
}

// Lit counts the pixels that are not black.
func Lit(img *image.RGBA) int {
	n := 0
	for i := 0; i < len(img.Pix); i += 4 {
		if img.Pix[i]|img.Pix[i+1]|img.Pix[i+2] != 0 {
			n++
		}
	}
	return n
}

// textRow is the height in pixels of a row of VGA text, 400 pixels high.
const textRow = 16

// Rows counts the rows of VGA text that have more than a cursor in them.
func Rows(img *image.RGBA) int {
	const cursorPixels = 9 * textRow
	n := 0
	for y := 0; y+textRow <= img.Rect.Dy(); y += textRow {
		if Lit(&image.RGBA{Pix: img.Pix[y*img.Stride : (y+textRow)*img.Stride]}) > cursorPixels {
			n++
		}
	}
	return n
}

// Differ counts the pixels in which two pictures differ; all of them where their
// sizes do.
func Differ(a, b *image.RGBA) int {
	if a.Rect != b.Rect {
		return max(len(a.Pix), len(b.Pix)) / 4
	}
	n := 0
	for i := 0; i < len(a.Pix); i += 4 {
		if [4]byte(a.Pix[i:i+4]) != [4]byte(b.Pix[i:i+4]) {
			n++
		}
	}
	return n
}
