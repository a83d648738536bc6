package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"libvirt.org/go/libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// domainNow is a domain as libvirt itself has it.
type domainNow struct {
	name, state string
	disks       []string // file names of the disks that are in the nodes pool, and of those that they lie on
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
		note := func(source *libvirtxml.DomainDiskSource) {
			if source != nil && source.File != nil && filepath.Base(filepath.Dir(source.File.File)) == l.nodesPool() {
				d.disks = append(d.disks, filepath.Base(source.File.File))
			}
		}
		for _, disk := range def.Devices.Disks {
			note(disk.Source)
			for b := disk.BackingStore; b != nil; b = b.BackingStore {
				note(b.Source)
			}
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

// wantSound waits until the service, its database, libvirt and the files say the
// same. It is for a lab with a host of its own.
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

// faults is what is not as it has to be.
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
	used := map[string]int{}
	for _, n := range l.nodes() {
		nodes[n.ID] = n
		if n.Image != nil && n.Image.Path != "" { // a full clone only tells where it comes from
			used[n.Image.ID]++
		}
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
		wanted = append(wanted, d.disks...)
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted) // clones share what they lie on
	slices.Sort(overlays)
	if !slices.Equal(wanted, overlays) {
		wrong("the domains have the disks %q, the pool has %q", wanted, overlays)
	}

	images := l.images()
	var volumes []string
	for _, i := range append(images.BaseImages, images.CustomImages...) {
		if i.State != "ready" || i.UsedBy != used[i.ID] {
			wrong("image %s is %s, and said to be used by %d of %d nodes", i.ID, i.State, i.UsedBy, used[i.ID])
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
