package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// cutter forwards connections to the service, and a number of times breaks all of them
// after a given number of bytes.
type cutter struct {
	net.Listener
	target string
	every  int64
	cut    func(n int) // called at the nth cut, while nothing is forwarded

	mu    sync.Mutex
	conns map[net.Conn]bool
	bytes int64
	cuts  int
	most  int
}

func (c *cutter) run() {
	for {
		in, err := c.Accept()
		if err != nil {
			return
		}
		go c.pass(in)
	}
}

func (c *cutter) pass(in net.Conn) {
	defer func() { _ = in.Close() }()
	out, err := net.Dial("tcp", c.target)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	c.mu.Lock()
	c.conns[in], c.conns[out] = true, true
	c.mu.Unlock()
	go func() {
		_, _ = io.Copy(in, out)
		_ = in.Close()
	}()
	_, _ = io.Copy(&counted{out, c}, in)
	c.mu.Lock()
	delete(c.conns, in)
	delete(c.conns, out)
	c.mu.Unlock()
}

// counted is the connection to the service, whose bytes are counted.
type counted struct {
	io.Writer
	c *cutter
}

func (w *counted) Write(p []byte) (int, error) {
	w.c.mu.Lock()
	defer w.c.mu.Unlock() // nothing else is forwarded during a cut
	if w.c.bytes += int64(len(p)); w.c.cuts < w.c.most && w.c.bytes >= w.c.every*int64(w.c.cuts+1) {
		w.c.cuts++
		for conn := range w.c.conns {
			_ = conn.Close()
		}
		w.c.cut(w.c.cuts)
	}
	return w.Writer.Write(p)
}

// TestStockTusClient has tus-js-client upload an image while its connection is cut 20
// times and the service is killed twice. SANDBOXLABS_TUS_BYTES is the size.
func TestStockTusClient(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("../../web/node_modules/tus-js-client"); err != nil {
		t.Skipf("the client is not installed: run `make build` (%v)", err)
	}
	size := 64 << 20
	if text := os.Getenv("SANDBOXLABS_TUS_BYTES"); text != "" {
		var err error
		if size, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	l := newLab(t)
	l.start()
	content := l.dataImage(size)
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	file := filepath.Join(t.TempDir(), "image.qcow2")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	const cuts = 20
	kill := make(chan struct{}, cuts)
	c := &cutter{Listener: listener, target: l.address, every: int64(len(content)) / (cuts + 2), most: cuts, conns: map[net.Conn]bool{}}
	c.cut = func(n int) {
		if n == 7 || n == 14 {
			kill <- struct{}{}
		}
	}
	go c.run()
	var out, log bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "node", "testdata/tusclient.mjs", fmt.Sprintf("http://%s/api/uploads", listener.Addr()), file, digest)
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	kills := 0
	for over := false; !over; {
		select {
		case <-kill:
			kills++
			l.kill()
			l.start()
		case err := <-ended:
			if over = true; err != nil {
				t.Fatalf("the client ended with %v: %s", err, log.String())
			}
		}
	}
	u := tusUpload{l, "/api/uploads/" + path.Base(strings.TrimSpace(out.String()))}
	if img := u.settled(); img.State != "ready" || img.SHA256 != digest || img.Size != int64(len(content)) {
		t.Errorf("the image is %+v, want the digest %s", img, digest)
	}
	if c.cuts != cuts || kills != 2 {
		t.Errorf("it was cut %d times and killed %d times", c.cuts, kills)
	}
	l.stop()
}
