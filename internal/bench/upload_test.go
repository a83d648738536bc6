//go:build bench

package bench

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	uploadBytes  = 1 << 30
	uploadRounds = 3
	neededBytes  = 4 * uploadBytes // the source, the raw file that it is made from, a copy, and a reserve
)

// benchUpload sends an image to the service, to virsh and to cp, alternating.
func (r *rig) benchUpload(ctx context.Context, report *table) {
	r.t.Helper()
	source, digest := r.makeSource(ctx)
	pool := r.prefix + "-virsh"
	virsh(ctx, r.t, "pool-define-as", pool, "dir", "--target", filepath.Join(folder, pool))
	virsh(ctx, r.t, "pool-build", pool)
	virsh(ctx, r.t, "pool-start", pool)

	pid := r.service.Process.Pid
	var ours, virshs, cps times
	var memory, virshMemory, cpMemory int64
	for range uploadRounds {
		r.settle(source)
		resetPeak(pid)
		before := r.cpuTime()
		begin := time.Now()
		img := r.upload(ctx, source)
		ours = append(ours, time.Since(begin))
		// On a machine with few CPUs, the service takes these seconds longer than virsh.
		r.t.Logf("upload: %v, for which the service takes %v of a CPU", ours[len(ours)-1].Round(time.Millisecond), r.cpuTime()-before)
		peak, err := peakKiB(pid)
		if err != nil {
			r.t.Fatal(err)
		}
		memory = max(memory, peak)
		if img.SHA256 != digest {
			r.t.Fatalf("the image's digest is %s, not %s", img.SHA256, digest)
		}
		r.removeImage(ctx, img)

		r.settle(source)
		volume := virsh(ctx, r.t, "vol-create-as", pool, "image", "0", "--format", "raw")
		up := runCommand(ctx, r.t, 20*samplePause, "virsh", virshArgs([]string{"vol-upload", "--pool", pool, "image", source})...)
		virshs = append(virshs, volume.took+up.took)
		virshMemory = max(virshMemory, up.peakKiB)
		virsh(ctx, r.t, "vol-delete", "--pool", pool, "image")

		r.settle(source)
		target := filepath.Join(r.files, "copy.qcow2")
		cp := runCommand(ctx, r.t, 20*samplePause, "cp", "--reflink=never", source, target)
		cps = append(cps, cp.took)
		cpMemory = max(cpMemory, cp.peakKiB)
		if err := os.Remove(target); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := os.Remove(source); err != nil {
		r.t.Fatal(err)
	}
	report.add("upload 1 GiB", ours.inSeconds(), "virsh vol-create-as + vol-upload", virshs.inSeconds(), faster(ours.median(), virshs.median()), "≥ 1.0×")
	report.add("upload 1 GiB", ours.inSeconds(), "cp", cps.inSeconds(), faster(ours.median(), cps.median()), "≥ 0.8×")
	report.add("upload 1 GiB: peak memory", mebibytes(memory), "virsh vol-upload", mebibytes(virshMemory), more(memory, virshMemory), "")
	report.add("upload 1 GiB: peak memory", mebibytes(memory), "cp", mebibytes(cpMemory), more(memory, cpMemory), "")
}

// makeSource creates a qcow2 image full of random data, and returns its path and its
// SHA-256.
func (r *rig) makeSource(ctx context.Context) (path, digest string) {
	r.t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(r.files, &fs); err != nil {
		r.t.Fatal(err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < neededBytes { //nolint:gosec // a block has a size
		r.t.Fatalf("%s has %d MiB left; the upload needs %d", r.files, free>>20, neededBytes>>20)
	}
	raw := filepath.Join(r.files, "source.raw")
	f, err := os.Create(raw) //nolint:gosec // in our folder
	if err != nil {
		r.t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = io.CopyN(w, rand.NewChaCha8([32]byte{}), uploadBytes)
	if err == nil {
		err = w.Flush()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		r.t.Fatal(err)
	}
	path = filepath.Join(r.files, "source.qcow2")
	command(ctx, r.t, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path)
	if err := os.Remove(raw); err != nil {
		r.t.Fatal(err)
	}
	sum := sha256.New()
	r.read(path, sum)
	return path, hex.EncodeToString(sum.Sum(nil))
}

// settle writes all dirty pages to disk and reads the source into the page cache.
func (r *rig) settle(source string) {
	r.t.Helper()
	f, err := os.Open(r.files)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		r.t.Fatal(err)
	}
	r.read(source, io.Discard)
}

func (r *rig) read(path string, w io.Writer) {
	r.t.Helper()
	f, err := os.Open(path) //nolint:gosec // in our folder
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := io.Copy(w, f); err != nil {
		r.t.Fatal(err)
	}
}
