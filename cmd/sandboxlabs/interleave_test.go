package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// stepping wraps the real storage. A change with steps in its context pauses at each step,
// once per step.
type stepping struct{ domain.Storage }

func (s stepping) OverlaysOnNode(ctx context.Context, host, nodeID string, volumes []string) ([]string, error) {
	defer stepsOf(ctx).stop("nothing is backed by the node's disk")
	return s.Storage.OverlaysOnNode(ctx, host, nodeID, volumes)
}

func (s stepping) CreateOverlay(ctx context.Context, host, volume, imageID string, capacityBytes int64) (string, error) {
	defer stepsOf(ctx).stop("no domain has the new overlay")
	return s.Storage.CreateOverlay(ctx, host, volume, imageID, capacityBytes)
}

func (s stepping) RoomForDisk(ctx context.Context, host string, bytes int64) error {
	defer stepsOf(ctx).stop("the source is about to be frozen")
	return s.Storage.RoomForDisk(ctx, host, bytes)
}

func (s stepping) LayDisk(ctx context.Context, host, volume, base string, capacityBytes int64) (string, error) {
	stepsOf(ctx).stop("the source is frozen")
	defer stepsOf(ctx).stop("no domain has the clone's disk")
	return s.Storage.LayDisk(ctx, host, volume, base, capacityBytes)
}

func (s stepping) DeleteNodeVolume(ctx context.Context, host, volume string, since time.Time) error {
	stepsOf(ctx).stop("no domain has the volume")
	return s.Storage.DeleteNodeVolume(ctx, host, volume, since)
}

// steps runs a change from one storage call to the next.
type steps struct {
	stopped chan struct{} // the change is paused at a step
	goOn    chan struct{}
	ended   chan error // capacity 1
	seen    []string
	over    bool
	err     error
}

type stepsKey struct{}

func stepsOf(ctx context.Context) *steps {
	s, _ := ctx.Value(stepsKey{}).(*steps)
	return s
}

func (s *steps) stop(at string) {
	if s != nil && !slices.Contains(s.seen, at) {
		s.seen = append(s.seen, at)
		s.stopped <- struct{}{}
		<-s.goOn
	}
}

// begin starts a change and runs it to its first step.
func begin(ctx context.Context, change func(context.Context) error) *steps {
	s := &steps{stopped: make(chan struct{}), goOn: make(chan struct{}), ended: make(chan error, 1)}
	go func() { s.ended <- change(context.WithValue(ctx, stepsKey{}, s)) }()
	s.await()
	return s
}

func (s *steps) await() {
	select {
	case <-s.stopped:
	case s.err = <-s.ended:
		s.over = true
	}
}

// advance continues the change by n steps, or to its end if n is negative. It returns
// false if the change ended sooner.
func (s *steps) advance(n int) bool {
	for ; n != 0 && !s.over; n-- {
		s.goOn <- struct{}{}
		s.await()
	}
	return n <= 0
}

// inProcess runs the service's backend in the test process, with its own database, on the
// lab's pools.
func (l *lab) inProcess() *app {
	l.t.Helper()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addConfigFlags(flags)
	if err := flags.Parse(append(l.flags(), "--data-dir="+l.t.TempDir())); err != nil {
		l.t.Fatal(err)
	}
	c, err := loadConfig(flags)
	if err != nil {
		l.t.Fatal(err)
	}
	a, err := wire(l.t.Context(), c, slog.New(slog.DiscardHandler), func(s domain.Storage) domain.Storage { return stepping{s} })
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.runBackend(ctx) })
	l.t.Cleanup(func() {
		stop()
		if err := g.Wait(); err != nil {
			l.t.Error(err)
		}
		a.Close()
	})
	if err := a.ready(ctx, ""); err != nil {
		l.t.Fatal(err)
	}
	return a
}

// TestCloneBesideAnotherChange clones a node in one service while another service deletes
// or clones it. It tests all pairs of steps: each change runs to a step, then both
// continue. Whichever wins, a clone has all of its backing files, and disks that no node
// uses are deleted.
func TestCloneBesideAnotherChange(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"delete", "clone"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newRace(t, kind)
			for _, cloneFirst := range []bool{true, false} {
				if kind == "clone" && !cloneFirst {
					continue // this repeats an earlier case
				}
				for i, longer := 0, true; longer; i++ {
					for j, more := 0, true; more; j++ {
						longer, more = r.run(cloneFirst, i, j)
						if t.Failed() {
							t.Fatalf("this was with the first change at step %d (the clone: %v), and the other at step %d", i, cloneFirst, j)
						}
						more = more && longer
					}
				}
			}
			t.Logf("%d rounds, %d clones", r.round, r.cloned)
		})
	}
}

// race is two services, one of which clones a node.
type race struct {
	*lab
	kind          string // kind of the change that the other service makes
	cloner, other *app
	round, cloned int
}

func newRace(t *testing.T, kind string) *race {
	t.Helper()
	l := newLab(t)
	file := filepath.Join(t.TempDir(), "micro.qcow2")
	if err := os.WriteFile(file, l.qemuImage("128M"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := l.run("image", "add", file, "--base", "micro"); code != 0 {
		t.Fatalf("image add: exit code %d\n%s", code, out)
	}
	return &race{lab: l, kind: kind, cloner: l.inProcess(), other: l.inProcess()}
}

// run advances one of the two changes by i steps, then the other by j steps, then the
// first to its end, and then the other. It returns whether each change has that many
// steps.
func (r *race) run(cloneFirst bool, i, j int) (hasI, hasJ bool) {
	t, ctx := r.t, r.t.Context()
	t.Helper()
	r.round++
	n, _, err := r.cloner.nodes.Create(ctx, domain.Spec{Name: r.name(fmt.Sprint("s", r.round)), ImageID: "micro", RAMMiB: 64, Owner: "admin"})
	if err != nil {
		t.Fatal(err)
	}
	r.write(api.Node{OverlayPath: n.OverlayPath}, "7")
	r.knows(r.other, n.ID, true)
	clones := []domain.Clone{r.newClone(r.cloner, n.ID, "c")}
	changes := []func(context.Context) error{cloneLinked(r.cloner, clones[0])}
	switch r.kind {
	case "delete":
		changes = append(changes, func(ctx context.Context) error { return r.other.nodes.Delete(ctx, n.ID, false) })
	case "clone":
		clones = append(clones, r.newClone(r.other, n.ID, "d"))
		changes = append(changes, cloneLinked(r.other, clones[1]))
	}
	first, last := 0, 1
	if !cloneFirst {
		first, last = 1, 0
	}
	ran := [2]*steps{}
	ran[first] = begin(ctx, changes[first])
	hasI = ran[first].advance(i)
	ran[last] = begin(ctx, changes[last])
	hasJ = ran[last].advance(j)
	ran[first].advance(-1)
	ran[last].advance(-1)
	for _, change := range ran {
		if change.err != nil && !slices.Contains([]fault.Code{fault.NodeBusy, fault.NodeNotFound, fault.Hypervisor}, fault.CodeOf(change.err)) {
			t.Errorf("a change failed: %v", change.err)
		}
	}
	for k, c := range clones {
		r.inspectClone(c, ran[k].err)
	}
	r.inspectSource(n.ID)
	for _, a := range []*app{r.cloner, r.other} {
		r.knows(a, n.ID, false)
	}
	r.wantDisks("")
	return hasI, hasJ
}

func (r *race) newClone(a *app, source, name string) domain.Clone {
	r.t.Helper()
	c, err := a.nodes.NewClone(source, r.name(fmt.Sprint(name, r.round)), "admin", false)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func cloneLinked(a *app, c domain.Clone) func(context.Context) error {
	return func(ctx context.Context) error { _, err := a.nodes.CloneLinked(ctx, c); return err }
}

// knows waits until a service shows a node, or no longer shows it.
func (r *race) knows(a *app, id string, there bool) {
	r.t.Helper()
	until(r.t, promptly, said(fmt.Sprintf("that the node %s is there is %v", id, there)), func() bool {
		_, err := a.nodes.Node(id)
		return (err == nil) == there
	})
}

func (r *race) isDefined(id string) bool {
	_, err := r.tryVirsh("domname", id)
	return err == nil
}

// inspectClone checks the result of a clone request, and deletes it.
func (r *race) inspectClone(c domain.Clone, failed error) {
	r.t.Helper()
	if there := r.isDefined(c.ID); there != (failed == nil) {
		r.t.Fatalf("that there is a clone is %v; its request ended with %v", there, failed)
	}
	if failed != nil {
		return
	}
	r.cloned++
	r.read(api.Node{Name: c.Name, OverlayPath: r.chain(c.ID)[0]}, "7")
	r.knows(r.cloner, c.ID, true)
	if err := r.cloner.nodes.Delete(r.t.Context(), c.ID, false); err != nil {
		r.t.Error(err)
	}
}

// inspectSource checks what remains of the source node, and deletes it.
func (r *race) inspectSource(id string) {
	r.t.Helper()
	if !r.isDefined(id) {
		return
	}
	r.wantDisks(id)
	if err := r.other.nodes.Delete(r.t.Context(), id, false); err != nil {
		r.t.Error(err)
	}
}

// wantDisks waits until the nodes pool contains exactly the files of a node's disk chain.
func (r *race) wantDisks(id string) {
	r.t.Helper()
	var want, got []string
	until(r.t, promptly, func() string { return fmt.Sprintf("the disks are %q; they are %q", want, got) }, func() bool {
		want, got = []string{}, r.volumes(r.nodesPool())
		if id != "" {
			for _, file := range r.chain(id) {
				if strings.Contains(file, r.nodesPool()) {
					want = append(want, filepath.Base(file))
				}
			}
			slices.Sort(want)
		}
		return slices.Equal(want, got)
	})
}

// chain returns the files of a node's disk, top first, following the backing files in
// their headers. The node's definition must not contain anything else, because QEMU would
// use that.
func (r *race) chain(id string) (files []string) {
	r.t.Helper()
	var chain []struct {
		Filename string `json:"filename"`
	}
	disk := r.definition(id, "--inactive").Devices.Disks[0]
	if err := json.Unmarshal([]byte(r.tool("qemu-img", "info", "--output=json", "--backing-chain", disk.Source.File.File)), &chain); err != nil {
		r.t.Fatal(err)
	}
	for _, file := range chain {
		files = append(files, file.Filename)
	}
	told := []string{disk.Source.File.File}
	for b := disk.BackingStore; b != nil && b.Source != nil && b.Source.File != nil; b = b.BackingStore {
		told = append(told, b.Source.File.File)
	}
	if !slices.Equal(files, told) {
		r.t.Errorf("the disk of node %s consists of %q; its definition says %q", id, files, told)
	}
	return files
}
