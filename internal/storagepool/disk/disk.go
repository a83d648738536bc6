// Package disk makes the nodes' disks: overlays on images, clones and copies, and keeps what
// else a node has in storage pools, such as its console log.
package disk

import (
	"github.com/sandboxlabs/sandboxlabs/internal/hypervisor"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
)

// Service is the nodes' disks of all hosts. Its methods may be called from any goroutine.
type Service struct {
	pools  *storagepool.Service
	images *image.Service
	logs   map[string]*logFolder // by host name
}

// New makes a Service on the pools and images of hosts.
func New(hosts *hypervisor.Set, pools *storagepool.Service, images *image.Service) *Service {
	s := &Service{pools: pools, images: images, logs: map[string]*logFolder{}}
	for _, h := range hosts.Hosts() {
		s.logs[h.Name()] = &logFolder{turn: make(chan struct{}, 1)}
	}
	return s
}
