package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
)

// The moments at which serveUntilCrash kills the process.
const (
	beforeOverlay = "before-overlay" // before an overlay is created
	afterDisk     = "after-disk"     // after an empty disk was created, before a domain uses it
	afterOverlay  = "after-overlay"  // after an overlay was created, before a domain uses it
	beforeVolume  = "before-volume"  // before a node's volume is deleted
	beforeLog     = "before-log"     // before a console log is deleted
	beforeClone   = "before-clone"   // before a clone's disk is created, while its source is frozen
	afterClone    = "after-clone"    // after a clone's disk was created, before a domain uses it
)

// serveUntilCrash is `serve` with a storage that kills the process at the given moment.
func serveUntilCrash(moment string) {
	serveAs(func(*config) {}, func(s domain.Storage) domain.Storage { return mortal{s, moment} })
}

// serveAs is `serve` with a configuration that no options can set, and a wrapper of the
// nodes' storage.
func serveAs(change func(*config), between func(domain.Storage) domain.Storage) {
	err := func() error {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
		addConfigFlags(flags)
		if err := flags.Parse(os.Args[2:]); err != nil {
			return err
		}
		c, err := loadConfig(flags)
		if err != nil {
			return err
		}
		if !c.AuthOff {
			return errors.New("only with auth off")
		}
		log := slog.New(slog.NewTextHandler(os.Stderr, nil))
		change(&c)
		a, err := wire(ctx, c, log, between)
		if err != nil {
			return err
		}
		defer a.Close()
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
		if err != nil {
			return err
		}
		return a.Serve(ctx, l)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// mortal wraps the real storage and kills the process at its moment.
type mortal struct {
	domain.Storage
	moment string
}

func (m mortal) dieAt(moment string) {
	if m.moment == moment {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // wait for the signal
	}
}

func (m mortal) LayDisk(ctx context.Context, host, volume, base string, capacityBytes int64) (string, error) {
	m.dieAt(beforeClone)
	path, err := m.Storage.LayDisk(ctx, host, volume, base, capacityBytes)
	m.dieAt(afterClone)
	return path, err
}

func (m mortal) CreateOverlay(ctx context.Context, host, volume, imageID string, capacityBytes int64) (string, error) {
	m.dieAt(beforeOverlay)
	path, err := m.Storage.CreateOverlay(ctx, host, volume, imageID, capacityBytes)
	if err == nil {
		m.dieAt(afterOverlay)
	}
	return path, err
}

func (m mortal) CreateDisk(ctx context.Context, host, volume string, capacityBytes int64) (string, error) {
	path, err := m.Storage.CreateDisk(ctx, host, volume, capacityBytes)
	if err == nil {
		m.dieAt(afterDisk)
	}
	return path, err
}

func (m mortal) DeleteNodeVolume(ctx context.Context, host, volume string, since time.Time) error {
	m.dieAt(beforeVolume)
	return m.Storage.DeleteNodeVolume(ctx, host, volume, since)
}

func (m mortal) DeleteConsoleLog(ctx context.Context, host, nodeID string) error {
	m.dieAt(beforeLog)
	return m.Storage.DeleteConsoleLog(ctx, host, nodeID)
}

// dieDuring starts the service so that it dies at the given moment, sends a request that
// reaches this moment, and waits until the process has ended.
func (l *lab) dieDuring(moment, method, path string, body any, header ...string) {
	l.t.Helper()
	l.launch([]string{crashVariable + "=" + moment})
	l.awaitHealth("ok")
	l.awaitNodes()
	if a, err := l.try(method, path, body, header...); err == nil {
		l.t.Fatalf("%s %s was answered, though the service was to die: %d %s", method, path, a.status, a.body)
	}
	if code := l.service.code(l.t, promptly); code != -1 {
		l.t.Fatalf("the service ended with %d instead of being killed:\n%s", code, l.service.log)
	}
	l.client.CloseIdleConnections()
}

// awaitNodes waits until the service shows the same domains as virsh.
func (l *lab) awaitNodes() {
	l.t.Helper()
	want := l.domains()
	slices.Sort(want)
	var got []string
	until(l.t, promptly, func() string { return fmt.Sprintf("the nodes are %q; they are %q", want, got) }, func() bool {
		got = nil
		for _, n := range l.nodes() {
			got = append(got, n.ID)
		}
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

// nodes returns the lab's own nodes.
func (l *lab) nodes() []api.Node {
	l.t.Helper()
	var list struct {
		Nodes []api.Node `json:"nodes"`
	}
	l.call(http.MethodGet, "/api/nodes", nil, http.StatusOK, &list)
	return slices.DeleteFunc(list.Nodes, func(n api.Node) bool {
		return !strings.HasPrefix(n.Name, l.prefix) && !strings.Contains(n.OverlayPath, l.prefix)
	})
}

// wantWhole waits until no change is pending, and checks that the pool holds only the
// nodes' disks and that no image is incomplete.
func (l *lab) wantWhole() {
	l.t.Helper()
	until(l.t, promptly, said("no intent is left"), func() bool { return l.rows("intents") == 0 })
	l.awaitNodes()
	disks := []string{}
	for _, n := range l.nodes() {
		disks = append(disks, filepath.Base(n.OverlayPath))
	}
	l.wantVolumes(l.nodesPool(), disks...)
	for _, i := range append(l.images().CustomImages, l.images().BaseImages...) {
		if i.State != "ready" {
			l.t.Errorf("image %s is %s", i.ID, i.State)
		}
	}
}

// TestCrashInACreation crashes after the overlay is created and before a domain uses it.
func TestCrashInACreation(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.addMicro()
	body := request{"name": l.name("new"), "baseImage": "micro"}
	l.dieDuring(afterOverlay, http.MethodPost, "/api/nodes", body)
	if left := l.volumes(l.nodesPool()); len(left) != 1 || l.rows("intents") != 1 {
		t.Fatalf("the crash left volumes %q and %d intents; the test missed its moment", left, l.rows("intents"))
	}
	l.start()
	l.wantWhole()
	l.wantVolumes(l.nodesPool())
	l.call(http.MethodPost, "/api/nodes", body, http.StatusCreated, nil)
	l.wantWhole()
	l.stop()
}

// TestCrashBeforeADiskThatWasKept repeats the request for a node that was undefined with
// virsh. If the request recorded an intent, the process would crash with it, and recovery
// would delete the kept disk as if the request had created it.
func TestCrashBeforeADiskThatWasKept(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.addMicro()
	l.launch([]string{crashVariable + "=" + beforeOverlay})
	l.awaitHealth("ok")
	body := request{"name": l.name("kept"), "baseImage": "micro"}
	if _, err := l.try(http.MethodPost, "/api/nodes", body, "Idempotency-Key", l.prefix); err == nil {
		t.Fatal("the first request did not reach its overlay")
	}
	l.start()
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", body, http.StatusCreated, &n, "Idempotency-Key", l.prefix)
	l.stop()
	l.virsh("undefine", n.ID)

	l.launch([]string{crashVariable + "=" + beforeOverlay})
	l.awaitHealth("ok")
	l.refused(http.MethodPost, "/api/nodes", body, refusal{http.StatusUnprocessableEntity, "idempotency_key_reused", n.ID}, "Idempotency-Key", l.prefix)
	l.kill()
	l.start()
	l.wantVolumes(l.nodesPool(), n.ID+".qcow2")
	l.stop()
}

// TestKeyOfANodeThatIsNotWhollyGone repeats the request for a node whose deletion did not
// complete. Completing the deletion must not delete a new node.
func TestKeyOfANodeThatIsNotWhollyGone(t *testing.T) {
	t.Parallel()
	l := newLabApart(t)
	l.addMicro()
	l.start()
	body := request{"name": l.name("again"), "baseImage": "micro", "resources": request{"ram": 64}}
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", body, http.StatusCreated, &n, "Idempotency-Key", l.prefix)
	logs := filepath.Join(poolsFolder, l.logsPool())
	l.own.in("touch " + logs + "/" + n.ID + ".log && mount --bind " + logs + " " + logs + " && mount -o remount,bind,ro " + logs)
	if a := l.send(http.MethodDelete, "/api/nodes/"+n.ID, nil); a.status < 500 {
		t.Fatalf("the console log cannot be removed, and the deletion was answered with %d %s", a.status, a.body)
	}
	l.refused(http.MethodDelete, "/api/nodes/"+n.ID, nil, refusal{http.StatusNotFound, "node_not_found", n.ID})
	l.refused(http.MethodPost, "/api/nodes", body, refusal{http.StatusConflict, "node_busy", "not wholly gone yet (node.delete"}, "Idempotency-Key", l.prefix)
	l.wantVolumes(l.nodesPool())

	l.own.in("mount -o remount,bind,rw " + logs)
	var again api.Node
	l.call(http.MethodPost, "/api/nodes", body, http.StatusCreated, &again, "Idempotency-Key", l.prefix)
	if again.ID != n.ID || l.rows("intents") != 0 {
		t.Errorf("node %s was made again as %s, with %d intents open", n.ID, again.ID, l.rows("intents"))
	}
	l.wantWhole()
	l.stop()
}

// TestCrashInAWipe crashes before and after the disk is replaced: the node has one
// complete disk, and the other is deleted.
func TestCrashInAWipe(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	n := l.create("wiped")
	l.stop()

	l.dieDuring(afterOverlay, http.MethodPost, "/api/nodes/"+n.ID+"/wipe", nil)
	if left := l.volumes(l.nodesPool()); len(left) != 2 {
		t.Fatalf("the crash left volumes %q; the test missed its moment", left)
	}
	l.start()
	l.wantWhole()
	if got := l.node(n.ID); got.OverlayPath != n.OverlayPath {
		t.Errorf("cut off before the swap, the wipe left the disk %q, want %q", got.OverlayPath, n.OverlayPath)
	}
	l.stop()

	l.dieDuring(beforeVolume, http.MethodPost, "/api/nodes/"+n.ID+"/wipe", nil)
	if left := l.volumes(l.nodesPool()); len(left) != 2 {
		t.Fatalf("the crash left volumes %q; the test missed its moment", left)
	}
	l.start()
	l.wantWhole()
	if got := l.node(n.ID); got.OverlayPath == n.OverlayPath || got.Resources.Disk != n.Resources.Disk {
		t.Errorf("cut off after the swap, the wipe left the disk %q of %d bytes", got.OverlayPath, got.Resources.Disk)
	}
	l.act(n.ID, "wipe", nil)
	l.wantWhole()
	l.stop()
}

// TestCrashInADeletion crashes when the domain is deleted and its disk, and then its log,
// is not.
func TestCrashInADeletion(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	first, second := l.create("first"), l.create("second")
	takeGuest(t)
	l.act(second.ID, "run", nil) // creates a log
	l.stop()

	l.dieDuring(beforeVolume, http.MethodDelete, "/api/nodes/"+first.ID, nil)
	l.wantVolumes(l.nodesPool(), first.ID+".qcow2", second.ID+".qcow2")
	if list := l.virsh("list", "--all", "--uuid"); strings.Contains(list, first.ID) {
		t.Fatal("the domain is still there; the test missed its moment")
	}
	l.start()
	l.wantWhole()
	l.wantVolumes(l.nodesPool(), second.ID+".qcow2")
	l.stop()

	l.dieDuring(beforeLog, http.MethodDelete, "/api/nodes/"+second.ID, nil)
	l.wantVolumes(l.nodesPool())
	l.wantVolumes(l.logsPool(), second.ID+".log")
	l.start()
	l.wantWhole()
	l.wantVolumes(l.logsPool())
	l.stop()
}

// slowUpload sends the first half of the micro image. The returned function sends the rest
// and returns the response.
func (l *lab) slowUpload() (finish func() answer) {
	l.t.Helper()
	micro, err := os.ReadFile(microImage)
	if err != nil {
		l.t.Skipf("the micro image is not built: run `make setup` (%v)", err)
	}
	head, end := uploadHead("slow.qcow2"), "\r\n--b--\r\n"
	conn := l.raw(fmt.Sprintf("POST /api/images/custom HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n%s",
		len(head)+len(micro)+len(end), head))
	if _, err := conn.Write(micro[:len(micro)/2]); err != nil {
		l.t.Fatal(err)
	}
	until(l.t, promptly, said("the upload is under way"), func() bool {
		list := l.images().CustomImages
		return len(list) == 1 && list[0].State == "uploading" && len(l.volumes(l.imagesPool())) == 1
	})
	return func() answer {
		l.t.Helper()
		if _, err := io.Copy(conn, io.MultiReader(bytes.NewReader(micro[len(micro)/2:]), strings.NewReader(end))); err != nil {
			l.t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			l.t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			l.t.Fatal(err)
		}
		return answer{res.StatusCode, res.Header, text}
	}
}

// TestEndInAnUpload ends the service during an upload, by SIGKILL and by a clean shutdown.
// Nothing of the upload remains.
func TestEndInAnUpload(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	l.slowUpload()
	l.kill()
	if left := l.volumes(l.imagesPool()); len(left) != 1 {
		t.Fatalf("the crash left volumes %q; the test missed its moment", left)
	}
	l.start()
	l.wantNoImages()

	l.slowUpload()
	l.stop()
	l.wantVolumes(l.imagesPool())
	for _, table := range []string{"images", "intents", "uploads"} {
		if n := l.rows(table); n > 0 {
			t.Errorf("after an end in order %d rows are left in table %s", n, table)
		}
	}
}

// TestCrashWithAConsole kills the service while a running node's console is watched. The
// node is not affected.
func TestCrashWithAConsole(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.addMicro()
	takeGuest(t)
	l.start()
	n := l.create("lives")
	l.act(n.ID, "run", nil)
	c := l.console(n.ID)
	c.login()
	c.shell("mark=$((6*7))", "")

	pid := func() string {
		text, err := os.ReadFile("/run/libvirt/qemu/" + n.Name + ".pid")
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	pidBefore, idBefore := pid(), l.virsh("domid", n.ID)
	l.kill()
	<-c.done
	if state := l.virsh("domstate", n.ID); state != "running" {
		t.Fatalf("after the crash the domain is %q", state)
	}
	l.start()
	l.wantWhole()
	if got := l.node(n.ID); got.State != "running" || got.VNC == nil {
		t.Errorf("after the restart the node is %+v", got)
	}
	if pid() != pidBefore || l.virsh("domid", n.ID) != idBefore {
		t.Errorf("the guest was started again: QEMU %s is %s, domain %s is %s", pidBefore, pid(), idBefore, l.virsh("domid", n.ID))
	}
	again := l.console(n.ID)
	again.status("connected")
	again.shell("echo still=$mark", "still=42")
	l.delete(n.ID)
	l.stop()
}

// TestCrashesAtAnyMoment repeatedly kills the service while it creates, wipes and deletes
// nodes and adds images.
func TestCrashesAtAnyMoment(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.addMicro()
	small := l.qemuImage("1M")
	for round := range 5 {
		l.start()
		l.wantWhole()
		nodes := l.nodes()
		var wg sync.WaitGroup
		end := make(chan struct{})
		busy := func(work func(i int)) {
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-end:
						return
					default:
						work(i)
					}
				}
			})
		}
		for w := range 3 {
			busy(func(i int) {
				_, _ = l.try(http.MethodPost, "/api/nodes", request{"name": l.name(fmt.Sprintf("r%d-%d-%d", round, w, i)), "baseImage": "micro"})
			})
		}
		busy(func(i int) {
			if i >= len(nodes) {
				<-end
			} else if i%2 == 0 {
				_, _ = l.try(http.MethodDelete, "/api/nodes/"+nodes[i].ID, nil)
			} else {
				_, _ = l.try(http.MethodPost, "/api/nodes/"+nodes[i].ID+"/wipe", nil)
			}
		})
		busy(func(int) {
			body, kind := form("again.qcow2", bytes.NewReader(small))
			_, _ = l.try(http.MethodPost, "/api/images/custom", body, "Content-Type", kind)
		})
		moment := time.Duration(100+rand.IntN(500)) * time.Millisecond
		<-time.After(moment)
		l.service.kill()
		close(end)
		wg.Wait()
		l.client.CloseIdleConnections()
		t.Logf("round %d: killed after %v with %d intents open", round, moment, l.rows("intents"))
	}
	l.start()
	l.wantWhole()
	t.Logf("%d nodes and %d images were completed", len(l.nodes()), len(l.images().CustomImages))
	l.stop()
}
