package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
)

// Limits for qemu-img when it reads an untrusted file.
const (
	checkPatience   = 2 * time.Minute
	checkCPUSeconds = "60"
	checkMemory     = "2147483648" // address space, in bytes
	maxCheckOutput  = 64 << 10
)

// checkFile runs `qemu-img check` on a qcow2 file whose header was found safe, if the file
// and the program are on the service's own machine. It returns fault.ImageUnsafe if the
// image is corrupt. The program has limits on its time and memory, and must not write
// anything.
func (s *Service) checkFile(ctx context.Context, host, path string) error {
	h, err := s.o.Hosts.Host(host)
	if err != nil {
		return err
	}
	limiter, noLimiter := exec.LookPath("prlimit")
	program, noProgram := exec.LookPath("qemu-img")
	if !strings.HasPrefix(h.Status().URI, "qemu:///") || noLimiter != nil || noProgram != nil || !readable(path) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, limiter, "--cpu="+checkCPUSeconds, "--as="+checkMemory, "--fsize=0", "--core=0", "--", //nolint:gosec // no shell; the path is libvirt's
		program, "check", "-f", diskimage.QCOW2, "--output=json", path)
	cmd.Env = []string{"LC_ALL=C"}
	var out bytes.Buffer
	cmd.Stdout = &bounded{&out, maxCheckOutput}
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ctx.Err()
	case errors.As(err, &exit):
		return checkVerdict(exit, out.Bytes())
	}
	return fmt.Errorf("run qemu-img: %w", err)
}

// checkVerdict interprets the exit code of `qemu-img check`: 2 means corruption, 3 means
// leaked clusters, which are harmless.
func checkVerdict(exit *exec.ExitError, out []byte) error {
	const corrupt, leaks = 2, 3
	switch code := exit.ExitCode(); code {
	case leaks:
		return nil
	case corrupt:
		var found struct {
			Corruptions int64 `json:"corruptions"`
		}
		if json.Unmarshal(out, &found) == nil && found.Corruptions > 0 {
			return diskimage.Unsafe("qemu-img finds %d corruptions in it. Repair it with `qemu-img check -r all`, or export it again", found.Corruptions)
		}
		return diskimage.Unsafe("qemu-img finds that it is corrupt. Repair it with `qemu-img check -r all`, or export it again")
	case -1:
		return diskimage.Unsafe("qemu-img could not check it within its limits of time and memory. Rewrite it with `qemu-img convert -O qcow2 SOURCE image.qcow2`")
	default:
		return diskimage.Unsafe("qemu-img cannot read it (it ended with %d). Rewrite it with `qemu-img convert -O qcow2 SOURCE image.qcow2`", code)
	}
}

// readable returns whether this process can read a file. It can read libvirt's files only
// on its own machine, if at all.
func readable(path string) bool {
	f, err := os.Open(path) // the path is from libvirt: a volume of the images pool
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

// bounded keeps the first bytes that are written to it and discards the rest.
type bounded struct {
	b     *bytes.Buffer
	limit int
}

func (w *bounded) Write(p []byte) (int, error) {
	w.b.Write(p[:min(len(p), w.limit-w.b.Len())])
	return len(p), nil
}
