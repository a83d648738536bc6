//go:build bench

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/creack/pty"
	"nhooyr.io/websocket"
)

const (
	microImage = "../../images/build/micro.qcow2"

	echoRounds = 4   // for each kind of line, alternating
	echoes     = 150 // in each round
	echoPause  = 20 * time.Millisecond

	floodRounds = 3
	floodWarmUp = time.Second
	floodTime   = 6 * time.Second

	bootPatience = 3 * time.Minute
)

// line is a connection to a serial console.
type line interface {
	io.ReadWriteCloser
}

// socketLine is a line through the service.
type socketLine struct {
	ctx    context.Context
	socket *websocket.Conn
	frame  io.Reader
}

func (r *rig) dialConsole(ctx context.Context, id string) *socketLine {
	r.t.Helper()
	socket, _, err := websocket.Dial(ctx, "ws://"+r.address+"/ws/console?nodeId="+id, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	socket.SetReadLimit(1 << 20)
	return &socketLine{ctx: ctx, socket: socket}
}

func (l *socketLine) Read(p []byte) (int, error) {
	for {
		if l.frame == nil {
			kind, frame, err := l.socket.Reader(l.ctx)
			if err != nil {
				return 0, err
			}
			if kind != websocket.MessageBinary {
				if _, err := io.Copy(io.Discard, frame); err != nil {
					return 0, err
				}
				continue
			}
			l.frame = frame
		}
		n, err := l.frame.Read(p)
		if errors.Is(err, io.EOF) {
			l.frame, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (l *socketLine) Write(p []byte) (int, error) {
	return len(p), l.socket.Write(l.ctx, websocket.MessageBinary, p)
}

func (l *socketLine) Close() error { return l.socket.CloseNow() }

// virshLine is `virsh console` in a terminal.
type virshLine struct {
	*os.File
	cmd *exec.Cmd
}

func (r *rig) virshConsole(ctx context.Context, id string) *virshLine {
	r.t.Helper()
	cmd := exec.CommandContext(ctx, "virsh", "-c", libvirtURI, "console", id)
	tty, err := pty.Start(cmd)
	if err != nil {
		r.t.Fatal(err)
	}
	return &virshLine{tty, cmd}
}

func (l *virshLine) Close() error {
	_ = l.cmd.Process.Kill()
	_ = l.cmd.Wait()
	return l.File.Close()
}

// benchConsole measures the serial console of one guest with both kinds of line.
func (r *rig) benchConsole(ctx context.Context, report *table) {
	r.t.Helper()
	micro := r.upload(ctx, microImage)
	var node struct{ ID string }
	r.do(ctx, http.MethodPost, "/api/nodes", map[string]any{"name": r.prefix + "-console", "image": micro.ID, "resources": map[string]any{"ram": 256}}, http.StatusCreated, &node)
	c := r.dialConsole(ctx, node.ID)
	r.do(ctx, http.MethodPost, "/api/nodes/"+node.ID+"/run", nil, http.StatusOK, nil)
	r.until(c, "login: ")
	r.types(c, "root\r")
	r.until(c, "# ")
	r.types(c, "cat > /dev/null\r") // only the guest's terminal echoes
	r.until(c, "null")
	r.close(c)

	ways := []struct {
		name string
		open func() line
		took times
	}{
		{name: "SandboxLabs", open: func() line { return r.dialConsole(ctx, node.ID) }},
		{name: "virsh console", open: func() line { return r.virshConsole(ctx, node.ID) }},
	}
	for range echoRounds {
		for i := range ways {
			l := ways[i].open()
			r.connected(l, "ready")
			for range echoes {
				ways[i].took = append(ways[i].took, r.echo(ctx, l))
			}
			r.close(l)
		}
	}
	ours, theirs := ways[0].took, ways[1].took
	report.add("console: echo of a key", ours.inMilliseconds(0.99), "virsh console", theirs.inMilliseconds(0.99),
		fmt.Sprintf("p99 %+.1f ms", float64(ours.at(0.99)-theirs.at(0.99))/float64(time.Millisecond)), "p99 within 5 ms")

	c = r.dialConsole(ctx, node.ID)
	r.connected(c, "flood")
	r.types(c, "\x04")
	r.until(c, "# ")
	r.types(c, "yes\r")
	r.until(c, "y\r\ny\r\n")
	r.close(c)
	viewers := []int{1, 10, 100}
	rates := make([]times, len(viewers)) // time for 1 MB
	var virshRates times
	for range floodRounds {
		virshRates = append(virshRates, r.flood(r.virshConsole(ctx, node.ID)))
		r.t.Logf("output, virsh console: %s", rate(virshRates[len(virshRates)-1]))
		for i, n := range viewers {
			others := r.crowd(ctx, node.ID, n-1)
			before := r.cpuTime()
			rates[i] = append(rates[i], r.flood(r.dialConsole(ctx, node.ID)))
			r.t.Logf("output, %d watching: %s, and the service takes %.0f %% of a CPU", n, rate(rates[i][len(rates[i])-1]), 100*(r.cpuTime()-before).Seconds()/(floodWarmUp+floodTime).Seconds())
			others()
		}
	}
	for i, n := range viewers {
		report.add(fmt.Sprintf("console: output, %d watching", n), rate(rates[i].median()), "virsh console", rate(virshRates.median()), faster(rates[i].median(), virshRates.median()), "≥ 1.0×")
	}
	r.do(ctx, http.MethodDelete, "/api/nodes/"+node.ID, nil, http.StatusNoContent, nil)
	r.removeImage(ctx, micro)
}

// cpuTime returns the CPU time of the service (proc(5)), with a resolution of 10 ms.
func (r *rig) cpuTime() (used time.Duration) {
	r.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.service.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	for _, f := range fields[11:13] { // utime and stime
		ticks, err := strconv.Atoi(string(f))
		if err != nil {
			r.t.Fatal(err)
		}
		used += time.Duration(ticks) * 10 * time.Millisecond
	}
	return used
}

func rate(perMB time.Duration) string {
	return fmt.Sprintf("%.0f kB/s", 1000/perMB.Seconds())
}

// connected types until the guest's echo shows that input and output work, since virsh
// drops what is typed before it has set up its terminal.
func (r *rig) connected(l line, mark string) {
	r.t.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				_, _ = io.WriteString(l, mark+"\r")
			}
		}
	}()
	r.until(l, mark)
	close(stop)
	<-stopped
	r.types(l, "-end-\r")
	r.until(l, "-end-\r\n")
}

// echo types a key and returns how long its echo takes.
func (r *rig) echo(ctx context.Context, l line) time.Duration {
	r.t.Helper()
	select {
	case <-time.After(echoPause): // people pause between keys
	case <-ctx.Done():
		r.t.Fatal(ctx.Err())
	}
	begin := time.Now()
	r.types(l, "k")
	r.until(l, "k")
	return time.Since(begin)
}

// flood returns how long a megabyte of output takes, and closes the line.
func (r *rig) flood(l line) time.Duration {
	r.t.Helper()
	defer r.close(l)
	buf := make([]byte, 64<<10)
	var begin time.Time
	count := 0
	for start := time.Now(); time.Since(start) < floodWarmUp+floodTime; {
		n, err := l.Read(buf)
		if err != nil {
			r.t.Fatal(err)
		}
		switch {
		case !begin.IsZero():
			count += n
		case time.Since(start) > floodWarmUp:
			begin = time.Now()
		}
	}
	return time.Duration(float64(time.Since(begin)) * 1e6 / float64(count))
}

// crowd adds n viewers until the returned function is called.
func (r *rig) crowd(ctx context.Context, id string, n int) (leave func()) {
	r.t.Helper()
	var all sync.WaitGroup
	var lines []*socketLine
	for range n {
		l := r.dialConsole(ctx, id)
		lines = append(lines, l)
		all.Go(func() {
			_, _ = io.Copy(io.Discard, l) // ends when the line is closed
		})
	}
	return func() {
		for _, l := range lines {
			r.close(l)
		}
		all.Wait()
	}
}

func (r *rig) types(l line, text string) {
	r.t.Helper()
	if _, err := io.WriteString(l, text); err != nil {
		r.t.Fatal(err)
	}
}

// until reads until text has arrived.
func (r *rig) until(l line, text string) {
	r.t.Helper()
	late := time.AfterFunc(bootPatience, func() { _ = l.Close() })
	defer late.Stop()
	var got []byte
	buf := make([]byte, 4<<10)
	for !bytes.Contains(got, []byte(text)) {
		n, err := l.Read(buf)
		if err != nil {
			r.t.Fatalf("before %q came the console showed %q: %v", text, got, err)
		}
		got = append(got, buf[:n]...)
		got = slices.Clone(got[max(0, len(got)-4<<10):])
	}
}

func (r *rig) close(l line) {
	r.t.Helper()
	if err := l.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		r.t.Logf("a console was closed with %v", err)
	}
}
