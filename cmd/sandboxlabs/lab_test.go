package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

const (
	// The timeout for what a guest or a loaded machine has to do.
	patience = 2 * time.Minute
	// promptly is the timeout for what the service does without a guest.
	promptly = 20 * time.Second

	microImage  = "../../images/build/micro.qcow2"
	poolsFolder = "/var/lib/libvirt/images"
	libvirtURI  = "qemu:///system"
)

// lab is an installation of the service with its own data-dir, pools and port. Everything
// that it creates in libvirt has its prefix or is in its pools.
type lab struct {
	t       *testing.T
	prefix  string
	dataDir string
	address string
	auth    bool
	tls     bool // the client uses HTTPS
	client  *http.Client
	token   string     // sent with every request if set
	cookie  string     // sent if token is empty
	own     *otherHost // the host whose libvirt it uses; nil: the machine's
	within  []string   // a command that starts the program; see launchOnSmallDisk
	service *process
	all     []*process
}

// newLab prepares a lab without starting anything. Everything that the lab created is
// removed when the test ends, even if it fails.
func newLab(t *testing.T) *lab {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "virsh", "-c", libvirtURI, "version").CombinedOutput(); err != nil {
		t.Fatalf("these tests need libvirt: %v\n%s", err, out)
	}
	transport := &http.Transport{}
	l := &lab{
		t: t, prefix: testground.Name(), dataDir: t.TempDir(), address: testground.Address(t),
		client: &http.Client{Transport: transport},
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		for _, p := range l.all {
			p.kill()
		}
		l.remove()
		l.inspect()
	})
	return l
}

// newRunningLab is newLab with the micro image in the pool and the service running.
func newRunningLab(t *testing.T) *lab {
	t.Helper()
	l := newLab(t)
	l.addMicro()
	l.start()
	return l
}

// newLabApart is newLab with its own libvirtd and network, which the test may change in
// any way. They are removed with everything in them.
func newLabApart(t *testing.T) *lab {
	t.Helper()
	h := startOtherHost(t, "--net")
	l := newLab(t)
	l.own = h
	return l
}

// uri returns the libvirt URI of the lab for virsh.
func (l *lab) uri() string {
	if l.own != nil {
		return l.own.uri()
	}
	return libvirtURI
}

// guests limits how many tests run guests at a time, since emulation uses a CPU for each
// guest.
var guests = make(chan struct{}, 2)

// takeGuest waits for a free slot in guests and keeps it until the test ends.
func takeGuest(t *testing.T) {
	t.Helper()
	select {
	case guests <- struct{}{}:
		t.Cleanup(func() { <-guests })
	case <-t.Context().Done():
		t.Fatal("the test ended while it waited for its turn to run a guest")
	}
}

func (l *lab) imagesPool() string { return l.prefix + "-images" }
func (l *lab) nodesPool() string  { return l.prefix + "-nodes" }
func (l *lab) logsPool() string   { return l.prefix + "-nodes-logs" }

// name returns a node name that no other lab uses.
func (l *lab) name(s string) string { return l.prefix + "-" + s }

func (l *lab) url(path string) string {
	if l.tls {
		return "https://" + l.address + path
	}
	return "http://" + l.address + path
}

// flags returns the lab's options, which every command accepts.
func (l *lab) flags() []string {
	auth := "off"
	if l.auth {
		auth = "on"
	}
	flags := []string{
		"--config=/dev/null", "--listen=" + l.address, "--data-dir=" + l.dataDir, "--auth=" + auth,
		"--images-pool=" + l.imagesPool(), "--nodes-pool=" + l.nodesPool(),
	}
	if l.own != nil {
		flags = append(flags, "--hosts=local="+l.own.uri(), "--user-network=on") // it has no default network
	}
	return flags
}

// process is a running instance of the program.
type process struct {
	cmd    *exec.Cmd
	out    *output // standard output
	log    *output // standard error
	exited chan struct{}
}

// output collects what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// spawn starts the program. env may override variables or set more.
func (l *lab) spawn(env []string, args ...string) *process {
	l.t.Helper()
	p := &process{out: &output{}, log: &output{}, exited: make(chan struct{})}
	command := append(append(slices.Clone(l.within), os.Args[0]), args...)
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Env = append(append(os.Environ(), runVariable+"=1"), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.all = append(l.all, p)
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	return p
}

// code waits for the process to end and returns its exit code.
func (p *process) code(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		t.Fatalf("the program has not ended after %v; it printed:\n%s%s", within, p.out, p.log)
		return -1
	}
}

// kill sends SIGKILL and waits for the process to end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// run runs a command of the program and waits for it.
func (l *lab) run(args ...string) (out string, code int) {
	l.t.Helper()
	p := l.spawn(nil, append(args, l.flags()...)...)
	code = p.code(l.t, patience)
	return p.out.String() + p.log.String(), code
}

// addMicro adds the micro image to the lab's pool, as `make setup` does.
func (l *lab) addMicro() {
	l.t.Helper()
	if _, err := os.Stat(microImage); err != nil {
		l.t.Skipf("the micro image is not built, so no guest can be tried: run `make setup` (%v)", err)
	}
	if out, code := l.run("image", "add", microImage, "--base", "micro"); code != 0 || !strings.Contains(out, "Image micro is ready") {
		l.t.Fatalf("image add: exit code %d\n%s", code, out)
	}
}

// start starts the service and waits until it is ready.
func (l *lab) start() {
	l.t.Helper()
	l.launch(nil)
	l.awaitHealth("ok")
}

// launch starts the service without waiting until it is ready.
func (l *lab) launch(env []string, flags ...string) {
	l.t.Helper()
	l.service = l.spawn(env, append(append([]string{"serve"}, l.flags()...), flags...)...)
}

// awaitHealth waits until GET /api/health reports status.
func (l *lab) awaitHealth(status string) {
	l.t.Helper()
	last := ""
	until(l.t, promptly*2, func() string { return "health is " + status + "; last: " + last + "\n" + l.service.log.String() }, func() bool {
		select {
		case <-l.service.exited:
			l.t.Fatalf("the service ended on its own:\n%s%s", l.service.out, l.service.log)
		default:
		}
		a, err := l.try(http.MethodGet, "/api/health", nil)
		if err != nil {
			last = err.Error()
			return false
		}
		last = string(a.body)
		var h struct {
			Status string `json:"status"`
		}
		return a.status == http.StatusOK && a.decode(&h) == nil && h.Status == status
	})
}

// stop shuts the service down and expects a clean exit.
func (l *lab) stop() {
	l.t.Helper()
	_ = l.service.cmd.Process.Signal(syscall.SIGTERM)
	if code := l.service.code(l.t, promptly); code != 0 {
		l.t.Errorf("the service ended with %d:\n%s", code, l.service.log)
	}
	l.client.CloseIdleConnections()
}

// kill kills the service with SIGKILL.
func (l *lab) kill() {
	l.service.kill()
	l.client.CloseIdleConnections()
}

// until polls a condition. what returns its description for the failure message.
func until(t *testing.T, within time.Duration, what func() string, met func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !met() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what())
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatalf("the test ended before: %s", what())
		}
	}
}

// said returns a what for until that is only a text.
func said(text string) func() string { return func() string { return text } }

// virsh runs virsh, which sees the same as a user's other tools.
func (l *lab) virsh(args ...string) string {
	l.t.Helper()
	out, err := l.tryVirsh(args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

func (l *lab) tryVirsh(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "virsh", append([]string{"-q", "-c", l.uri()}, args...)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("virsh %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// volumes lists the names of a pool's volumes after a refresh from disk.
func (l *lab) volumes(pool string) []string {
	l.t.Helper()
	l.virsh("pool-refresh", pool)
	names := []string{}
	for line := range strings.Lines(l.virsh("vol-list", pool)) {
		if fields := strings.Fields(line); len(fields) > 0 {
			names = append(names, fields[0])
		}
	}
	slices.Sort(names)
	return names
}

// wantVolumes expects a pool to contain exactly these volumes.
func (l *lab) wantVolumes(pool string, want ...string) {
	l.t.Helper()
	slices.Sort(want)
	if got := l.volumes(pool); !slices.Equal(got, want) {
		l.t.Errorf("pool %s holds %q, want %q", pool, got, want)
	}
}

// definition parses the output of virsh dumpxml.
func (l *lab) definition(domain string, flags ...string) libvirtxml.Domain {
	l.t.Helper()
	var d libvirtxml.Domain
	if err := d.Unmarshal(l.virsh(append([]string{"dumpxml", domain}, flags...)...)); err != nil {
		l.t.Fatal(err)
	}
	return d
}

// domains lists the domains of the lab, which it recognises by their name or their disk.
func (l *lab) domains() []string {
	list, err := l.tryVirsh("list", "--all", "--uuid")
	if err != nil {
		l.t.Error(err)
	}
	var ours []string
	for id := range strings.FieldsSeq(list) {
		// Domains of other tests are created and removed meanwhile.
		if text, err := l.tryVirsh("dumpxml", id); err == nil && strings.Contains(text, l.prefix) {
			ours = append(ours, id)
		}
	}
	return ours
}

// remove removes everything of the lab from libvirt.
func (l *lab) remove() {
	if l.own != nil {
		return // removed with its host
	}
	for _, id := range l.domains() {
		_, _ = l.tryVirsh("destroy", id)
		_, _ = l.tryVirsh("undefine", id, "--nvram", "--managed-save", "--snapshots-metadata")
	}
	for _, pool := range []string{l.imagesPool(), l.nodesPool(), l.logsPool()} {
		_, _ = l.tryVirsh("pool-destroy", pool+"-work") // left by a service that was killed
		if _, err := l.tryVirsh("pool-refresh", pool); err == nil {
			list, _ := l.tryVirsh("vol-list", pool)
			for line := range strings.Lines(list) {
				if fields := strings.Fields(line); len(fields) > 0 {
					_, _ = l.tryVirsh("vol-delete", fields[0], "--pool", pool)
				}
			}
			_, _ = l.tryVirsh("pool-destroy", pool)
		}
		// Only the empty folder: inspect reports files that are still in it.
		_ = os.Remove(filepath.Join(poolsFolder, pool))
		_, _ = l.tryVirsh("pool-undefine", pool)
	}
}

// inspect checks at the end that nothing of the lab is left, and that no process of it
// found a data race.
func (l *lab) inspect() {
	if l.own == nil {
		l.inspectHost()
	}
	for _, p := range l.all {
		if log := p.log.String(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic: ") {
			l.t.Errorf("%q: a data race or a panic:\n%s", p.cmd.Args[1:], log)
		} else if l.t.Failed() {
			l.t.Logf("%q printed:\n%s%s", p.cmd.Args[1:], p.out, tail(log))
		}
	}
}

func (l *lab) inspectHost() {
	for _, id := range l.domains() {
		l.t.Errorf("domain %s is left behind", id)
	}
	if pools, err := l.tryVirsh("pool-list", "--all", "--name"); err != nil || strings.Contains(pools, l.prefix) {
		l.t.Errorf("pools are left behind: %v\n%s", err, pools)
	}
	if files, _ := filepath.Glob(filepath.Join(poolsFolder, l.prefix+"*")); len(files) > 0 {
		l.t.Errorf("files are left behind: %q", files)
	}
}

func tail(text string) string {
	const most = 6000
	if len(text) <= most {
		return text
	}
	return "…" + text[len(text)-most:]
}

// defineForeign defines a domain in libvirt that the service did not create.
func (l *lab) defineForeign(name string, change func(*libvirtxml.Domain)) (id string) {
	l.t.Helper()
	d := libvirtxml.Domain{
		Type: "qemu", Name: name,
		Memory: &libvirtxml.DomainMemory{Value: 64, Unit: "MiB"},
		VCPU:   &libvirtxml.DomainVCPU{Value: 1},
		OS:     &libvirtxml.DomainOS{Type: &libvirtxml.DomainOSType{Arch: "x86_64", Machine: "q35", Type: "hvm"}},
	}
	if change != nil {
		change(&d)
	}
	l.define(d)
	return l.virsh("domuuid", name)
}

func (l *lab) define(d libvirtxml.Domain) {
	l.t.Helper()
	text, err := xml.Marshal(d)
	if err != nil {
		l.t.Fatal(err)
	}
	file := filepath.Join(l.t.TempDir(), "domain.xml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.virsh("define", file)
}
