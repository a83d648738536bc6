//go:build bench

package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// overlays is the number of overlays to create on each image.
const overlays = 15

// benchOverlays creates nodes from images of several sizes, alternating: creating an
// overlay must take the same time whatever the size of its backing file.
func (r *rig) benchOverlays(ctx context.Context, report *table) {
	r.t.Helper()
	sizes := []string{"0.1", "1", "10"} // GiB
	var images []image
	for _, size := range sizes {
		path := filepath.Join(r.files, "image-"+size+".qcow2")
		mebibytes := map[string]string{"0.1": "102M", "1": "1G", "10": "10G"}[size]
		// All of its clusters are allocated, so the file is as large as the disk.
		command(ctx, r.t, "qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", path, mebibytes)
		images = append(images, r.upload(ctx, path))
		if err := os.Remove(path); err != nil {
			r.t.Fatal(err)
		}
	}
	var ids []string
	took := make([]times, len(images))
	for i := range overlays {
		for j, base := range images {
			id, t := r.createNode(ctx, base, 1000+i*len(images)+j)
			ids, took[j] = append(ids, id), append(took[j], t)
		}
	}
	for j, size := range sizes {
		report.add(fmt.Sprintf("create a node of an image of %s GiB", size), took[j].inMilliseconds(0.9), "of 0.1 GiB", took[0].inMilliseconds(0.9), faster(took[j].median(), took[0].median()), "flat")
	}
	r.removeNodes(ctx, ids)
	for _, base := range images {
		r.removeImage(ctx, base)
	}
}
