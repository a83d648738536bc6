package storagepool_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/upload"
)

// small gives a pool its own file system of a size in MiB, and returns its folder.
func (p *pools) small(role, mebibytes string) (folder string) {
	p.t.Helper()
	nodes, err := p.NodesFolder("local")
	if err != nil {
		p.t.Fatal(err)
	}
	folder = strings.TrimSuffix(nodes, "nodes") + role
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "mode=755,size="+mebibytes+"m"); err != nil {
		p.t.Skipf("only root can mount a file system: %v", err)
	}
	p.t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			p.t.Error(err)
		}
	})
	if err := p.Service.Refresh(p.t.Context(), "local"); err != nil {
		p.t.Fatal(err)
	}
	return folder
}

// occupy creates a file of a size in MiB without libvirt.
func occupy(t *testing.T, folder string, mebibytes int64) {
	t.Helper()
	f, err := os.Create(filepath.Join(folder, ".occupied"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, mebibytes<<20); err != nil {
		t.Fatal(err)
	}
}

func (p *pools) status(role string) storagepool.PoolStatus {
	for _, st := range p.Pools("local") {
		if st.Role == role {
			return st
		}
	}
	p.t.Errorf("nothing is known of the pool for %s", role)
	return storagepool.PoolStatus{}
}

// What guests write is noticed without a refresh by the user, in each pool.
func TestPoolsFillUp(t *testing.T) {
	t.Parallel()
	p := open(t)
	roles := []string{"nodes", "logs"}
	for role, folder := range map[string]string{"nodes": p.small("nodes", "400"), "logs": p.small("nodes-logs", "400")} {
		if st := p.status(role); st.Capacity != 400<<20 || st.Level != storagepool.LevelOK {
			t.Errorf("at first the pool for %s is %+v", role, st)
		}
		occupy(t, folder, 380)
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		var late []string
		for _, role := range roles {
			if st := p.status(role); st.Level != storagepool.LevelCritical || st.Available > 20<<20 {
				late = append(late, role)
			}
		}
		if len(late) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("that they are full is not seen of %q: %+v", late, p.Pools("local"))
		}
	}
	if _, err := p.CreateDisk(t.Context(), "local", "d.qcow2", 1<<20); fault.CodeOf(err) != fault.StorageFull {
		t.Errorf("a disk in a pool that is full: %v", err)
	}
}

// least is the minimum free space seen in a folder's file system.
type least struct {
	t      *testing.T
	folder string
	bytes  int64
}

func (l *least) look() {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(l.folder, &fs); err != nil {
		l.t.Error(err)
	}
	if left := int64(fs.Bavail) * fs.Bsize; l.bytes == 0 || left < l.bytes {
		l.bytes = left
	}
}

// watched calls a function before each read, with the number of bytes read so far.
type watched struct {
	r    io.Reader
	n    int64
	call func(n int64)
}

func (w *watched) Read(b []byte) (int, error) {
	w.call(w.n)
	n, err := w.r.Read(b)
	w.n += int64(n)
	return n, err
}

// Uploads keep the reserved space free, although their size is unknown or other programs
// write in the meantime.
func TestUploadLeavesWhatIsKept(t *testing.T) {
	t.Parallel()
	p := open(t)
	folder := p.small("images", "500")
	const keeps = 50 << 20 // 64 MiB, minus data that is in transit
	noise := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	image := qcow2(t)
	endless := func() io.Reader { return io.MultiReader(bytes.NewReader(image), &ring{noise, 0}) }

	left := &least{t: t, folder: folder}
	_, err := p.Receive(t.Context(), upload.Upload{FileName: "a.qcow2"}, &watched{r: endless(), call: func(int64) { left.look() }})
	if fault.CodeOf(err) != fault.StorageFull || left.bytes < keeps {
		t.Errorf("an upload without end: %v; %d MiB were left", err, left.bytes>>20)
	}

	// Other programs fill the pool: the received data is kept, and the upload continues
	// when there is space.
	const size = 240 << 20
	in, err := p.BeginUpload(t.Context(), upload.Upload{FileName: "b.qcow2", SizeBytes: size + 1}, nil) // it is never complete, so nothing else uses it
	if err != nil {
		t.Fatal(err)
	}
	content := func(from int64) io.Reader {
		r := io.LimitReader(endless(), size)
		if _, err := io.CopyN(io.Discard, r, from); err != nil {
			t.Error(err)
		}
		return r
	}
	begun := time.Now()
	others := sync.OnceFunc(func() {
		// After this time, the offset of the upload is saved between two checks of the
		// free space.
		<-time.After(time.Until(begun.Add(5 * time.Second)))
		occupy(t, folder, 270)
	})
	left = &least{t: t, folder: folder}
	came, err := p.Append(t.Context(), "local", in.ID, 0, &watched{r: content(0), call: func(n int64) {
		if n > 100<<20 {
			others()
		}
		left.look()
	}}, nil)
	if fault.CodeOf(err) != fault.StorageFull || left.bytes < keeps {
		t.Errorf("an upload into a pool that others fill: %v; %d MiB were left", err, left.bytes>>20)
	}
	if stored := p.stored(folder); came == 0 || came != stored {
		t.Errorf("%d bytes of it are said to have come; %d are in the pool", came, stored)
	}
	if err := os.Remove(filepath.Join(folder, ".occupied")); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Append(t.Context(), "local", in.ID, came, content(came), nil); err != nil || came+n != size {
		t.Errorf("the rest of it: %d bytes, %v", n, err)
	}
	p.wantContent(folder, content(0))
	if err := p.CancelUpload(t.Context(), "local", in.ID); err != nil {
		t.Fatal(err)
	}
}

// upload returns the path of the only file in a folder.
func (p *pools) upload(folder string) string {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.qcow2"))
	if err != nil || len(files) != 1 {
		p.t.Fatalf("the folder has %q: %v", files, err)
	}
	return files[0]
}

// stored returns the size of the only file in a folder.
func (p *pools) stored(folder string) int64 {
	p.t.Helper()
	info, err := os.Stat(p.upload(folder))
	if err != nil {
		p.t.Fatal(err)
	}
	return info.Size()
}

// wantContent checks that the only file in a folder contains the data of r.
func (p *pools) wantContent(folder string, r io.Reader) {
	p.t.Helper()
	f, err := os.Open(p.upload(folder))
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	got, want := sha256.New(), sha256.New()
	n, gotErr := io.Copy(got, f)
	size, wantErr := io.Copy(want, r)
	if err := errors.Join(gotErr, wantErr); err != nil || n != size || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		p.t.Errorf("the file of %d bytes is not what was sent, %d bytes: %v", n, size, err)
	}
}

// Unpacking keeps the reserved space free, too.
func TestUnpackingLeavesWhatIsKept(t *testing.T) {
	t.Parallel()
	p := open(t)
	folder := p.small("images", "600")
	noise := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	copy(noise, make([]byte, 512))
	noise[510], noise[511] = 0x55, 0xaa
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.NoCompression)
	if err == nil {
		_, err = io.CopyN(w, &ring{noise, 0}, 200<<20)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	img, err := p.Receive(t.Context(), upload.Upload{FileName: "a.raw.gz"}, &packed)
	if err != nil {
		t.Fatal(err)
	}
	left := &least{t: t, folder: folder}
	others := sync.OnceFunc(func() { occupy(t, folder, 190) })
	c := upload.Conversion{ID: img.ID, Host: "local"}
	err = p.Convert(t.Context(), c, &progress{hook: func(step string, done int64) {
		if step == "unpacking" && done > 70<<20 {
			others()
		}
		left.look()
	}})
	if fault.CodeOf(err) != fault.StorageFull || left.bytes < 50<<20 {
		t.Errorf("unpacking into a pool that others fill: %v; %d MiB were left", err, left.bytes>>20)
	}
	if err := p.UndoConversion(t.Context(), c); err != nil {
		t.Error(err)
	}
}

// ring returns the same data again and again.
type ring struct {
	block []byte
	at    int
}

func (r *ring) Read(b []byte) (int, error) {
	n := copy(b, r.block[r.at:])
	r.at = (r.at + n) % len(r.block)
	return n, nil
}
