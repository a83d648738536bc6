package hypervisor

import (
	"errors"
	"fmt"
	"testing"

	"libvirt.org/go/libvirt"
)

func TestConditionOf(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want Condition
	}{
		"by code":          {libvirt.Error{Code: libvirt.ERR_NO_NETWORK, Message: "réseau introuvable"}, NetworkMissing},
		"code before text": {libvirt.Error{Code: libvirt.ERR_BLOCK_COPY_ACTIVE, Message: "hugetlbfs"}, BlockJobActive},
		"by text":          {libvirt.Error{Code: libvirt.ERR_INTERNAL_ERROR, Message: "No more available PCI slots"}, NoFreeSlot},
		"wrapped":          {fmt.Errorf("start: %w", libvirt.Error{Message: `Failed to get "write" lock`}), DiskLocked},
		"another language": {libvirt.Error{Code: libvirt.ERR_OPERATION_FAILED, Message: "Le périphérique PTY n'est pas encore assigné"}, Other},
		"not of libvirt":   {errors.New("hugetlbfs"), Other},
		"none":             {nil, Other},
	} {
		if got := ConditionOf(c.err); got != c.want {
			t.Errorf("%s: condition %d, want %d", name, got, c.want)
		}
	}
}
