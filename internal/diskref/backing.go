package diskref

import (
	"encoding/json"
	"path"
	"strings"
)

// filePrefixes are QEMU's protocols that open a local file or device, and take the rest
// of the name for its path.
var filePrefixes = map[string]bool{"file": true, "host_device": true, "host_cdrom": true}

// networkPrefixes are protocols, and drivers of the same names, that open no file of the
// host.
var networkPrefixes = map[string]bool{
	"nbd": true, "nbd+tcp": true, "nbd+unix": true, "http": true, "https": true, "ftp": true, "ftps": true, "tftp": true,
	"ssh": true, "iscsi": true, "iser": true, "rbd": true, "sheepdog": true, "sheepdog+tcp": true, "sheepdog+unix": true,
	"gluster": true, "gluster+tcp": true, "gluster+unix": true, "gluster+rdma": true, "nfs": true, "nvme": true, "vxhs": true,
	"null-co": true, "null-aio": true, "vhost-user-blk": true, "virtio-blk-vhost-vdpa": true,
}

// Backing returns the paths of the files that the name of a backing file leads to, as
// QEMU reads it from the header of the file overlay: an absolute or a relative path, one
// with the prefix `file:`, or `json:` with the options of a block device. It returns no
// path for what is elsewhere, such as nbd://…; ok is false for what it does not
// understand.
func Backing(name, overlay string) (paths []string, ok bool) {
	if name == "" {
		return nil, true
	}
	if text, is := strings.CutPrefix(name, "json:"); is {
		return backingOfJSON(text, overlay)
	}
	protocol, rest, has := strings.Cut(name, ":")
	switch {
	case !has || strings.Contains(protocol, "/"): // QEMU looks for the colon only before the first slash
		return []string{absolute(name, overlay)}, true
	case filePrefixes[protocol]:
		return []string{absolute(rest, overlay)}, true
	case networkPrefixes[protocol]:
		return nil, true
	}
	return nil, false
}

// absolute is a path beside the file that names it. It is not cleaned: what `..` leads to
// depends on symbolic links.
func absolute(name, overlay string) string {
	if path.IsAbs(name) {
		return name
	}
	return path.Dir(overlay) + "/" + name
}

// backingOfJSON finds all files in the options of a block device, at whatever depth, as
// objects or by dotted keys.
func backingOfJSON(text, overlay string) (paths []string, ok bool) {
	var options any
	if json.Unmarshal([]byte(text), &options) != nil {
		return nil, false
	}
	elsewhere, understood := false, true
	var walk func(key string, v any)
	walk = func(key string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, inner := range v {
				walk(k, inner)
			}
		case []any:
			for _, inner := range v {
				walk(key, inner)
			}
		case string:
			switch last := key[strings.LastIndexByte(key, '.')+1:]; last {
			case "filename":
				more, known := Backing(v, overlay)
				paths, understood = append(paths, more...), understood && known
				elsewhere = elsewhere || known && len(more) == 0
			case "driver":
				elsewhere = elsewhere || networkPrefixes[v]
			}
		}
	}
	walk("", options)
	return paths, understood && (elsewhere || len(paths) > 0)
}

// Qcow2Backing returns the name of the backing file in the header of a qcow2 file, whose
// first bytes are head; empty when there is none. ok is false when head is not a qcow2
// header, or too short.
func Qcow2Backing(head []byte) (name string, ok bool) {
	const headerBytes = 24
	if len(head) < headerBytes || string(head[:4]) != "QFI\xfb" {
		return "", false
	}
	var offset uint64
	for _, b := range head[8:16] {
		offset = offset<<8 | uint64(b)
	}
	var length uint64
	for _, b := range head[16:20] {
		length = length<<8 | uint64(b)
	}
	if offset == 0 || length == 0 {
		return "", true
	}
	if size := uint64(len(head)); offset > size || length > size-offset {
		return "", false
	}
	return string(head[offset : offset+length]), true
}
