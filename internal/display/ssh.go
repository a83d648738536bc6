package display

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// sshComplaintBytes limits how much of ssh's error output is kept.
	sshComplaintBytes = 4 << 10
	// sshEndTimeout is how long ssh may take to end after its connection was closed.
	sshEndTimeout = 5 * time.Second
)

// sshError is the error output of an ssh process that ended.
type sshError struct{ text string }

// Error returns the error output.
func (e *sshError) Error() string { return "ssh: " + e.text }

// sshConn is a connection through an ssh process.
type sshConn struct {
	net.Conn
	process *os.Process
	ended   chan struct{} // closed when the process has ended
	failed  error         // the error of its exit; may be read once ended is closed
}

// dialSSH connects to an address as seen from a host, through the ssh program that libvirt
// uses to reach that host, and so with the same keys and known hosts. It does not wait for
// ssh; if ssh fails, Read returns its *sshError.
func dialSSH(host *url.URL, address string) (net.Conn, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	near, far := os.NewFile(uintptr(pair[0]), "screen"), os.NewFile(uintptr(pair[1]), "ssh")
	defer func() { _, _ = near.Close(), far.Close() }()
	conn, err := net.FileConn(near)
	if err != nil {
		return nil, err
	}
	program, arguments := sshCommand(host, address)
	complaint := &firstBytes{}
	cmd := exec.Command(program, arguments...) //nolint:gosec,noctx // the operator's own choice, as libvirt has it; Close ends it
	cmd.Stdin, cmd.Stdout, cmd.Stderr = far, far, complaint
	if err := cmd.Start(); err != nil {
		_ = conn.Close()
		return nil, &sshError{err.Error()}
	}
	c := &sshConn{Conn: conn, process: cmd.Process, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		if err := cmd.Wait(); err != nil {
			c.failed = &sshError{cmp.Or(complaint.String(), err.Error())}
		}
	}()
	return c, nil
}

// sshCommand returns the ssh command that libvirt uses for the host of a libvirt URI,
// changed to connect to another address as seen from that host.
func sshCommand(host *url.URL, address string) (program string, arguments []string) {
	options := host.Query()
	arguments = []string{"-W", address, "-o", "BatchMode=yes"}
	if options.Get("no_verify") == "1" {
		arguments = append(arguments, "-o", "StrictHostKeyChecking=no")
	}
	for option, value := range map[string]string{"-i": options.Get("keyfile"), "-l": host.User.Username(), "-p": host.Port()} {
		if value != "" {
			arguments = append(arguments, option, value)
		}
	}
	return cmp.Or(options.Get("command"), "ssh"), append(arguments, "--", host.Hostname())
}

// Read returns the error of ssh if it has failed.
func (c *sshConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		select {
		case <-c.ended:
			if c.failed != nil {
				err = c.failed
			}
		case <-time.After(sshEndTimeout):
		}
	}
	return n, err
}

// Close also kills the process.
func (c *sshConn) Close() error {
	err := c.Conn.Close()
	_ = c.process.Kill() // fails if it has already ended
	<-c.ended
	return err
}

// firstBytes keeps the beginning of what is written to it.
type firstBytes struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write never fails.
func (b *firstBytes) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(p[:min(len(p), sshComplaintBytes-b.text.Len())])
	return len(p), nil
}

// String returns the text without trailing whitespace.
func (b *firstBytes) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(bytes.TrimSpace(b.text.Bytes()))
}
