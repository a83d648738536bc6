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

// A file can have many names: symbolic and hard links, paths with "..", volumes of several
// pools on one folder, and the forms in which QEMU records a backing file. Before a volume
// is deleted or changed, every reference on the host is resolved to a path that a pool
// has. On this machine the kernel resolves paths; on other hosts only libvirt's pools can.

// places resolves paths to volumes.
type places struct {
	here bool              // whether the host's files are on this machine
	ids  map[fileID]string // paths of the volumes that this process can see
	same map[string]string // maps the other paths of a file to its first one
}

// fileID identifies a file on this machine: it is equal for two names of one file.
type fileID struct{ device, inode uint64 }

// whereabouts is the result of resolving a path.
type whereabouts int

const (
	inPool  whereabouts = iota // a volume
	outside                    // a file that is not a volume
	nowhere                    // the file does not exist
	unclear                    // it may be any file, also a volume
)

// settle completes a survey: it resolves the backing files of its volumes to volumes.
func (s *Service) settle(host string, v *Survey) {
	v.places = places{here: s.isHere(host), ids: map[fileID]string{}, same: map[string]string{}}
	images, _ := s.place(host, imagesRole) // without the pool there are no images
	nodes, _ := s.place(host, nodesRole)
	ours := func(file string) int { // paths in the service's pools first
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
	// Where inodes are not available: an image has the same timestamps, to the nanosecond,
	// under each of its names.
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
			volume.Backing = volume.backingName // a network disk
		}
		v.files[file] = volume
	}
}

// note records the first name of a file; see places.
func (p places) note(id fileID, file string) {
	first, known := p.ids[id]
	if known {
		// The inode of a file that was deleted in the meantime may be reused for a new
		// file.
		if now, err := idOf(first); err == nil && now == id {
			p.same[file] = first
			return
		}
	}
	p.ids[id] = file
}

// isHere returns whether a host's pools are folders on this machine: a libvirt that is
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

// idOf returns the identity of a file on this machine.
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

// one returns the path under which a file with several names is recorded.
func (p places) one(file string) string {
	if first, ok := p.same[file]; ok {
		return first
	}
	return file
}

// Paths resolves paths to those that Uses returns.
func (v Survey) Paths(files ...string) map[string]bool {
	paths := map[string]bool{}
	for _, file := range files {
		at, _ := v.locate(file)
		paths[at] = true
	}
	return paths
}

// locate resolves a path, which may contain symbolic links and "..", to the path of a
// volume, or reports what else is known about it. The path that it returns is clean.
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
	case v.isFolder(path.Dir(clean)): // libvirt knows what is in it
		return clean, nowhere
	case strings.HasPrefix(clean, "/dev/"):
		return clean, outside
	}
	return clean, unclear
}

// locateHere is locate for files on this machine.
func (v Survey) locateHere(spelled string) (string, whereabouts) {
	real, err := followLinks(spelled)
	if _, is := v.files[real]; is {
		return v.one(real), inPool
	}
	switch {
	case err == nil:
		id, err := idOf(real)
		if err != nil {
			return real, nowhere // deleted in the meantime
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

// maxLinks is how many symbolic links a path may contain, as in Linux.
const maxLinks = 40

// RealPath resolves the symbolic links of a path as far as this process can read them. For
// a host on another machine it only cleans the path.
func (s *Service) RealPath(host, file string) string {
	if s.isHere(host) {
		file, _ = followLinks(file)
	}
	return path.Clean(file)
}

// followLinks resolves the symbolic links of a path. With an error, the part of the path
// that could not be resolved is appended unchanged.
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

// Uses returns the paths of all files that references lead to, including their backing
// chains, and the references that cannot be resolved: these may be any file.
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
		case known: // libvirt resolves volumes only in pools whose volumes are files
			follow(path.Join(folder, r.Volume), r.Probed, r.Aside)
		}
	}
	return files, unresolved
}

// below returns the backing files that a file's header names, and the reference in it that
// cannot be resolved, if any.
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
		for _, magic := range []string{"QFI\xfb", "QED\x00", "KDMV", "COWD", "# Disk D"} { // formats whose backing files QEMU opens
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

// headBytes covers at least the first cluster of a common qcow2 file, which contains the
// header.
const headBytes = 64 << 10

// headOf returns the first bytes of a file on this machine. It does not block on pipes.
func headOf(file string) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a domain's disk: its contents are not shown to anyone
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, headBytes))
}
