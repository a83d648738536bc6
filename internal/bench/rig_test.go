//go:build bench

package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

const (
	libvirtURI = "qemu:///system"
	folder     = "/var/lib/libvirt/images" // where the service creates its pools

	prefixes = "sandboxlabs-bench-"

	// promptly is how long the service may take to start, to stop, or to show what virsh
	// did.
	promptly = 30 * time.Second
)

// rig is the running program, with everything that the bench creates.
type rig struct {
	t       *testing.T
	prefix  string
	files   string // our folder, next to those of the pools
	address string
	client  *http.Client
	service *exec.Cmd
}

// newRig builds the program and starts it. Everything that was created is removed when the
// test ends, even if it fails.
func newRig(ctx context.Context, t *testing.T) *rig {
	t.Helper()
	removeDead(ctx, t)
	files, err := os.MkdirTemp(folder, prefixes)
	if err != nil {
		t.Fatalf("the bench copies files beside libvirt's: %v; run it as a user who may write there", err)
	}
	r := &rig{t: t, prefix: filepath.Base(files), files: files, client: &http.Client{}}
	lock, err := lockFolder(files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		r.stop()
		sweep(ctx, t, r.prefix)
		if err := errors.Join(os.RemoveAll(files), lock.Close()); err != nil {
			t.Error(err)
		}
	})
	program := filepath.Join(files, "sandboxlabs")
	command(ctx, t, "go", "build", "-o", program, "../../cmd/sandboxlabs")
	r.start(ctx, program)
	return r
}

// lockFolder locks a folder until this process ends.
func lockFolder(path string) (*os.File, error) {
	f, err := os.Open(path) //nolint:gosec // our folder
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// removeDead removes what killed runs left: nothing locks their folders.
func removeDead(ctx context.Context, t *testing.T) {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(folder, prefixes+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range folders {
		prefix := filepath.Base(path)
		if strings.Contains(strings.TrimPrefix(prefix, prefixes), "-") {
			continue // a pool's folder, which is removed with its run
		}
		lock, err := lockFolder(path)
		if err != nil {
			continue // that run is still alive
		}
		t.Logf("removing what the run %s left behind", prefix)
		sweep(ctx, t, prefix)
		if err := errors.Join(os.RemoveAll(path), lock.Close()); err != nil {
			t.Error(err)
		}
	}
}

// sweep removes all domains and pools of a prefix.
func sweep(ctx context.Context, t *testing.T, prefix string) {
	t.Helper()
	for _, name := range named(virsh(ctx, t, "list", "--name"), prefix) {
		virsh(ctx, t, "destroy", name)
	}
	for _, name := range named(virsh(ctx, t, "list", "--all", "--name"), prefix) {
		virsh(ctx, t, "undefine", name, "--managed-save", "--snapshots-metadata")
	}
	active := named(virsh(ctx, t, "pool-list", "--name"), prefix)
	for _, pool := range active {
		for line := range strings.Lines(string(virsh(ctx, t, "vol-list", pool).out)) {
			if fields := strings.Fields(line); len(fields) > 0 {
				virsh(ctx, t, "vol-delete", "--pool", pool, fields[0])
			}
		}
		virsh(ctx, t, "pool-destroy", pool)
		virsh(ctx, t, "pool-delete", pool)
	}
	for _, pool := range named(virsh(ctx, t, "pool-list", "--all", "--name"), prefix) {
		virsh(ctx, t, "pool-undefine", pool)
	}
}

// named returns the lines that begin with the prefix of one run.
func named(r ran, prefix string) (names []string) {
	for line := range strings.Lines(string(r.out)) {
		if name := strings.TrimSpace(line); strings.HasPrefix(name, prefix+"-") {
			names = append(names, name)
		}
	}
	return names
}

func virsh(ctx context.Context, t *testing.T, args ...string) ran {
	t.Helper()
	return command(ctx, t, "virsh", virshArgs(args)...)
}

func virshArgs(args []string) []string { return append([]string{"-q", "-c", libvirtURI}, args...) }

func (r *rig) imagesPool() string { return r.prefix + "-images" }
func (r *rig) nodesPool() string  { return r.prefix + "-nodes" }

// start starts the service and waits until it and its pools are ready.
func (r *rig) start(ctx context.Context, program string) {
	r.t.Helper()
	r.address = testground.Address(r.t)
	logPath := filepath.Join(r.files, "service.log")
	log, err := os.Create(logPath) //nolint:gosec // in our folder
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()                                                               // the service has its own descriptor
	cmd := exec.Command(program, "serve", "--config=/dev/null", "--auth=off", "--listen="+r.address, //nolint:noctx // stop ends it, in order
		"--data-dir="+filepath.Join(r.files, "data"), "--hosts=local="+libvirtURI,
		"--images-pool="+r.imagesPool(), "--nodes-pool="+r.nodesPool())
	cmd.Stdout, cmd.Stderr = log, log
	// It must not outlive a killed bench.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.service = cmd
	ready := eventually(ctx, func() bool {
		var health struct{ Status string }
		return r.try(ctx, http.MethodGet, "/api/health", nil, http.StatusOK, &health) == nil && health.Status == "ok" &&
			len(named(virsh(ctx, r.t, "pool-list", "--name"), r.prefix)) == 3
	})
	if !ready {
		text, _ := os.ReadFile(logPath) //nolint:gosec // in our folder
		r.t.Fatalf("the service does not become ready:\n%s", text)
	}
}

// eventually polls yes until it returns true or promptly has passed.
func eventually(ctx context.Context, yes func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// stop stops the service as an operator would.
func (r *rig) stop() {
	if r.service == nil {
		return
	}
	r.client.CloseIdleConnections()
	if err := r.service.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Error(err)
	}
	late := time.AfterFunc(promptly, func() {
		r.t.Error("the service does not stop")
		_ = r.service.Process.Kill()
	})
	defer late.Stop()
	if err := r.service.Wait(); err != nil {
		r.t.Errorf("the service ended with %v", err)
	}
}

// do sends a request that must succeed.
func (r *rig) do(ctx context.Context, method, path string, body any, status int, answer any) {
	r.t.Helper()
	if err := r.try(ctx, method, path, body, status, answer); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) try(ctx context.Context, method, path string, body any, status int, answer any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.address+path, content)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return r.send(req, status, answer)
}

// send reads the complete response, and decodes it into answer unless that is nil.
func (r *rig) send(req *http.Request, status int, answer any) error {
	res, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != status {
		return fmt.Errorf("%s %s: %s instead of %d: %s", req.Method, req.URL.Path, res.Status, status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}

// image is the part of an image that the bench needs.
type image struct{ ID, Path, SHA256 string }

// upload sends a file in one multipart request.
func (r *rig) upload(ctx context.Context, path string) image {
	r.t.Helper()
	f, err := os.Open(path) //nolint:gosec // in our folder
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		r.t.Fatal(err)
	}
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	if _, err := w.CreateFormFile("image", filepath.Base(path)); err != nil {
		r.t.Fatal(err)
	}
	head := bytes.Clone(form.Bytes())
	form.Reset()
	if err := w.Close(); err != nil {
		r.t.Fatal(err)
	}
	body := io.MultiReader(bytes.NewReader(head), f, bytes.NewReader(form.Bytes()))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.address+"/api/images/custom", body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.ContentLength = int64(len(head)) + info.Size() + int64(form.Len())
	req.Header.Set("Content-Type", w.FormDataContentType())
	var answer struct{ Image image }
	if err := r.send(req, http.StatusCreated, &answer); err != nil {
		r.t.Fatal(err)
	}
	return answer.Image
}

// uploadBlank creates the image that the nodes are backed by. Nothing boots from it.
func (r *rig) uploadBlank(ctx context.Context) image {
	r.t.Helper()
	path := filepath.Join(r.files, "blank.qcow2")
	command(ctx, r.t, "qemu-img", "create", "-q", "-f", "qcow2", path, "64M")
	return r.upload(ctx, path)
}

func (r *rig) removeImage(ctx context.Context, i image) {
	r.t.Helper()
	r.do(ctx, http.MethodDelete, "/api/images/"+i.ID, nil, http.StatusNoContent, nil)
}

func (r *rig) removeNodes(ctx context.Context, ids []string) {
	r.t.Helper()
	for _, id := range ids {
		r.do(ctx, http.MethodDelete, "/api/nodes/"+id, nil, http.StatusNoContent, nil)
	}
}

// findNothing checks that what was deleted is gone.
func (r *rig) findNothing(ctx context.Context) {
	r.t.Helper()
	for _, name := range named(virsh(ctx, r.t, "list", "--all", "--name"), r.prefix) {
		r.t.Errorf("left over: domain %s", name)
	}
	for _, pool := range named(virsh(ctx, r.t, "pool-list", "--name"), r.prefix) {
		virsh(ctx, r.t, "pool-refresh", pool)
		if text := strings.TrimSpace(string(virsh(ctx, r.t, "vol-list", pool).out)); text != "" {
			r.t.Errorf("left over in pool %s:\n%s", pool, text)
		}
	}
}
