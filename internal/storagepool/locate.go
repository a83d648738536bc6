package storagepool

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/sandboxlabs/sandboxlabs/internal/diskref"
)

// One file has many names: symbolic and hard links, paths with `..`, volumes of several
// pools on one folder, and the forms in which QEMU writes down a backing file. Before a
// volume is deleted or changed, all that is written down on the host is led back to the
// paths that the pools have. On this machine the kernel tells what a path leads to; on
// others only libvirt's pools do.

// places is what leads from a path to a volume.
type places struct {
	here bool              // the host's files are this machine's
	ids  map[fileID]string // of the volumes that this process can see
	same map[string]string // paths of volumes that are names of one file, by all but the first
}

// fileID is equal for two names of one file on this machine.
type fileID struct{ device, inode uint64 }

// whereabouts is what is known of a path.
type whereabouts int

const (
	inPool  whereabouts = iota // a volume
	outside                    // a file that is no volume
	nowhere                    // there is no such file
	unclear                    // it may be any file, a volume also
)

// settle completes a survey: what its volumes are backed by is led back to the volumes.
func (s *Service) settle(host string, v *Survey) {
	v.places = places{here: s.isHere(host), ids: map[fileID]string{}, same: map[string]string{}}
	images, _ := s.place(host, imagesRole) // without one there are no images
	nodes, _ := s.place(host, nodesRole)
	ours := func(file string) int { // the names in our own pools first
		return slices.Index([]string{path.Clean(nodes.path), path.Clean(images.path)}, path.Dir(file))
	}
	prints := map[string]string{}
	files := slices.SortedFunc(maps.Keys(v.files), func(a, b string) int { return cmp.Or(cmp.Compare(ours(b), ours(a)), cmp.Compare(a, b)) })
	for _, file := range files {
		if id, err := idOf(file); v.here && err == nil {
			v.note(id, file)
		} else if p := v.files[file].print; p != "" && path.Dir(file) == path.Clean(images.path) {
			prints[p] = file
		}
	}
	// Where no inode can be had, an image has the same times, to the nanosecond, by any name.
	for file, volume := range v.files {
		if first, ok := prints[volume.print]; ok && first != file {
			v.same[file] = first
		}
	}
	for file, volume := range v.files {
		volume.Backing, volume.backings, volume.unclear = "", nil, ""
		names, known := diskref.Backing(volume.backingName, file)
		if !known {
			volume.Backing, volume.unclear = volume.backingName, volume.backingName
		}
		for _, name := range names {
			base, where := v.locate(name)
			if where == unclear {
				volume.unclear = name
			}
			volume.backings = append(volume.backings, base)
		}
		if len(volume.backings) > 0 {
			volume.Backing = volume.backings[0]
		} else if known && volume.backingName != "" {
			volume.Backing = volume.backingName // of the network
		}
		v.files[file] = volume
	}
}

// note keeps the first name of a file; see places.
func (p places) note(id fileID, file string) {
	first, known := p.ids[id]
	if known {
		// A file that is deleted meanwhile leaves its inode to the next one that is made.
		if now, err := idOf(first); err == nil && now == id {
			p.same[file] = first
			return
		}
	}
	p.ids[id] = file
}

// isHere returns whether a host's pools are folders of this machine: a libvirt that is
// reached by a local socket may see other file systems than a service in a container.
func (s *Service) isHere(host string) bool {
	h, err := s.o.Hosts.Host(host)
	if err != nil || !h.Local() {
		return false
	}
	for _, role := range []string{imagesRole, nodesRole} {
		p, err := s.place(host, role)
		if err != nil {
			return false
		}
		if info, err := os.Stat(p.path); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

// idOf identifies a file of this machine.
func idOf(file string) (fileID, error) {
	info, err := os.Stat(file)
	if err != nil {
		return fileID{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, errors.ErrUnsupported
	}
	return fileID{stat.Dev, stat.Ino}, nil
}

// one is the path by which a file is known that has several.
func (p places) one(file string) string {
	if first, ok := p.same[file]; ok {
		return first
	}
	return file
}

// Paths leads paths back to those by which Uses returns them.
func (v Survey) Paths(files ...string) map[string]bool {
	paths := map[string]bool{}
	for _, file := range files {
		at, _ := v.locate(file)
		paths[at] = true
	}
	return paths
}

// locate leads a path, however it is spelled, to that of a volume, or tells what else is
// known of it. What it returns is cleaned.
func (v Survey) locate(spelled string) (string, whereabouts) {
	clean := path.Clean(spelled)
	if _, is := v.files[clean]; is && !strings.Contains(spelled, "..") {
		return v.one(clean), inPool
	}
	if !path.IsAbs(spelled) {
		return clean, unclear
	}
	if v.here {
		return v.locateHere(spelled)
	}
	if _, is := v.files[clean]; is {
		return v.one(clean), inPool
	}
	switch {
	case v.isFolder(path.Dir(clean)): // libvirt has seen what is in it
		return clean, nowhere
	case strings.HasPrefix(clean, "/dev/"):
		return clean, outside
	}
	return clean, unclear
}

// locateHere is locate for this machine.
func (v Survey) locateHere(spelled string) (string, whereabouts) {
	real, err := followLinks(spelled)
	if _, is := v.files[real]; is {
		return v.one(real), inPool
	}
	switch {
	case err == nil:
		id, err := idOf(real)
		if err != nil {
			return real, nowhere // it has just gone
		}
		if volume, is := v.ids[id]; is {
			return volume, inPool
		}
		return real, outside
	case !errors.Is(err, fs.ErrPermission), v.isFolder(path.Dir(real)):
		return real, nowhere
	}
	return real, unclear
}

func (v Survey) isFolder(folder string) bool {
	for _, f := range v.folders {
		if f == folder {
			return true
		}
	}
	return false
}

// maxLinks is how many symbolic links a path may go through, as for Linux.
const maxLinks = 40

// RealPath returns the path of a file with the symbolic links in it followed as far as this
// process may see them. For a host that is another machine it is only cleaned.
func (s *Service) RealPath(host, file string) string {
	if s.isHere(host) {
		file, _ = followLinks(file)
	}
	return path.Clean(file)
}

// followLinks returns the path without symbolic links, or as much of it as this process
// may see, with the rest as it is.
func followLinks(spelled string) (string, error) {
	at, rest := "/", strings.Split(spelled, "/")
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		info, err := os.Lstat(next)
		to := ""
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			to, err = os.Readlink(next)
		}
		if links++; err == nil && to != "" && links > maxLinks {
			err = syscall.ELOOP
		}
		switch {
		case err != nil:
			return path.Join(append([]string{next}, rest...)...), err
		case to == "":
			at = next
			links--
			continue
		case path.IsAbs(to):
			at = "/"
		}
		rest = append(strings.Split(to, "/"), rest...)
	}
	return at, nil
}

// Uses returns the paths of all files that references lead to, down the backing chains,
// and those references that lead nowhere that is known: they may be any file.
func (v Survey) Uses(refs []diskref.Ref) (files, unresolved []string) {
	seen := map[string]bool{}
	var follow func(spelled string, probed, aside bool)
	follow = func(spelled string, probed, aside bool) {
		file, where := v.locate(spelled)
		switch {
		case where == nowhere || seen[file]:
			return
		case where == unclear && !aside:
			unresolved = append(unresolved, spelled)
		}
		seen[file] = true
		files = append(files, file)
		bases, bad := v.below(file, where, probed)
		for _, base := range bases {
			follow(base, true, aside)
		}
		if bad != "" {
			unresolved = append(unresolved, bad)
		}
	}
	for _, r := range refs {
		switch folder, known := v.folders[r.Pool]; {
		case r.Unknown != "":
			unresolved = append(unresolved, r.Unknown)
		case r.Path != "":
			follow(r.Path, r.Probed, r.Aside)
		case known: // libvirt finds no volume in any other pool that is a file
			follow(path.Join(folder, r.Volume), r.Probed, r.Aside)
		}
	}
	return files, unresolved
}

// below returns what a file is backed by, as it says itself, and what of that cannot be
// understood.
func (v Survey) below(file string, where whereabouts, probed bool) (bases []string, unresolved string) {
	switch {
	case where == inPool:
		volume := v.files[file]
		return volume.backings, volume.unclear
	case where != outside || !probed:
		return nil, ""
	case !v.here:
		return nil, file
	}
	head, err := headOf(file)
	if err != nil {
		return nil, file
	}
	name, ok := diskref.Qcow2Backing(head)
	if !ok {
		for _, magic := range []string{"QFI\xfb", "QED\x00", "KDMV", "COWD", "# Disk D"} { // those that QEMU follows
			if strings.HasPrefix(string(head), magic) {
				return nil, file
			}
		}
		return nil, ""
	}
	if bases, ok = diskref.Backing(name, file); !ok {
		return nil, name
	}
	return bases, ""
}

// headBytes is at least the first cluster of a usual qcow2 file, which has its header.
const headBytes = 64 << 10

// headOf returns the first bytes of a file of this machine. It waits for no pipe.
func headOf(file string) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a domain's disk: nothing of it is shown
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, headBytes))
}
