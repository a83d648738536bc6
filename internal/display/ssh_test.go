package display

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/sandboxlabs/sandboxlabs/internal/display/rfbtest"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// sshServer makes this machine a host that is only reachable with ssh.
type sshServer struct {
	t       *testing.T
	config  *ssh.ServerConfig
	refuses atomic.Bool // connections to screens
	work    sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

// sshURI starts a server with a new key, and returns the URI with which libvirt reaches
// this machine through it, using the machine's ssh program.
func sshURI(t *testing.T) (uri string, s *sshServer) {
	t.Helper()
	dir := t.TempDir()
	newKey := func() (ssh.Signer, ed25519.PrivateKey) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.NewSignerFromKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return signer, key
	}
	own, _ := newKey()
	client, key := newKey()
	s = &sshServer{t: t, config: &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if c.User() != "operator" || string(k.Marshal()) != string(client.PublicKey().Marshal()) {
			return nil, fmt.Errorf("a stranger: %s", c.User())
		}
		return nil, nil
	}}}
	s.config.AddHostKey(own)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"key":   string(pem.EncodeToMemory(block)),
		"known": knownhosts.Line([]string{l.Addr().String()}, own.PublicKey()) + "\n",
		"ssh":   "#!/bin/sh\nexec ssh -F /dev/null -o UserKnownHostsFile=" + dir + "/known \"$@\"\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			s.work.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		for _, conn := range s.conns {
			_ = conn.Close()
		}
		s.mu.Unlock()
		s.work.Wait()
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	query := url.Values{"keyfile": {dir + "/key"}, "command": {dir + "/ssh"}}
	return "qemu+ssh://operator@127.0.0.1:" + port + "/system?" + query.Encode(), s
}

func (s *sshServer) serve(conn net.Conn) {
	_, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		_ = conn.Close()
		return
	}
	s.work.Go(func() { ssh.DiscardRequests(requests) })
	for c := range channels {
		s.work.Go(func() {
			switch c.ChannelType() {
			case "session":
				s.session(c)
			case "direct-tcpip":
				s.forward(c)
			default:
				_ = c.Reject(ssh.UnknownChannelType, "not here")
			}
		})
	}
}

// session runs a command, as sshd does.
func (s *sshServer) session(c ssh.NewChannel) {
	channel, requests, err := c.Accept()
	if err != nil {
		return
	}
	defer func() { _ = channel.Close() }()
	for r := range requests {
		var line struct{ Text string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &line) != nil {
			_ = r.Reply(false, nil)
			continue
		}
		_ = r.Reply(true, nil)
		cmd := exec.Command("sh", "-c", line.Text)
		cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
		in, err := cmd.StdinPipe()
		if err != nil || cmd.Start() != nil {
			return
		}
		s.work.Go(func() { _, _ = io.Copy(in, channel); _ = in.Close() })
		_ = cmd.Wait()
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(cmd.ProcessState.ExitCode())}))
		return
	}
}

// forward connects to the address that the client requests, as sshd does for `ssh -W`.
func (s *sshServer) forward(c ssh.NewChannel) {
	var to struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	if s.refuses.Load() || ssh.Unmarshal(c.ExtraData(), &to) != nil {
		_ = c.Reject(ssh.Prohibited, "not to there")
		return
	}
	far, err := net.Dial("tcp", net.JoinHostPort(to.Host, fmt.Sprint(to.Port)))
	if err != nil {
		_ = c.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	channel, requests, err := c.Accept()
	if err != nil {
		_ = far.Close()
		return
	}
	s.work.Go(func() { ssh.DiscardRequests(requests) })
	s.work.Go(func() { _, _ = io.Copy(far, channel); _ = far.Close() })
	_, _ = io.Copy(channel, far)
	_ = channel.Close()
}

// TestViewThroughSSH opens a screen that listens on the loopback address of a host that
// libvirt reaches with ssh.
func TestViewThroughSSH(t *testing.T) {
	uri, server := sshURI(t)
	l, g := newLab(t, uri), runGuest(t)
	v := l.view(g.id, ViewOptions{})
	prompt := v.settle()
	if err := v.Press(rfbtest.Escape); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the viewer sees the menu", func() bool { return rfbtest.Differ(prompt, v.look()) > cursorPixels })
	g.virsh("destroy")
	if err := v.ended(); fault.CodeOf(err) != fault.NodeNotRunning {
		t.Errorf("the view ended with %v", err)
	}
	g.virsh("start")
	server.refuses.Store(true)
	_, err := l.Open(t.Context(), g.id, ViewOptions{})
	if fault.CodeOf(err) != fault.HostUnreachable {
		t.Errorf("ssh that refuses: %v", err)
	}
	if len(l.views) > 1 {
		t.Errorf("%d views are left", len(l.views))
	}
}

func TestSSHCommand(t *testing.T) {
	host := sshHost("qemu+ssh://ann@[fd00::1]:2222/system?keyfile=/k&no_verify=1&command=/c")
	program, arguments := sshCommand(host, "127.0.0.1:5901")
	text := strings.Join(arguments, " ")
	for _, want := range []string{"-W 127.0.0.1:5901 ", "BatchMode=yes", "StrictHostKeyChecking=no", "-i /k", "-l ann", "-p 2222"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if program != "/c" || !strings.HasSuffix(text, " -- fd00::1") {
		t.Errorf("%s %s", program, text)
	}
	for _, uri := range []string{"qemu:///system", "qemu+tls://h/system", "qemu+unix:///system", "qemu+libssh://h/system"} {
		if sshHost(uri) != nil {
			t.Errorf("%s is reached by the ssh program", uri)
		}
	}
}
