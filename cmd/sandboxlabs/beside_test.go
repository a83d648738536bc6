package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sandboxlabs/sandboxlabs/internal/store/storetest"
)

// TestCommandsBesideTheService runs operator commands while the service receives an
// upload. Neither must touch the other's work.
func TestCommandsBesideTheService(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	finish := l.slowUpload()
	if out, code := l.run("doctor"); code != 0 {
		t.Errorf("doctor: exit code %d\n%s", code, out)
	}
	if a := finish(); a.status != http.StatusCreated {
		t.Errorf("the upload was answered with %d %s", a.status, a.body)
	}

	// The reverse: the service starts while a command adds an image.
	l.stop()
	pipe := filepath.Join(t.TempDir(), "slow.qcow2")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	add := l.spawn(nil, append([]string{"image", "add", pipe, "--base", "micro"}, l.flags()...)...)
	micro, err := os.ReadFile(microImage)
	if err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	if _, err := w.Write(micro[:len(micro)/2]); err != nil {
		t.Fatal(err)
	}
	until(t, promptly, said("the image is under way"), func() bool { return slices.Contains(l.volumes(l.imagesPool()), "micro.qcow2") })
	l.start()
	if _, err := w.Write(micro[len(micro)/2:]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if code := add.code(t, promptly); code != 0 {
		t.Fatalf("image add: exit code %d\n%s%s", code, add.out, add.log)
	}
	if !slices.Contains(l.volumes(l.imagesPool()), "micro.qcow2") {
		t.Error("the image that the command took in is gone")
	}
	until(t, promptly, said("the service shows the image as ready"), func() bool {
		list := l.images().BaseImages
		return len(list) == 1 && list[0].State == "ready"
	})
	l.stop()
}

// TestCommandsKeepTheirLease makes PostgreSQL end the sessions of a command that is adding
// an image. The command must soon hold its lease again, so that other processes do not
// touch its work.
func TestCommandsKeepTheirLease(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	l := newLab(t)
	pipe := filepath.Join(t.TempDir(), "slow.qcow2")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	add := l.spawn(nil, append([]string{"image", "add", pipe, "--base", "slow", "--database=" + url}, l.flags()...)...)
	image := l.dataImage(4 << 20)
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	if _, err := w.Write(image[:len(image)/2]); err != nil {
		t.Fatal(err)
	}
	until(t, promptly, said("the image is under way"), func() bool { return slices.Contains(l.volumes(l.imagesPool()), "slow.qcow2") })
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close(context.Background()) }()
	lease := func() (session int) {
		err := db.QueryRow(t.Context(), "SELECT COALESCE(max(pid), 0) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").Scan(&session)
		if err != nil {
			t.Fatal(err)
		}
		return session
	}
	before := lease()
	if before == 0 {
		t.Fatal("the command has no lease")
	}
	if _, err := db.Exec(t.Context(), "SELECT pg_terminate_backend($1)", before); err != nil {
		t.Fatal(err)
	}
	until(t, promptly, said("the command has its lease again"), func() bool { now := lease(); return now != 0 && now != before })
	if _, err := w.Write(image[len(image)/2:]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if code := add.code(t, promptly); code != 0 {
		t.Errorf("image add: exit code %d\n%s%s", code, add.out, add.log)
	}
	l.wantVolumes(l.imagesPool(), "slow.qcow2")
}
