package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

// leftoversPart is the name of the last part in the summary.
const leftoversPart = "leftovers"

// ground is the machine under a run of tests. It knows what the run leaves behind: tests have the
// run's mark in the names of what they make, in their environment, and in the path of their
// temporary folders.
type ground struct {
	mark   string
	tmp    string
	before map[string]bool // what was there
	kernel map[string]bool // lines of the kernel's log
	ending time.Duration   // how long a process that was told to end may take
}

// Programs of the tests. Where one of them crashes, the kernel's log has a line.
var crash = regexp.MustCompile(`(qemu-system|libvirtd|virtlogd|virtqemud|guacd|postgres|sandboxlabs|chrom)\S*\[\d+\].*(segfault|general protection|trap)|Killed process \d+ \((qemu-system|libvirtd|sandboxlabs)`)

// newGround makes the run's folder for temporary files, and takes stock.
func newGround(ctx context.Context) (*ground, error) {
	mark := strings.ToLower(rand.Text()[:5])
	g := &ground{mark: mark, tmp: filepath.Join(os.TempDir(), "sbt-"+mark), kernel: map[string]bool{}, ending: 15 * time.Second}
	// QEMU's user and PostgreSQL's have to get into it.
	if err := os.Mkdir(g.tmp, 0o755); err != nil { //nolint:gosec // what is in it has its own modes
		return nil, err
	}
	g.before = g.things(ctx)
	for _, line := range kernelLog(ctx) {
		g.kernel[line] = true
	}
	return g, nil
}

// environment is that of the run's tests.
func (g *ground) environment() []string {
	return append(os.Environ(), "TMPDIR="+g.tmp, testground.MarkVariable+"="+g.mark)
}

// things lists what is in libvirt, in shared folders and in control groups.
func (g *ground) things(ctx context.Context) map[string]bool {
	all := map[string]bool{}
	for what, command := range map[string][]string{
		"domain": {"list", "--all", "--name"}, "network": {"net-list", "--all", "--name"}, "pool": {"pool-list", "--all", "--name"},
	} {
		out, _ := exec.CommandContext(ctx, "virsh", append([]string{"-q", "-c", "qemu:///system"}, command...)...).Output() //nolint:gosec // fixed
		for name := range strings.FieldsSeq(string(out)) {
			all[what+" "+name] = true
		}
	}
	for _, folder := range []string{"/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/var/lib/libvirt/images"} {
		entries, _ := os.ReadDir(folder)
		for _, e := range entries {
			all["file "+filepath.Join(folder, e.Name())] = true
		}
	}
	delete(all, "file "+g.tmp)
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/machine/qemu-*") // the pattern is valid
	for _, group := range groups {
		all["control group "+group] = true
	}
	return all
}

// kernelLog returns what the kernel has said, and nothing if only root may read it.
func kernelLog(ctx context.Context) []string {
	out, _ := exec.CommandContext(ctx, "dmesg").Output()
	return strings.Split(string(out), "\n")
}

// leave removes what the run may have left in its folder. It prints what is new on the machine, and
// fails where that is the run's.
func (g *ground) leave(ctx context.Context, out io.Writer) part {
	begin := time.Now()
	left, others := g.leftovers(ctx)
	p := part{target: leftoversPart, took: time.Since(begin)}
	for _, thing := range others {
		fmt.Fprintf(out, "suite: new since the beginning, perhaps by others: %s\n", thing)
	}
	for _, thing := range left {
		fmt.Fprintf(out, "suite: left behind: %s\n", thing)
	}
	if len(left) > 0 {
		p.err = fmt.Errorf("the tests left %d things behind, listed above", len(left))
	}
	return p
}

// leftovers removes the run's folder, and returns what the run left, and what else is new: that may
// be another user's.
func (g *ground) leftovers(ctx context.Context) (left, others []string) {
	deadline := time.Now().Add(g.ending)
	for left = g.processes(); len(left) > 0 && time.Now().Before(deadline); left = g.processes() {
		time.Sleep(100 * time.Millisecond)
	}
	entries, err := os.ReadDir(g.tmp)
	if err != nil {
		left = append(left, err.Error())
	}
	for _, e := range entries {
		left = append(left, "temporary file "+e.Name())
	}
	if err := os.RemoveAll(g.tmp); err != nil {
		left = append(left, err.Error())
	}
	for thing := range g.things(ctx) {
		switch {
		case strings.Contains(thing, g.mark):
			left = append(left, thing)
		case !g.before[thing]:
			others = append(others, thing)
		}
	}
	for _, line := range kernelLog(ctx) {
		if !g.kernel[line] && crash.MatchString(line) {
			left = append(left, "in the kernel's log: "+line)
		}
	}
	slices.Sort(left)
	slices.Sort(others)
	return left, others
}

// processes lists those that have the mark in their environment or their arguments.
func (g *ground) processes() (found []string) {
	folders, _ := filepath.Glob("/proc/[0-9]*") // the pattern is valid
	for _, folder := range folders {
		arguments, _ := os.ReadFile(filepath.Join(folder, "cmdline")) // it may have ended
		environment, _ := os.ReadFile(filepath.Join(folder, "environ"))
		if bytes.Contains(arguments, []byte(g.mark)) || bytes.Contains(environment, []byte(g.mark)) {
			line := strings.ReplaceAll(strings.TrimRight(string(arguments), "\x00"), "\x00", " ")
			found = append(found, fmt.Sprintf("process %s: %.120s", filepath.Base(folder), line))
		}
	}
	return found
}
