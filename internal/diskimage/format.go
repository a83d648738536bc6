// Package diskimage checks the headers and tables of disk images before any other program
// opens them. Input is untrusted: whatever could make QEMU open another file, fail, or use
// too many resources is rejected with fault.ImageUnsafe and a reason. The package does not
// open files and does not guess formats.
package diskimage

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

// The formats of images. Except for VHD and VHDX, libvirt uses the same names.
const (
	QCOW2 = "qcow2"
	ISO   = "iso" // an ISO 9660 file system: installation media

	// Images in these formats are converted to qcow2.
	Raw  = "raw"
	VMDK = "vmdk"
	VDI  = "vdi"
	VHD  = "vhd"
	VHDX = "vhdx"
	// SnapshotsQCOW2 is a qcow2 disk with internal snapshots. Conversion drops them,
	// because they may contain more data than the disk, and other disks.
	SnapshotsQCOW2 = "qcow2-snapshots"
)

// MaxVirtualBytes is the maximum virtual size of a disk.
const MaxVirtualBytes = 2 << 40

// Recognise returns the format of a file that is used without conversion. It only reads its
// first bytes, HeaderBytes of them or the whole file, and returns fault.ImageUnsafe if the
// format is not supported or the header is not safe.
func Recognise(head []byte) (format string, err error) {
	if isISO(head) {
		_, err = ParseISO(head)
		return ISO, err
	}
	_, err = ParseQcow2(head, MaxVirtualBytes)
	return QCOW2, err
}

// RecogniseIncoming is Recognise for an uploaded or pulled file, which may have to be
// decompressed or converted. The format of a compressed file is its compression; its
// contents are checked as far as the first bytes allow. File names and metadata of clients
// are ignored.
func RecogniseIncoming(head []byte) (format string, err error) {
	if packing := PackingOf(head); packing == TarPacking {
		return packing, nil // its first file is not necessarily the disk
	} else if packing != "" {
		inner, err := unpackHead(packing, head)
		if err != nil || inner == nil || len(inner) < HeaderBytes && len(head) == HeaderBytes {
			return packing, err // not enough data to check it yet
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

// UsedAsIs reports whether files of a format are used without conversion.
func UsedAsIs(format string) bool { return format == QCOW2 || format == ISO }

// NestedError returns the error for a file that is compressed twice.
func NestedError(packing string) error {
	return Unsafe("the file is compressed twice, inside with %s. Decompress it once", packing)
}

// Reading returns a part of a file; less at the end of the file.
type Reading func(offset, length int64) ([]byte, error)

// Disk is a disk of a format that is converted, as its header describes it.
type Disk interface {
	Format() string
	// Verify checks all tables that the header points to in a file of size bytes, and
	// returns the virtual size and the maximum amount of data in bytes. It returns
	// fault.ImageUnsafe if the file is unsafe or truncated.
	Verify(size int64, read Reading) (virtualBytes, dataBytes int64, err error)
}

// ParseDisk parses the header of a disk that will be converted. Everything that could refer
// to another file is rejected with fault.ImageUnsafe.
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
		return vhdx{}, nil // its header is after the first bytes
	}
	return parseRaw(head)
}

// signatures are the first bytes of other file types.
var signatures = []struct {
	offset int
	text   string
	disk   bool
	what   string
}{
	{0, qcow2Magic, true, "it is a qcow2 disk"},
	{0, "QED\x00", true, "it seems to be a QED disk"},
	{0, vmdkMagic, true, "it seems to be a VMDK disk"},
	{0, "COWD", true, "it seems to be a VMDK disk of an old version"},
	{0, "# Disk DescriptorFile", true, "it seems to be a VMDK descriptor, which refers to other files"},
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

// isDisk reports whether a file starts with the header of a disk format.
func isDisk(head []byte) bool {
	for _, s := range signatures {
		if s.disk && len(head) > s.offset && bytes.HasPrefix(head[s.offset:], []byte(s.text)) {
			return true
		}
	}
	return false
}

// describe describes the file type in the error for an unsupported file.
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

// window reads small parts of a file that are close to each other.
type window struct {
	read  Reading
	size  int64 // of the file
	at    int64
	bytes []byte
}

const windowBytes = 1 << 20

// part returns length bytes at offset; io.ErrUnexpectedEOF if the file ends before.
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

// exactly is part for isolated parts: it does not read ahead.
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

// cutOff is the error for a file that ends before the data that its tables refer to.
func cutOff(err error, what string, size int64) error {
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return Unsafe("its %s is beyond the end of the file (%d bytes): the file is truncated. Copy or export it again", what, size)
}

// checkVirtual returns an error if the virtual size is out of range.
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

// trimmed returns the text in a header field without padding.
func trimmed(field []byte) string { return strings.TrimRight(string(field), "\x00 ") }
