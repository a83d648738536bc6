package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/domain"
)

// blockJobRounds is the default number of pulls, commits and copies in TestBlockJobs.
// SANDBOXLABS_BLOCK_JOBS overrides it.
const blockJobRounds = 6

// serveMeasuring is `serve` that reads usage, including that of disks, at an interval
// shorter than the options allow.
func serveMeasuring(interval string) {
	serveAs(func(c *config) {
		every, err := time.ParseDuration(interval)
		if err != nil {
			panic(err)
		}
		c.FiguresInterval, c.askInterval = every, every
	}, func(s domain.Storage) domain.Storage { return s })
}

// TestBlockJobs repeatedly pulls, commits and copies the disk of a running guest while the
// service reads its usage 50 times a second. QEMU 7.2 may crash if it is queried about its
// disks at the moment a job ends. Between the jobs the guest reads its disks.
func TestBlockJobs(t *testing.T) {
	t.Parallel()
	rounds := blockJobRounds
	if text := os.Getenv("SANDBOXLABS_BLOCK_JOBS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	l := newLabApart(t) // its own lab, so that other tests' guests are not queried that often
	takeGuest(t)
	id, folder := l.defineOverlay()
	l.virsh("start", id)
	l.launch([]string{usageVariable + "=20ms"})
	l.awaitHealth("ok")

	read := func() float64 { return l.metric("sandboxlabs_node_disk_read_bytes_total", id) }
	begun := time.Now()
	for round := range rounds {
		overlay := fmt.Sprintf("%s/overlay%d.qcow2", folder, round)
		l.virsh("snapshot-create-as", id, fmt.Sprintf("s%d", round), "--disk-only", "--no-metadata", "--diskspec", "vda,file="+overlay)
		before := read()
		l.virsh("reset", id) // makes the firmware read the disk
		until(t, patience, said(fmt.Sprintf("the disk is read before job %d", round)), func() bool { return read() > before })
		switch round % 3 {
		case 0:
			l.virsh("blockpull", id, "vda", "--wait")
		case 1:
			l.virsh("blockcommit", id, "vda", "--active", "--pivot", "--wait", "--shallow")
		case 2:
			l.virsh("blockcopy", id, "vda", fmt.Sprintf("%s/copy%d.qcow2", folder, round), "--format", "qcow2", "--transient-job", "--pivot", "--wait")
		}
		if state := l.virsh("domstate", id); state != "running" {
			t.Fatalf("in round %d the domain is %q", round, state)
		}
	}
	t.Logf("%d block jobs in %v", rounds, time.Since(begun).Round(time.Second))
	l.stop()
}

// defineOverlay defines a domain on the lab's host whose disk is an overlay of the micro
// image.
func (l *lab) defineOverlay() (id, folder string) {
	l.t.Helper()
	folder = "/var/lib/libvirt/images/block-jobs"
	outside := l.own.path(folder)
	content, err := os.ReadFile(microImage)
	if err == nil {
		err = os.MkdirAll(outside, 0o777)
	}
	if err == nil {
		err = os.Chmod(outside, 0o777)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(outside, "base.qcow2"), content, 0o644)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	l.qemuImg("create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", folder+"/base.qcow2", filepath.Join(outside, "disk.qcow2"), "512M")
	return l.defineForeign(l.name("jobs"), func(d *libvirtxml.Domain) {
		d.Memory.Value = 128
		d.Devices = &libvirtxml.DomainDeviceList{Disks: []libvirtxml.DomainDisk{{
			Device: "disk", Driver: &libvirtxml.DomainDiskDriver{Name: "qemu", Type: "qcow2"},
			Source: &libvirtxml.DomainDiskSource{File: &libvirtxml.DomainDiskSourceFile{File: folder + "/disk.qcow2"}},
			Target: &libvirtxml.DomainDiskTarget{Dev: "vda", Bus: "virtio"},
		}}}
	}), folder
}

// metric returns the value of a node's metric, or 0 if there is none.
func (l *lab) metric(name, id string) (value float64) {
	l.t.Helper()
	for line := range strings.Lines(string(l.send("GET", "/metrics", nil).body)) {
		if strings.HasPrefix(line, name+"{") && strings.Contains(line, id) {
			if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &value); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	return value
}
