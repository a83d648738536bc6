package storagepool_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
)

// keepBusy makes virsh clone a volume within a pool, and stops the program that copies it:
// libvirt does not refresh the pool until release is called.
func (p *pools) keepBusy(role string) (release func()) {
	p.t.Helper()
	pool := p.prefix + "-" + role
	source := filepath.Join(p.t.TempDir(), "large.qcow2")
	for _, args := range [][]string{{"qemu-img", "create", "-q", "-f", "qcow2", source, "1G"}, {"qemu-io", "-c", "write -q -P 0x5a 0 256M", source}} {
		if out, err := exec.CommandContext(p.t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			p.t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	virsh(p.t, "vol-create-as", pool, "large", "1M", "--format", "raw")
	virsh(p.t, "vol-upload", "--pool", pool, "large", source)
	if err := os.Remove(source); err != nil {
		p.t.Fatal(err)
	}
	virsh(p.t, "pool-refresh", pool)
	for range 10 {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			virsh(p.t, "vol-clone", "--pool", pool, "large", "clone")
		}()
		copier := 0
		for over := false; copier == 0 && !over; {
			select {
			case <-ended:
				over = true
			default:
				copier = processOf("qemu-img", pool+"/clone")
			}
		}
		if copier != 0 {
			if err := syscall.Kill(copier, syscall.SIGSTOP); err != nil {
				<-ended
				p.t.Skipf("only root can hold what libvirt runs: %v", err)
			}
			release = func() {
				_ = syscall.Kill(copier, syscall.SIGCONT)
				<-ended
			}
			// The copy may have been about to end.
			if exec.CommandContext(p.t.Context(), "virsh", "-q", "-c", "qemu:///system", "pool-refresh", pool).Run() != nil {
				p.t.Cleanup(release)
				return release
			}
			release()
		}
		virsh(p.t, "vol-delete", "--pool", pool, "clone")
	}
	p.t.Fatal("a clone was always over before it could be held")
	return nil
}

// processOf returns the PID of a program with a text in its arguments, 0 if there is none.
func processOf(program, text string) int {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is well-formed
	for _, line := range lines {
		args, err := os.ReadFile(line)
		if err == nil && strings.Contains(filepath.Base(strings.Split(string(args), "\x00")[0]), program) && strings.Contains(string(args), text) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(line)))
			return pid
		}
	}
	return 0
}

// While libvirt copies a large volume in a pool, the pool can still be used, and files
// that libvirt has not seen are found.
func TestBusyPoolIsInUse(t *testing.T) {
	t.Parallel()
	p := open(t)
	base, err := p.Receive(t.Context(), upload.Upload{FileName: "base.qcow2"}, bytes.NewReader(qcow2(t)))
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.NewString()
	disk, err := p.CreateDisk(t.Context(), "local", id+".qcow2", 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	release := p.keepBusy("images")
	p.keepBusy("nodes")
	// Created without libvirt.
	hidden := func(name, on string) string {
		t.Helper()
		file := filepath.Join(filepath.Dir(disk), name)
		out, err := exec.CommandContext(t.Context(), "qemu-img", "create", "-q", "-f", "qcow2", "-b", on, "-F", "qcow2", file).CombinedOutput()
		if err != nil {
			t.Skipf("only root can make a file in the pool: %v: %s", err, out)
		}
		return file
	}
	onDisk, onBase := hidden("on-disk.qcow2", disk), hidden("on-base.qcow2", base.Path)

	began := time.Now()
	if err := p.Service.Refresh(t.Context(), "local"); err != nil {
		t.Errorf("Refresh: %v", err)
	}
	if on, err := p.OverlaysOnNode(t.Context(), "local", id, []string{id + ".qcow2"}); err != nil || !slices.Equal(on, []string{onDisk}) {
		t.Errorf("OverlaysOnNode: %q, %v", on, err)
	}
	if err := p.DeleteImage(t.Context(), base.ID); fault.CodeOf(err) != fault.ImageInUse || !strings.Contains(err.Error(), filepath.Base(onBase)) {
		t.Errorf("DeleteImage of a base: %v", err)
	}
	if err := p.DeleteNodeVolume(t.Context(), "local", "on-base.qcow2", began); err != nil {
		t.Errorf("DeleteNodeVolume: %v", err)
	}
	if _, err := os.Stat(onBase); !os.IsNotExist(err) {
		t.Errorf("what DeleteNodeVolume was to remove: %v", err)
	}
	if err := p.DeleteImage(t.Context(), base.ID); err != nil {
		t.Errorf("DeleteImage: %v", err)
	}
	if err := p.Problem("local"); err != nil {
		t.Errorf("the host's pools: %v", err)
	}
	time.AfterFunc(7*time.Second, release) // later than the timeout of callers that cannot wait for long
	if img, err := p.Receive(t.Context(), upload.Upload{BaseID: "tiny"}, bytes.NewReader(qcow2(t))); err != nil || img.State != image.Ready || img.VirtualBytes != 64<<20 {
		t.Errorf("an upload is %+v, %v", img, err)
	}
	if list := virsh(t, "pool-list", "--all", "--name"); strings.Contains(list, p.prefix+"-images-look") || strings.Contains(list, p.prefix+"-nodes-look") {
		t.Errorf("the pools are %s", list)
	}
}

// A conversion into a busy pool waits until the pool is idle, and loses no data.
func TestConvertIntoABusyPool(t *testing.T) {
	t.Parallel()
	p := open(t)
	raw := rawFile(t, 64<<10)
	img, err := p.Receive(t.Context(), upload.Upload{FileName: "a.vmdk"}, bytes.NewReader(convertTo(t, raw, "-O", "vmdk")))
	if err != nil {
		t.Fatal(err)
	}
	release := p.keepBusy("images")
	waits := make(chan struct{})
	told := &progress{}
	done := make(chan error, 1)
	go func() {
		done <- p.Convert(t.Context(), upload.Conversion{ID: img.ID, Host: "local"}, &noting{progress: told, step: "waiting", again: waits})
	}()
	select {
	case <-waits:
		release()
		err = <-done
	case err = <-done:
		t.Error("it has not waited")
	}
	if err != nil {
		t.Fatal(err)
	}
	if img, err = p.Usable("", img.ID); err != nil {
		t.Fatal(err)
	}
	sameDisk(t, img, raw)
}

// noting closes the channel again when its step begins for the first time.
type noting struct {
	*progress
	step  string
	times int
	again chan struct{}
}

func (n *noting) Begin(step string) {
	n.progress.Begin(step)
	if step == n.step {
		if n.times++; n.times == 1 {
			close(n.again)
		}
	}
}
