package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
)

// TestTenUploads uploads ten images at once. The memory of the service must grow by less
// than 64 MiB. SANDBOXLABS_UPLOAD_BYTES is the size of each.
func TestTenUploads(t *testing.T) {
	t.Parallel()
	size := int64(32 << 20)
	if text := os.Getenv("SANDBOXLABS_UPLOAD_BYTES"); text != "" {
		var err error
		if size, err = strconv.ParseInt(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	binary := program(t)
	l := newLab(t)
	l.launchProgram(binary)
	l.awaitHealth("ok")
	head := l.qemuImage("1G")
	if a := l.upload("small.qcow2", bytes.NewReader(head)); a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	before := l.peakMemory()
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			a := l.upload("one.qcow2", io.MultiReader(bytes.NewReader(head), &endless{size - int64(len(head))}))
			if a.status != http.StatusCreated {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	grown := l.peakMemory() - before
	t.Logf("peak memory grew by %.1f MiB", float64(grown)/(1<<20))
	if grown >= 64<<20 {
		t.Errorf("peak memory grew by %d MiB", grown>>20)
	}
	l.stop()
}
