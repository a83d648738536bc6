package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// domainNow is a domain as libvirt reports it.
type domainNow struct {
	name, state string
	chains      [][]string // the files of each disk, overlays before their backing files
	snapshots   int
}

// domainsNow reads all domains of the lab's own host.
func (l *lab) domainsNow() (map[string]domainNow, error) {
	conn, err := libvirt.NewConnect(l.uri())
	if err != nil {
		return nil, err
	}
	defer func() { _, _ = conn.Close() }()
	list, err := conn.ListAllDomains(0)
	if err != nil {
		return nil, err
	}
	all := map[string]domainNow{}
	for i := range list {
		defer func() { _ = list[i].Free() }()
		id, err := list[i].GetUUIDString()
		if err != nil {
			return nil, err
		}
		state, _, err := list[i].GetState()
		if err != nil {
			return nil, err
		}
		text, err := list[i].GetXMLDesc(0)
		if err != nil {
			return nil, err
		}
		var def libvirtxml.Domain
		if err := def.Unmarshal(text); err != nil {
			return nil, err
		}
		d := domainNow{name: def.Name, state: map[libvirt.DomainState]string{
			libvirt.DOMAIN_RUNNING: "running", libvirt.DOMAIN_PAUSED: "paused", libvirt.DOMAIN_SHUTOFF: "off",
		}[state]}
		if d.snapshots, err = list[i].SnapshotNum(0); err != nil {
			return nil, err
		}
		for _, disk := range def.Devices.Disks {
			if disk.Source == nil || disk.Source.File == nil || disk.Source.File.File == "" { // such as an empty drive
				continue
			}
			chain := []string{disk.Source.File.File}
			for b := disk.BackingStore; b != nil && b.Source != nil && b.Source.File != nil; b = b.BackingStore {
				chain = append(chain, b.Source.File.File)
			}
			d.chains = append(d.chains, chain)
		}
		all[id] = d
	}
	return all, nil
}

// files lists a folder of one of the lab's own pools.
func (l *lab) files(pool string) ([]string, error) {
	entries, err := os.ReadDir(l.own.path(filepath.Join(poolsFolder, pool)))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// chainOnDisk reads the backing chain from the files themselves.
func (l *lab) chainOnDisk(file string) (chain []string, err error) {
	for file != "" {
		chain = append(chain, file)
		f, err := os.Open(l.own.path(file))
		if err != nil {
			return chain, err
		}
		head := make([]byte, 4096) // QEMU's docs/interop/qcow2.txt
		n, err := io.ReadFull(f, head)
		_ = f.Close()
		if n < 20 || string(head[:4]) != "QFI\xfb" {
			return chain, nil // another format, without a backing file
		}
		at, size := binary.BigEndian.Uint64(head[8:]), uint64(binary.BigEndian.Uint32(head[16:]))
		if at+size > uint64(n) {
			return chain, fmt.Errorf("%s: %w", file, err)
		}
		file = string(head[at : at+size])
	}
	return chain, nil
}

// wantSound waits until the service, its database, libvirt and the files are consistent.
// The lab must have its own host.
func (l *lab) wantSound(after string) {
	l.t.Helper()
	var faults []string
	until(l.t, patience, func() string {
		return "all is well after " + after + "; still:\n" + strings.Join(faults, "\n") + "\n" + tail(l.service.log.String())
	}, func() bool {
		faults = l.faults()
		return len(faults) == 0
	})
}

// faults lists the inconsistencies.
func (l *lab) faults() (faults []string) {
	wrong := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	var health struct{ Status string }
	if a, err := l.try(http.MethodGet, "/api/health", nil); err != nil || a.decode(&health) != nil || health.Status != "ok" {
		wrong("health: %v %s", err, a.body)
		return faults
	}
	for _, table := range []string{"intents", "uploads"} {
		if n := l.rows(table); n > 0 {
			wrong("%d %s are open", n, table)
		}
	}
	var jobs struct{ Jobs []api.Job }
	if a, err := l.try(http.MethodGet, "/api/jobs", nil); err != nil || a.decode(&jobs) != nil {
		wrong("jobs: %v %s", err, a.body)
	}
	for _, j := range jobs.Jobs {
		if j.Finished == nil {
			wrong("job %s of %s %s is %s", j.Kind, j.Target.Type, j.Target.ID, j.State)
		}
	}
	domains, err := l.domainsNow()
	if err != nil {
		wrong("libvirt: %v", err)
		return faults
	}
	nodes := map[string]api.Node{}
	used := map[string]int{} // by file
	for _, n := range l.nodes() {
		nodes[n.ID] = n
		if _, ok := domains[n.ID]; !ok {
			wrong("node %s has no domain", n.Name)
		}
	}
	overlays, err := l.files(l.nodesPool())
	if err != nil {
		wrong("%v", err)
	}
	var wanted []string
	for id, d := range domains {
		n, ok := nodes[id]
		same := n.State == d.state || d.state == "off" && (n.State == "stopped" || n.State == "crashed")
		if !ok || n.Name != d.name || !same || n.Problem != "" || n.Snapshots != d.snapshots {
			wrong("domain %s is %q and %s with %d snapshots; its node is %q and %s with %d %s", id, d.name, d.state, d.snapshots, n.Name, n.State, n.Snapshots, n.Problem)
		}
		var below []string
		for _, told := range d.chains {
			if chain, err := l.chainOnDisk(told[0]); err != nil || !slices.Equal(chain, told) {
				wrong("domain %s (%s) says that its disk consists of %q; it consists of %q: %v", id, d.name, told, chain, err)
			}
			for _, file := range told {
				if filepath.Base(filepath.Dir(file)) == l.nodesPool() {
					wanted = append(wanted, filepath.Base(file))
				} else if !slices.Contains(below, file) {
					below = append(below, file)
					used[file]++
				}
			}
		}
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted) // clones share their backing files
	slices.Sort(overlays)
	if !slices.Equal(wanted, overlays) {
		wrong("the domains have the disks %q, the pool has %q", wanted, overlays)
	}

	images := l.images()
	var volumes []string
	for _, i := range append(images.BaseImages, images.CustomImages...) {
		if i.State != "ready" || i.UsedBy != used[i.Path] {
			wrong("image %s is %s, and said to be used by %d nodes where %d are backed by it", i.ID, i.State, i.UsedBy, used[i.Path])
		}
		volumes = append(volumes, filepath.Base(i.Path))
	}
	stored, err := l.files(l.imagesPool())
	if err != nil {
		wrong("%v", err)
	}
	slices.Sort(volumes)
	slices.Sort(stored)
	if !slices.Equal(volumes, stored) || l.rows("images") != len(volumes) {
		wrong("the images are %q, their pool has %q, the database %d", volumes, stored, l.rows("images"))
	}
	return faults
}
