package guacamoletest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

// Guacd starts a guacd on its own port, and returns its address. It ends with the test,
// which fails if a process of guacd has crashed.
func Guacd(t testing.TB) (address string) {
	t.Helper()
	program := filepath.Join(module(t), ".cache", "guacd", "guacd")
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("the tests' guacd is missing, run deploy/guacd.sh: %v", err)
	}
	address = testground.Address(t)
	_, port, _ := net.SplitHostPort(address)
	log, err := os.Create(filepath.Join(t.TempDir(), "guacd.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-f", "-b", "127.0.0.1", "-l", port, "-L", "debug") //nolint:noctx // the test's end ends it
	// It forks a process for each connection: the group has them all.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		checkConnectionsEnd(t, log.Name())
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		_ = log.Close()
		if t.Failed() {
			t.Logf("guacd's log:\n%s", read(t, log.Name()))
		}
	})
	deadline := time.Now().Add(limit)
	for {
		c, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = c.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatalf("guacd does not answer: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// checkConnectionsEnd waits until the processes of all connections have freed what they used. One
// that crashes while it does so logs nothing.
func checkConnectionsEnd(t testing.TB, log string) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		text := read(t, log)
		begun, ended := strings.Count(text, "Creating new client for protocol"), strings.Count(text, "Client terminated successfully.")
		if begun == ended {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("guacd opened %d connections, and the processes of %d ended well", begun, ended)
			return
		}
	}
}

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// Screen has guacd open a connection with parameters as they are in the tables,
// and returns the first whole picture of the screen. A guacd that answers
// "ready" has not opened anything yet: what counts is the picture.
func Screen(ctx context.Context, address, protocol string, parameters map[string]string) (image.Image, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(deadline)
	}
	// After the encodings ZRLE, zlib and ultra this guacd frees one buffer twice, and crashes.
	parameters = maps.Clone(parameters)
	parameters["encodings"] = "copyrect hextile raw"
	g := &client{conn: c, in: bufio.NewReader(c)}
	if err := g.open(protocol, parameters); err != nil {
		return nil, err
	}
	defer func() { _ = g.send("disconnect") }()
	return g.paint()
}

// client speaks the Guacamole protocol.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

// send writes one instruction: each element with its length in characters.
func (g *client) send(elements ...string) error {
	var b strings.Builder
	for i, e := range elements {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d.%s", len([]rune(e)), e)
	}
	b.WriteByte(';')
	_, err := io.WriteString(g.conn, b.String())
	return err
}

// read reads one instruction.
func (g *client) read() (elements []string, err error) {
	for {
		text, err := g.in.ReadString('.')
		if err != nil {
			return nil, err
		}
		length, err := strconv.Atoi(strings.TrimSuffix(text, "."))
		if err != nil {
			return nil, fmt.Errorf("a length that is not a number: %q", text)
		}
		var value strings.Builder
		for range length {
			r, _, err := g.in.ReadRune()
			if err != nil {
				return nil, err
			}
			value.WriteRune(r)
		}
		elements = append(elements, value.String())
		end, err := g.in.ReadByte()
		if err != nil {
			return nil, err
		}
		if end == ';' {
			return elements, nil
		}
	}
}

// open is the handshake. guacd names the parameters that it wants; it gets one
// value for each.
func (g *client) open(protocol string, parameters map[string]string) error {
	if err := g.send("select", protocol); err != nil {
		return err
	}
	args, err := g.read()
	if err != nil {
		return err
	}
	if args[0] != "args" {
		return fmt.Errorf("guacd answered %q", args)
	}
	connect := []string{"connect"}
	for _, name := range args[1:] {
		if strings.HasPrefix(name, "VERSION_") {
			connect = append(connect, name)
			continue
		}
		connect = append(connect, parameters[name])
	}
	for _, instruction := range [][]string{{"size", "1024", "768", "96"}, {"audio"}, {"video"}, {"image", "image/png"}, connect} {
		if err := g.send(instruction...); err != nil {
			return err
		}
	}
	ready, err := g.read()
	if err != nil {
		return err
	}
	if ready[0] != "ready" {
		return fmt.Errorf("guacd answered %q", ready)
	}
	return nil
}

const screenLayer = "0"

// paint draws what guacd sends, until a frame with a picture is over.
func (g *client) paint() (image.Image, error) {
	var screen *image.RGBA
	type stream struct {
		at   image.Point
		data []byte
	}
	streams := map[string]*stream{}
	drawn := false
	for {
		in, err := g.read()
		if err != nil {
			return nil, err
		}
		switch op := in[0]; {
		case op == "error" || op == "required":
			return nil, fmt.Errorf("guacd answered %q", in)
		case op == "disconnect":
			return nil, errors.New("guacd ended the connection")
		case op == "size" && in[1] == screenLayer:
			size, err := point(in[2], in[3])
			if err != nil {
				return nil, err
			}
			screen = image.NewRGBA(image.Rectangle{Max: size})
		case op == "img" && in[3] == screenLayer:
			at, err := point(in[5], in[6])
			if err != nil {
				return nil, err
			}
			streams[in[1]] = &stream{at: at}
		case op == "blob" && streams[in[1]] != nil:
			data, err := base64.StdEncoding.DecodeString(in[2])
			if err != nil {
				return nil, err
			}
			streams[in[1]].data = append(streams[in[1]].data, data...)
		case op == "end" && streams[in[1]] != nil:
			s := streams[in[1]]
			delete(streams, in[1])
			part, err := png.Decode(bytes.NewReader(s.data))
			if err != nil {
				return nil, err
			}
			if screen == nil {
				return nil, errors.New("a picture came before the screen's size")
			}
			draw.Draw(screen, part.Bounds().Add(s.at), part, part.Bounds().Min, draw.Over)
			drawn = true
		case op == "sync":
			if drawn {
				return screen, nil
			}
			if err := g.send("sync", in[1]); err != nil {
				return nil, err
			}
		}
	}
}

func point(x, y string) (image.Point, error) {
	a, err := strconv.Atoi(x)
	if err != nil {
		return image.Point{}, err
	}
	b, err := strconv.Atoi(y)
	return image.Pt(a, b), err
}
