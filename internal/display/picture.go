package display

import (
	"bytes"
	"fmt"
	"image"
	"image/png"

	"golang.org/x/image/draw"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// maxPixels limits the size of a picture before memory is allocated for it, since the
// guest chooses the size of its screen. 5120 × 3200 fits.
const maxPixels = 16 << 20

func tooLarge() error {
	return fault.New(fault.Unsupported, "The node's screen is too large for a screenshot. The limit is %d million pixels.", maxPixels>>20)
}

// encoder is fast rather than effective, since a picture is shown for a second only.
var encoder = png.Encoder{CompressionLevel: png.BestSpeed}

// asPNG returns a picture as a PNG file, and its width. A PNG file is returned unchanged.
func asPNG(data []byte) (file []byte, width int, err error) {
	if bytes.HasPrefix(data, []byte("P6")) {
		img, err := decodePPM(data)
		if err != nil {
			return nil, 0, err
		}
		file, err = encode(img)
		return file, img.Rect.Dx(), err
	}
	c, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, 0, fmt.Errorf("read the screenshot of the host: %w", err)
	}
	if err := checkSize(c.Width, c.Height); err != nil {
		return nil, 0, err
	}
	return data, c.Width, nil
}

func checkSize(width, height int) error {
	if width < 1 || height < 1 {
		return fmt.Errorf("the screenshot has %d x %d pixels", width, height)
	}
	if width > maxPixels || height > maxPixels || width*height > maxPixels {
		return tooLarge()
	}
	return nil
}

// scalePNG returns a smaller PNG file with the same proportions. The caller has checked
// the size.
func scalePNG(file []byte, width int) ([]byte, error) {
	from, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("decode a screenshot: %w", err)
	}
	size := from.Bounds().Size()
	to := image.NewRGBA(image.Rect(0, 0, width, max(1, (size.Y*width+size.X/2)/size.X)))
	draw.ApproxBiLinear.Scale(to, to.Rect, from, from.Bounds(), draw.Src, nil)
	return encode(to)
}

func encode(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	if err := encoder.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("encode a screenshot: %w", err)
	}
	return b.Bytes(), nil
}

// decodePPM reads a binary PPM file with 8 bits per sample (netpbm's ppm(5)).
func decodePPM(data []byte) (*image.RGBA, error) {
	rest := data[2:]
	var header [3]int // width, height, maximum sample value
	for i := range header {
		var err error
		if header[i], rest, err = numberOf(rest); err != nil {
			return nil, err
		}
	}
	width, height := header[0], header[1]
	if err := checkSize(width, height); err != nil {
		return nil, err
	}
	if header[2] != 255 || len(rest) < 1+3*width*height {
		return nil, fmt.Errorf("the PPM of %d x %d has %d bytes of samples up to %d", width, height, len(rest), header[2])
	}
	rest = rest[1:] // the single whitespace character after the header
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		copy(img.Pix[4*i:], rest[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	return img, nil
}

// numberOf parses a number in a PPM header, after whitespace and comments.
func numberOf(text []byte) (n int, rest []byte, err error) {
	i := 0
	for i < len(text) && (bytes.IndexByte([]byte(" \t\r\n\v\f"), text[i]) >= 0 || text[i] == '#') {
		if text[i] == '#' {
			for i < len(text) && text[i] != '\n' {
				i++
			}
			continue
		}
		i++
	}
	start := i
	for ; i < len(text) && i-start < 9 && text[i] >= '0' && text[i] <= '9'; i++ {
		n = 10*n + int(text[i]-'0')
	}
	if i == start {
		return 0, nil, fmt.Errorf("the header of a PPM breaks off")
	}
	return n, text[i:], nil
}
