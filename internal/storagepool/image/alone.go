package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/store"
)

// libvirt deletes a backing file even if it has overlays, so whoever creates an overlay
// and whoever deletes an image must notice each other, even in different processes with
// different databases. They use libvirt itself: whoever needs exclusive access to an image
// first creates a mark, a volume in the images pool, and then looks for overlays; whoever
// creates an overlay creates it first and then looks for marks. At least one of them
// notices the other and aborts.

// markPrefix is the prefix of the name of a mark. It is followed by the mark's own id, a
// dash, and the name of the image's volume.
const markPrefix = ".held-"

const markIntent = "image.hold"

// markData is what recovery needs to remove a mark.
type markData struct {
	Mark string `json:"mark"`
}

// alone calls f while no volume is backed by an image, and none can be created; otherwise
// it returns fault.ImageInUse. f may delete the image's volume.
func (s *Service) alone(ctx context.Context, img Image, f func(context.Context) error) error {
	unlock, err := s.standing.lock(ctx, img.Host+"/"+img.ID, true)
	if err != nil {
		return err
	}
	defer unlock()
	if img.Path == "" {
		return f(ctx) // the volume does not exist
	}
	data := markData{markPrefix + uuid.NewString() + "-" + volumeName(img)}
	failure, unsettled := s.o.Intents.Apply(ctx, store.Change{
		Kind: markIntent, Host: img.Host, Data: data,
		Do:     func(ctx context.Context) error { return s.marked(ctx, img, data, f) },
		Settle: func(ctx context.Context, _ error) error { return s.dropMark(ctx, img.Host, data) },
	})
	if unsettled != nil {
		s.o.Log.Warn("the mark of an image could not be removed yet; it is tried again soon", "image", img.ID, "error", unsettled)
	}
	return failure
}

// marked creates the mark of an image and calls f, unless the image is in use.
func (s *Service) marked(ctx context.Context, img Image, data markData, f func(context.Context) error) error {
	err := s.o.Pools.ImagesPool(img.Host).Do(ctx, func(h *storagepool.Handle) error {
		vol, err := h.MakeEmpty(data.Mark, "")
		if err != nil {
			return h.Fault(err)
		}
		_ = vol.Free()
		return mustBeUnmarked(h, volumeName(img), data.Mark)
	})
	if err != nil {
		return err
	}
	all, err := s.o.Pools.Survey(ctx, img.Host)
	if err != nil {
		return err
	}
	if users := all.On(img.Path); len(users) > 0 {
		return fault.New(fault.ImageInUse, "Image %q is used by %d disks (%s). Delete the nodes that use it first.", img.ID, len(users), namesOf(users))
	}
	users, err := s.o.Pools.UsersOf(ctx, img.Host, all, "", img.Path)
	if err != nil {
		return err
	}
	if len(users.Using) > 0 {
		return fault.New(fault.ImageInUse, "Image %q is used by %s. Delete what uses it first.", img.ID, strings.Join(storagepool.FirstOf(users.Using), ", "))
	}
	if err := users.Unclear("Image " + strconv.Quote(img.ID)); err != nil {
		return fault.Wrap(err, fault.ImageInUse, "%s", err.Message)
	}
	return f(ctx)
}

// mustBeUnmarked returns fault.ImageInUse while someone else has exclusive access to the
// image in a volume. own is the caller's mark, if any.
func mustBeUnmarked(h *storagepool.Handle, volume, own string) error {
	names, err := h.ListStorageVolumes()
	if err != nil {
		return err
	}
	for _, name := range names {
		mark, ok := strings.CutPrefix(name, markPrefix)
		if id := len(uuid.Nil.String()); ok && name != own && len(mark) > id && mark[id+1:] == volume {
			return fault.New(fault.ImageInUse, "The image in volume %q is being deleted or changed. Try again when that has finished. To remove a mark left by a crash, run `virsh vol-delete %s %s`.", volume, name, h.Name)
		}
	}
	return nil
}

// MustStand returns fault.ImageInUse if an image is being deleted or changed, and
// fault.ImageNotFound if it was deleted. It returns nil for files that are not in the
// images pool.
func (s *Service) MustStand(ctx context.Context, host, base string) error {
	return s.o.Pools.ImagesPool(host).Do(ctx, func(h *storagepool.Handle) error {
		if path.Dir(base) != path.Clean(h.Folder) {
			return nil
		}
		volume := path.Base(base)
		if err := mustBeUnmarked(h, volume, ""); err != nil {
			return err
		}
		vol, err := h.Find(volume)
		if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
			return fault.Wrap(err, fault.ImageNotFound, "The image in volume %q was deleted meanwhile.", volume)
		}
		if err != nil {
			return err
		}
		return vol.Free()
	})
}

func (s *Service) dropMark(ctx context.Context, host string, data markData) error {
	return s.o.Pools.ImagesPool(host).Delete(ctx, data.Mark)
}

// recoverMarks removes the marks that a crash left.
func (s *Service) recoverMarks(ctx context.Context, host string) error {
	left, err := s.o.Intents.Left(ctx, host, markIntent)
	if err != nil {
		return err
	}
	var failed []error
	for _, in := range left {
		var data markData
		err := json.Unmarshal(in.Data, &data)
		if err == nil {
			err = s.dropMark(ctx, host, data)
		}
		if err == nil {
			err = s.o.Intents.Done(ctx, in.ID)
		}
		if err != nil { // it does not stop the others
			if fault.CodeOf(err) != fault.HostUnreachable && ctx.Err() == nil {
				err = errors.Join(err, s.o.Intents.Failed(ctx, in.ID, "The mark "+data.Mark+" of an image cannot be removed; the service's log says why."))
			}
			failed = append(failed, fmt.Errorf("remove a mark: %w", err))
		}
	}
	return errors.Join(failed...)
}

// namesOf lists the names and pools of the first few volumes.
func namesOf(list []storagepool.Volume) string {
	var names []string
	for _, v := range list {
		names = append(names, v.Path[strings.LastIndexByte(v.Path, '/')+1:]+" in pool "+v.Pool)
	}
	return strings.Join(storagepool.FirstOf(names), ", ")
}

// Share prevents an image from being deleted or changed until release is called.
func (s *Service) Share(ctx context.Context, host, id string) (release func(), err error) {
	return s.standing.lock(ctx, host+"/"+id, false)
}
