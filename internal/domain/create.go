package domain

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

const createIntent = "node.create"

// createData is what recovery needs to complete or undo a creation.
type createData struct {
	ID      string   `json:"id"`
	Volumes []string `json:"volumes"`
}

// keyspace is the namespace for node ids derived from idempotency keys (RFC 9562, version 5):
// a repeated request finds the node by its id, even after a crash and without a database.
var keyspace = uuid.MustParse("0f0d7c1e-6f1d-5b5e-9f0a-6d1f6f6e6f64")

// Create creates a node: an overlay of the image, and a domain that uses it. If it fails,
// neither remains; after a crash, the next start of the service undoes it. existed is true if
// IdempotencyKey matches the node of an earlier request.
//
// Errors: fault.Invalid, NodeNameTaken, IdempotencyReused, NodeBusy while an earlier node of
// the key is being removed, those of Storage.Usable and Storage.CreateOverlay,
// HostUnreachable, Hypervisor.
func (s *Service) Create(ctx context.Context, spec Spec) (n Node, existed bool, err error) {
	host, err := s.reach(ctx, &spec)
	if err != nil {
		return Node{}, false, err
	}
	id := uuid.NewString()
	if spec.IdempotencyKey != "" {
		id = cmp.Or(spec.ID, KeyedID(spec.Owner, spec.IdempotencyKey))
		// Finish interrupted changes to an earlier node with this id, which would otherwise
		// be applied to the new one. The error may be about another node; see below.
		_ = s.recover(ctx, spec.Host)
	}
	release, err := s.claim(ctx, id)
	if err != nil {
		return Node{}, false, err
	}
	defer release()
	var unsettled []string
	if spec.IdempotencyKey != "" {
		// After a start of the service, the node may exist without being in the inventory
		// yet.
		if err := s.inv.Sync(ctx, spec.Host, id); err != nil && !isGone(err) {
			return Node{}, false, explain(err, "read", spec.Name)
		}
		if unsettled, err = s.unsettled(ctx, spec.Host, id); err != nil {
			return Node{}, false, err
		}
	}
	n, err = s.inv.Node(id)
	if slices.Contains(unsettled, deleteIntent) || (err != nil && len(unsettled) > 0) {
		busy := fault.New(fault.NodeBusy, "The node that this Idempotency-Key was used for before is not wholly gone yet (%s is not over); something may be amiss on host %q. Try again in some seconds.", strings.Join(unsettled, ", "), spec.Host)
		busy.RetryAfter = tendInterval
		return Node{}, false, busy
	}
	if err == nil {
		if !spec.asksFor(n) {
			return Node{}, false, fault.New(fault.IdempotencyReused, "This Idempotency-Key was used for node %q. Use a new key for a new request.", n.Name)
		}
		return n, true, nil
	}
	image, err := s.fill(ctx, host, &spec)
	if err != nil {
		return Node{}, false, err
	}
	freeName, err := s.reserveName(spec.Host, spec.Name)
	if err != nil {
		return Node{}, false, err
	}
	defer freeName()

	if err := s.make(ctx, host, spec, id, image); err != nil {
		return Node{}, false, explain(err, "make", spec.Name)
	}
	n, err = s.shown(ctx, spec.Host, id)
	return n, false, err
}

// KeyedID returns the id of the node that an account creates with an IdempotencyKey.
func KeyedID(owner, key string) string {
	return uuid.NewSHA1(keyspace, []byte(owner+"\x00"+key)).String()
}

// Check returns an error if a node cannot be created, as far as this can be checked in
// advance; otherwise it returns the spec with the defaults filled in. Errors: those of Create
// except IdempotencyReused.
func (s *Service) Check(ctx context.Context, spec Spec) (Spec, error) {
	host, err := s.reach(ctx, &spec)
	if err != nil {
		return spec, err
	}
	if _, err := s.fill(ctx, host, &spec); err != nil {
		return spec, err
	}
	if err := host.Do(ctx, "node.check", func(conn *libvirt.Connect) error {
		_, err := s.newCard(conn, host, spec.Network)
		return err
	}); err != nil {
		return spec, err
	}
	freeName, err := s.reserveName(spec.Host, spec.Name)
	if err != nil {
		return spec, err
	}
	freeName()
	return spec, nil
}

// reach returns the host for a new node, and sets its name in the spec.
func (s *Service) reach(ctx context.Context, spec *Spec) (*hypervisor.Host, error) {
	if err := ValidName(spec.Name); err != nil {
		return nil, err
	}
	host, err := s.o.Hosts.Host(spec.Host)
	if err != nil {
		return nil, err
	}
	spec.Host = host.Name()
	// Nothing is known about a host that was never connected, not even its images.
	if err := host.Do(ctx, "host.reach", func(*libvirt.Connect) error { return nil }); err != nil {
		return nil, err
	}
	return host, nil
}

// fill checks a spec against its image and its host, and fills in the defaults.
func (s *Service) fill(ctx context.Context, host *hypervisor.Host, spec *Spec) (BaseImage, error) {
	image, err := s.o.Storage.Usable(spec.Host, spec.ImageID)
	if err != nil {
		return BaseImage{}, err
	}
	if spec.ImageType != "" && spec.ImageType != image.Type {
		return BaseImage{}, fault.New(fault.ImageNotFound, "%[2]q is a %[3]s image, not a %[1]s image.", spec.ImageType, spec.ImageID, image.Type)
	}
	caps := host.Status().Capabilities
	least, usual := image.diskBytes()
	spec.DiskBytes = cmp.Or(spec.DiskBytes, usual)
	*spec, err = spec.complete(limits{host: spec.Host, maxRAMMiB: caps.MemoryMiB, maxCPUs: caps.CPUs, imageID: image.ID, imageBytes: least})
	if err != nil {
		return BaseImage{}, err
	}
	spec.OSType = cmp.Or(spec.OSType, image.OSType)
	spec.Firmware = cmp.Or(spec.Firmware, image.Firmware, definition.BIOS)
	if spec.TPM == nil {
		spec.TPM = &image.TPM
	}
	return image, checkFirmware(ctx, host, *spec)
}

// make creates the overlay and defines the domain, or leaves neither.
func (s *Service) make(ctx context.Context, host *hypervisor.Host, spec Spec, id string, image BaseImage) error {
	logPath, err := s.o.Storage.ConsoleLog(spec.Host, id)
	if err != nil {
		return err
	}
	variables, err := s.variablesOf(spec.Host, id)
	if err != nil {
		return err
	}
	b := build{
		variablesPath: variables,
		id:            id, name: spec.Name, accelerator: host.Status().Capabilities.Accelerator, ramMiB: spec.RAMMiB, cpus: spec.CPUs,
		logPath:  logPath,
		firmware: spec.Firmware, tpm: *spec.TPM,
		vncPassword: rand.Text()[:8], // VNC uses at most eight characters
		metadata:    definition.NewMetadata(s.ownerElement(spec.Owner), spec.OSType, image.ImageRef, time.Now()),
	}
	overlay, seed := id+".qcow2", id+seedSuffix
	data := createData{ID: id, Volumes: []string{overlay}}
	if !spec.CloudInit.empty() {
		data.Volumes = append(data.Volumes, seed)
	}
	if spec.IdempotencyKey != "" { // the id may have been used before
		if err := s.mustBeFree(ctx, spec.Host, data.Volumes); err != nil {
			return err
		}
	}
	if image.Format == ISO {
		b.mediaPath = image.Path
	} else {
		b.basePath, b.baseFormat = image.Path, image.Format
	}
	failure, unsettled := s.apply(ctx, store.Change{
		Kind: createIntent, Host: spec.Host, Data: data,
		Do: func(ctx context.Context) (err error) {
			if b.overlayPath, err = s.makeDisk(ctx, spec.Host, overlay, image, spec.DiskBytes); err != nil {
				return err
			}
			if !spec.CloudInit.empty() {
				if b.seedPath, err = s.putSeed(ctx, spec, id, seed); err != nil {
					return err
				}
			}
			return s.define(ctx, host, spec.Network, b)
		},
		Settle: func(ctx context.Context, failure error) error {
			switch {
			case failure == nil:
				return nil
			case b.overlayPath == "" && fault.CodeOf(failure) == fault.HostUnreachable:
				return failure // the disk may have been created before the host went away
			case b.overlayPath == "":
				return nil // nothing was created
			}
			return s.undoCreate(ctx, spec.Host, data)
		},
	})
	if unsettled != nil {
		s.o.Log.Error("a half-made node could not be undone yet; it is tried again soon", "node", id, "error", unsettled)
	}
	return failure
}

// mustBeFree returns an error if a disk of the new node exists already: someone undefined the
// node of an earlier request and kept its disk. The check precedes the intent, because
// recovery would delete the disk.
func (s *Service) mustBeFree(ctx context.Context, host string, volumes []string) error {
	for _, v := range volumes {
		there, err := s.o.Storage.HasNodeVolume(ctx, host, v)
		if err != nil {
			return err
		}
		if there {
			return fault.New(fault.IdempotencyReused, "This Idempotency-Key was used for a node that is gone, and whose disk %s is still there. Use a new key.", v)
		}
	}
	return nil
}

// seedSuffix follows a node's id in the volume name of its cloud-init seed.
const seedSuffix = "-seed.iso"

func (s *Service) putSeed(ctx context.Context, spec Spec, id, volume string) (string, error) {
	content, err := spec.CloudInit.iso(id)
	if err != nil {
		return "", err
	}
	return s.o.Storage.PutNodeVolume(ctx, spec.Host, volume, content)
}

// makeDisk creates a node's first disk: an overlay of the image, or an empty disk if the
// image is installation media.
func (s *Service) makeDisk(ctx context.Context, host, volume string, image BaseImage, bytes int64) (path string, err error) {
	if image.Format == ISO {
		if err := s.o.Storage.CheckUnchanged(ctx, host, image.ID); err != nil {
			return "", err
		}
		return s.o.Storage.CreateDisk(ctx, host, volume, bytes)
	}
	return s.o.Storage.CreateOverlay(ctx, host, volume, image.ID, bytes)
}

// define defines the domain in libvirt, with a network interface on network (see newCard).
func (s *Service) define(ctx context.Context, host *hypervisor.Host, network string, b build) error {
	return host.Do(ctx, "node.define", func(conn *libvirt.Connect) (err error) {
		if b.card, err = s.newCard(conn, host, network); err != nil {
			return err
		}
		text, err := b.xml()
		if err != nil {
			return err
		}
		d, err := conn.DomainDefineXMLFlags(text, libvirt.DOMAIN_DEFINE_VALIDATE)
		if err != nil {
			if other, lookup := conn.LookupDomainByName(b.name); lookup == nil {
				_ = other.Free()
				return nameTaken(host.Name(), b.name)
			}
			return err
		}
		return d.Free()
	})
}

// reserveName prevents two concurrent requests from creating nodes with the same name.
// libvirt itself rejects the name of an existing domain.
func (s *Service) reserveName(host, name string) (free func(), err error) {
	for _, n := range s.inv.Nodes() {
		if n.Host == host && n.Name == name {
			return nil, nameTaken(host, name)
		}
	}
	key := host + "/" + name
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names[key] {
		return nil, nameTaken(host, name)
	}
	s.names[key] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.names, key)
	}, nil
}

func nameTaken(host, name string) error {
	err := fault.New(fault.NodeNameTaken, "Domain %q already exists on host %q. Choose another name.", name, host)
	err.Field = "name"
	return err
}

// isGone returns whether err means that the domain does not exist.
func isGone(err error) bool {
	return errors.Is(err, libvirt.ERR_NO_DOMAIN) || fault.CodeOf(err) == fault.NodeNotFound
}
