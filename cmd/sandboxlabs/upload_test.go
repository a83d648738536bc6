package main

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestLargeUpload streams an image of 256 MiB. The memory of the service must not depend
// on that size.
func TestLargeUpload(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	// Real qcow2 tables, then clusters that nothing refers to.
	head := l.qemuImage("1G")
	const size = 256 << 20
	// A small one first, so that the measurement shows the effect of the size and not of
	// the first upload.
	if a := l.upload("small.qcow2", bytes.NewReader(head)); a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	before, start := l.peakMemory(), time.Now()
	a := l.upload("large.qcow2", io.MultiReader(bytes.NewReader(head), &endless{size - int64(len(head))}))
	took := time.Since(start)
	var got api.Uploaded
	if err := a.decode(&got); err != nil || a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	grown := l.peakMemory() - before
	t.Logf("256 MiB took %v (%.0f MiB/s); peak memory grew by %.1f MiB to %d MiB", took.Round(time.Millisecond),
		256/took.Seconds(), float64(grown)/(1<<20), l.peakMemory()>>20)
	if grown >= 64<<20 {
		t.Errorf("peak memory grew by %d MiB", grown>>20)
	}
	if got.Image.Size != size || got.Image.VirtualSize != 1<<30 || got.Image.State != "ready" {
		t.Errorf("the image is %+v", got.Image)
	}
	l.stop()
}
