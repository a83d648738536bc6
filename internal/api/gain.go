package api

import (
	"context"
	"errors"
	"slices"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// mayGain refuses what a change brings to a node and whoever asks for it could not give
// it now: by a revert or a clone nobody gets back what was taken away from them.
func (s *Server) mayGain(ctx context.Context, n domain.Node, g domain.Gain) error {
	rights := rightsOf(ctx)
	for _, network := range g.Networks {
		if err := s.mayJoin(ctx, n.Host, network); err != nil {
			return brings(err, "a card on network %q", network)
		}
	}
	for _, file := range g.Files {
		if err := s.mayRead(rights, n.Host, file); err != nil {
			return brings(err, "the disk or medium %s", file)
		}
	}
	if len(g.Devices) > 0 && !rights.Role.AtLeast(access.RoleAdmin) {
		return fault.New(fault.Forbidden, "This adds devices of host %q to node %q. Only administrators can add them.", n.Host, n.Name)
	}
	return nil
}

// mayRead refuses a file of a host that somebody may not put into a drive.
func (s *Server) mayRead(rights access.Rights, host, file string) error {
	images := s.o.Storage.Images()
	i := slices.IndexFunc(images, func(v storagepool.Image) bool { return v.Host == host && v.Path == file })
	if i < 0 {
		if rights.Role.AtLeast(access.RoleAdmin) {
			return nil
		}
		return fault.New(fault.Forbidden, "It is not an image. Ask an administrator.")
	}
	if err := allowImage(rights, images[i], access.Use); err != nil {
		return err
	}
	_, err := s.o.Storage.Usable(host, images[i].ID)
	return err
}

// brings says what a change would bring that is refused.
func brings(err error, what string, args ...any) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	return fault.Wrap(err, f.Code, "This brings "+what+". %s", append(args, f.Message)...)
}
