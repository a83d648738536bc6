package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/ulikunitz/xz"
)

// foreignFiles returns a disk in formats that have to be converted.
func (l *lab) foreignFiles(image []byte) map[string][]byte {
	l.t.Helper()
	folder := l.t.TempDir()
	from := filepath.Join(folder, "from")
	if err := os.WriteFile(from, image, 0o600); err != nil {
		l.t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, format := range []string{"vmdk", "vhdx", "vdi"} {
		to := filepath.Join(folder, format)
		l.qemuImg("convert", "-f", "qcow2", "-O", format, from, to)
		content, err := os.ReadFile(to)
		if err != nil {
			l.t.Fatal(err)
		}
		files["/foreign."+format] = content
	}
	var packed bytes.Buffer
	w, err := xz.NewWriter(&packed)
	if err == nil {
		_, err = w.Write(files["/foreign.vmdk"])
	}
	if err != nil || w.Close() != nil {
		l.t.Fatal(err)
	}
	files["/foreign.vmdk.xz"] = packed.Bytes()
	return files
}

// pullForeign pulls them, and expects each resulting image to contain the same disk.
func (l *lab) pullForeign(disk []byte) {
	l.t.Helper()
	want := filepath.Join(l.t.TempDir(), "want")
	if err := os.WriteFile(want, disk, 0o600); err != nil {
		l.t.Fatal(err)
	}
	for _, format := range []string{"vmdk", "vmdk.xz", "vhdx", "vdi"} {
		id := "foreign-" + strings.ReplaceAll(format, ".", "-")
		l.awaitJob(l.startJob("/api/images/catalog/"+id+"/pull", nil).ID, "succeeded")
		img := l.image(id)
		if img.State != "ready" || img.Type != "base" || img.Format != "qcow2" || img.SourceFormat != format || filepath.Base(img.Path) != id+".qcow2" {
			l.t.Errorf("what came as %s is %+v", format, img)
		}
		l.qemuImg("compare", "-f", "qcow2", "-F", "qcow2", want, img.Path)
		l.call(http.MethodDelete, "/api/images/"+id, nil, http.StatusNoContent, nil)
	}
}
