// Package disk creates the nodes' disks: overlays on images, clones and copies. It also
// manages other files of nodes in storage pools, such as console logs.
package disk

import (
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
)

// Service manages the nodes' disks on all hosts. Its methods are safe for concurrent use.
type Service struct {
	pools  *storagepool.Service
	images *image.Service
	logs   map[string]*logFolder // by host name
}

// New returns a Service for the pools and images of hosts.
func New(hosts *hypervisor.Set, pools *storagepool.Service, images *image.Service) *Service {
	s := &Service{pools: pools, images: images, logs: map[string]*logFolder{}}
	for _, h := range hosts.Hosts() {
		s.logs[h.Name()] = &logFolder{turn: make(chan struct{}, 1)}
	}
	return s
}
