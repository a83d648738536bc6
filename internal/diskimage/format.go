// Package diskimage reads what files of disks say of themselves: their headers and
// tables, before any other program opens them. What comes is hostile: whatever
// could make QEMU open another file, fail, or take more than it should, is refused
// with fault.ImageUnsafe and a reason. Nothing here opens a file, or guesses.
package diskimage

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// The formats of images, as libvirt names them too, but for VHD and VHDX.
const (
	QCOW2 = "qcow2"
	ISO   = "iso" // an ISO 9660 file system: installation media

	// Images that come in one of these are converted to qcow2.
	Raw  = "raw"
	VMDK = "vmdk"
	VDI  = "vdi"
	VHD  = "vhd"
	VHDX = "vhdx"
	// SnapshotsQCOW2 is a qcow2 disk with internal snapshots, which its conversion leaves
	// out: they may hold more than the disk seems to, and other disks.
	SnapshotsQCOW2 = "qcow2-snapshots"
)

// MaxVirtualBytes is the largest disk that is taken.
const MaxVirtualBytes = 2 << 40

// Recognise tells the format of a file that is to be used as it is by its first
// bytes alone, HeaderBytes of them or the whole file, and answers
// fault.ImageUnsafe when that format is not taken or its header not safe.
func Recognise(head []byte) (format string, err error) {
	if isISO(head) {
		_, err = ParseISO(head)
		return ISO, err
	}
	_, err = ParseQcow2(head, MaxVirtualBytes)
	return QCOW2, err
}

// RecogniseIncoming is Recognise for a file that somebody sends, which may have to
// be unpacked or converted: then format is not used as it is. Of a packed file, the
// format is its packing, and what is within is looked at as far as the first bytes
// tell. Names, and what a client says of a file, count for nothing.
func RecogniseIncoming(head []byte) (format string, err error) {
	if packing := PackingOf(head); packing == TarPacking {
		return packing, nil // its first file need not be the disk
	} else if packing != "" {
		inner, err := unpackHead(packing, head)
		if err != nil || inner == nil || len(inner) < HeaderBytes && len(head) == HeaderBytes {
			return packing, err // too little of it to be judged yet
		}
		if nested := PackingOf(inner); nested == TarPacking {
			return packing, nil
		} else if nested != "" {
			return "", NestedError(nested)
		}
		_, err = RecogniseDisk(inner)
		return packing, err
	}
	return RecogniseDisk(head)
}

// RecogniseDisk is Recognise for a file that may have to be converted.
func RecogniseDisk(head []byte) (format string, err error) {
	if isISO(head) || bytes.HasPrefix(head, []byte(qcow2Magic)) {
		if hasSnapshots(head) {
			_, err := parseQcow2(head, MaxVirtualBytes)
			return SnapshotsQCOW2, err
		}
		return Recognise(head)
	}
	d, err := ParseDisk(head)
	if err != nil {
		return "", err
	}
	return d.Format(), nil
}

// UsedAsIs tells whether files of a format are images as they are.
func UsedAsIs(format string) bool { return format == QCOW2 || format == ISO }

// NestedError tells that what is packed is packed again within.
func NestedError(packing string) error {
	return Unsafe("it is packed twice, within with %s. Unpack it once", packing)
}

// Reading returns a part of a file, or what there is of it.
type Reading func(offset, length int64) ([]byte, error)

// Disk is a disk of a format that is converted, as its header describes it.
type Disk interface {
	Format() string
	// Verify looks at all that the header points to in a file of size bytes, and
	// returns how large the disk is and at most how many bytes of data it holds. It
	// answers fault.ImageUnsafe when something in it is not safe, or cut off.
	Verify(size int64, read Reading) (virtualBytes, dataBytes int64, err error)
}

// ParseDisk reads the header of a disk that is to be converted from its first
// bytes. Whatever could name another file is refused with fault.ImageUnsafe.
func ParseDisk(head []byte) (Disk, error) {
	switch {
	case hasSnapshots(head):
		q, err := parseQcow2(head, MaxVirtualBytes)
		return snapshots{q}, err
	case bytes.HasPrefix(head, []byte(vmdkMagic)):
		return parseVMDK(head)
	case len(head) > vdiSignature && bytes.HasPrefix(head[vdiSignature:], []byte(vdiMagic)):
		return parseVDI(head)
	case bytes.HasPrefix(head, []byte(vhdMagic)):
		return parseVHD(head)
	case bytes.HasPrefix(head, []byte(vhdxMagic)):
		return vhdx{}, nil // its header is behind the first bytes
	}
	return parseRaw(head)
}

// signatures are what files of other kinds begin with.
var signatures = []struct {
	offset int
	text   string
	disk   bool
	what   string
}{
	{0, qcow2Magic, true, "it is a qcow2 disk"},
	{0, "QED\x00", true, "it seems to be a QED disk"},
	{0, vmdkMagic, true, "it seems to be a VMDK disk"},
	{0, "COWD", true, "it seems to be a VMDK disk of an old kind"},
	{0, "# Disk DescriptorFile", true, "it seems to be the descriptor of a VMDK disk, which names other files"},
	{0, vhdxMagic, true, "it seems to be a VHDX disk"},
	{0, vhdMagic, true, "it seems to be a VHD disk"},
	{0, "WithoutFreeSpace", true, "it seems to be a Parallels disk"},
	{0, "WithouFreSpacExt", true, "it seems to be a Parallels disk"},
	{0, "Bochs Virtual HD Image", true, "it seems to be a Bochs disk"},
	{0, "#!/bin/sh\n#V2.0 Format\n", true, "it seems to be a cloop disk"},
	{0, "OOOM", true, "it seems to be a User-mode Linux disk"},
	{0, "LUKS\xba\xbe", true, "it is encrypted with LUKS"},
	{vdiSignature, vdiMagic, true, "it seems to be a VDI disk"},
	{0, gzipMagic, false, "it is compressed with gzip"},
	{0, xzMagic, false, "it is compressed with xz"},
	{0, zstdMagic, false, "it is compressed with zstd"},
	{0, "BZh", false, "it is compressed with bzip2"},
	{0, "7z\xbc\xaf", false, "it is a 7-Zip archive; unpack it first"},
	{0, "PK\x03\x04", false, "it is a ZIP archive; unpack it first"},
	{tarMagicOffset, tarMagic, false, "it is a tar archive"},
	{isoDescriptor + 1, "CD001", false, "it seems to be an ISO file"},
}

// isDisk tells whether a file begins as a disk of a format with a header.
func isDisk(head []byte) bool {
	for _, s := range signatures {
		if s.disk && len(head) > s.offset && bytes.HasPrefix(head[s.offset:], []byte(s.text)) {
			return true
		}
	}
	return false
}

// describe names what a file seems to be, for the message that refuses it.
func describe(head []byte, otherwise string) string {
	if len(head) == 0 {
		return "the file is empty"
	}
	for _, s := range signatures {
		if len(head) > s.offset && bytes.HasPrefix(head[s.offset:], []byte(s.text)) {
			return s.what
		}
	}
	return otherwise
}

// window reads small parts of a file that lie close to each other.
type window struct {
	read  Reading
	size  int64 // of the file
	at    int64
	bytes []byte
}

const windowBytes = 1 << 20

// part returns length bytes at offset; io.ErrUnexpectedEOF where the file ends
// before.
func (w *window) part(offset, length int64) ([]byte, error) {
	if offset < 0 || length < 0 || offset > w.size-length {
		return nil, io.ErrUnexpectedEOF
	}
	if offset < w.at || offset+length > w.at+int64(len(w.bytes)) {
		var err error
		w.at = offset
		if w.bytes, err = w.read(offset, min(max(length, windowBytes), w.size-offset)); err != nil {
			w.bytes = nil
			return nil, err
		}
		if int64(len(w.bytes)) < length {
			return nil, io.ErrUnexpectedEOF
		}
	}
	return w.bytes[offset-w.at:][:length], nil
}

// exactly is part for what nothing else lies near to: it reads no more than that.
func (w *window) exactly(offset, length int64) ([]byte, error) {
	if offset < 0 || length < 0 || offset > w.size-length {
		return nil, io.ErrUnexpectedEOF
	}
	part, err := w.read(offset, length)
	if err == nil && int64(len(part)) < length {
		err = io.ErrUnexpectedEOF
	}
	return part, err
}

// cutOff is the error of a file that ends before what its tables point to.
func cutOff(err error, what string, size int64) error {
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return Unsafe("its %s is not all within the file, which ends after %d bytes: it was cut off. Copy or export it again", what, size)
}

// checkVirtual expects the size of a disk to be one that may be.
func checkVirtual(bytes uint64) error {
	switch {
	case bytes == 0:
		return Unsafe("its virtual size is 0")
	case bytes > MaxVirtualBytes:
		return Unsafe("its virtual size is %d bytes; the limit is %d", bytes, int64(MaxVirtualBytes))
	}
	return nil
}

func isPowerOf2(n uint64) bool { return n != 0 && n&(n-1) == 0 }

// trimmed is a text in a field of a header, without what fills the rest of it.
func trimmed(field []byte) string { return strings.TrimRight(string(field), "\x00 ") }
