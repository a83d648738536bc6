package main

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// debianVariable names the environment variable with the path of the image from
// images/debian. TestDebian is skipped if it is not set; `make test-debian` sets it.
const debianVariable = "SANDBOXLABS_DEBIAN_IMAGE"

// debianPatience is the timeout for booting a whole system with software emulation.
const debianPatience = 15 * time.Minute

// TestDebian checks that a distribution's cloud-init applies a node's settings.
func TestDebian(t *testing.T) {
	path := os.Getenv(debianVariable)
	if path == "" {
		t.Skipf("it takes minutes: `make test-debian` runs it, with %s", debianVariable)
	}
	t.Parallel()
	l := newLab(t)
	l.start()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	a := l.upload("debian.qcow2", file, "osType", "linux")
	var image api.Uploaded
	if err := a.decode(&image); err != nil || a.status != http.StatusCreated {
		t.Fatalf("upload: %d %s", a.status, a.body)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	const size = 5 << 30
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", request{
		"name": l.name("debian"), "image": image.Image.ID, "resources": request{"ram": 1024, "cpus": 2, "disk": size},
		"cloudInit": request{
			"hostname": "greenhouse", "sshKeys": []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))},
			"userData":      "#cloud-config\nwrite_files:\n- {path: /etc/grown, content: grown}\nruncmd:\n- [sh, -c, 'echo again >>/etc/boots']\n",
			"networkConfig": "version: 2\nethernets:\n  lan:\n    match: {name: 'eth*'}\n    dhcp4: true\n    addresses: [198.51.100.7/24]\n",
		},
	}, http.StatusCreated, &n)

	c := l.console(n.ID)
	l.act(n.ID, "run", nil)
	begun := time.Now()
	c.wait("the name in the login's prompt", debianPatience, func() bool { return bytes.Contains(c.all, []byte("greenhouse login: ")) })
	t.Logf("its login came after %v", time.Since(begun).Round(time.Second))
	s := l.sshTo(n.ID, signer)
	s.says("cloud-init status --wait", "status: done")
	t.Logf("cloud-init was done after %v", time.Since(begun).Round(time.Second))
	s.says("hostname; cat /etc/grown; cat /etc/boots", "greenhouse\ngrownagain\n")
	s.says("ip -4 -brief address show eth0", "198.51.100.7/24")
	s.says("readlink /dev/disk/by-label/cidata", "sr0")
	if mib, err := strconv.Atoi(strings.TrimSpace(s.run("df --output=size --block-size=1M / | tail -n 1"))); err != nil || mib < size>>20*9/10 {
		t.Errorf("the root file system has %d MiB of a disk of %d: %v", mib, size>>20, err)
	}
	// The guest agent reports the static address, for which there is no lease.
	if out := l.virsh("domifaddr", n.ID, "--source", "agent"); !strings.Contains(out, "198.51.100.7") {
		t.Errorf("the agent reports\n%s", out)
	}

	// The power button, and a second boot of the same instance.
	begun = time.Now()
	l.act(n.ID, "stop", nil)
	until(t, debianPatience, said("it is off"), func() bool { return l.node(n.ID).State == "stopped" })
	t.Logf("it was off %v after its power button", time.Since(begun).Round(time.Second))
	l.act(n.ID, "run", nil)
	s = l.sshTo(n.ID, signer)
	s.says("cloud-init status --wait", "status: done")
	s.says("hostname; cat /etc/boots", "greenhouse\nagain\n")
	l.delete(n.ID)
	l.wantVolumes(l.nodesPool())
	l.stop()
}

// guest is a guest that is reached by SSH.
type guest struct {
	t      *testing.T
	client *ssh.Client
}

// sshTo signs in as Debian's default user as soon as the guest accepts connections.
func (l *lab) sshTo(id string, key ssh.Signer) guest {
	l.t.Helper()
	g := guest{t: l.t}
	var last error
	until(l.t, debianPatience, func() string { return fmt.Sprintf("ssh works: %v", last) }, func() bool {
		last = fmt.Errorf("no address among %q", l.node(id).Addresses)
		for _, address := range l.node(id).Addresses {
			if !strings.HasPrefix(address, "192.168.") {
				continue // not reachable from this machine
			}
			g.client, last = ssh.Dial("tcp", net.JoinHostPort(address, "22"), &ssh.ClientConfig{
				User: "debian", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, Timeout: promptly,
				HostKeyCallback: ssh.InsecureIgnoreHostKey(),
			})
		}
		return last == nil
	})
	l.t.Cleanup(func() { _ = g.client.Close() })
	return g
}

// run returns the output of a command.
func (g guest) run(command string) string {
	g.t.Helper()
	session, err := g.client.NewSession()
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	out, err := session.CombinedOutput(command)
	if err != nil {
		g.t.Errorf("%s: %v", command, err)
	}
	return string(out)
}

func (g guest) says(command, want string) {
	g.t.Helper()
	if out := g.run(command); !strings.Contains(out, want) {
		g.t.Errorf("%s: it says %q, want %q", command, out, want)
	}
}
