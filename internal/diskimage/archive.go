package diskimage

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	// maxArchiveEntries limits how many files of an archive are examined.
	maxArchiveEntries = 1000
	maxShownName      = 60 // bytes of a file's name in a message

	tarMagicOffset = 257
	tarMagic       = "ustar"
	tarSumOffset   = 148
	tarSumBytes    = 8
	tarBlockBytes  = 512
)

// IsArchive reports whether a file starts like a tar archive, such as an OVA.
func IsArchive(head []byte) bool {
	if len(head) < tarBlockBytes || !bytes.HasPrefix(head[tarMagicOffset:], []byte(tarMagic)) || isISO(head) {
		return false
	}
	want, err := strconv.ParseInt(strings.Trim(string(head[tarSumOffset:][:tarSumBytes]), " \x00"), 8, 64)
	sum := int64(0)
	for i, b := range head[:tarBlockBytes] {
		if i >= tarSumOffset && i < tarSumOffset+tarSumBytes {
			b = ' '
		}
		sum += int64(b)
	}
	return err == nil && sum == want
}

// Archive reads the only disk in a tar archive. Other files, such as the descriptor of an
// OVA, are skipped.
type Archive struct {
	t       *tar.Reader
	packing string // for its errors
	entries int
	name    string // of the disk
	disk    io.Reader
	machine Machine
}

// Machine returns the contents of the OVF descriptors that were read so far: of all of them
// once Read has returned io.EOF.
func (a *Archive) Machine() Machine { return a.machine }

// OpenArchive returns an Archive at the first byte of its disk. It returns
// fault.ImageUnsafe if the archive has no disk or an unsupported one. Errors of r are
// returned unchanged, unless they mean that a compressed file is damaged.
func OpenArchive(packing string, r io.Reader) (*Archive, error) {
	a := &Archive{t: tar.NewReader(r), packing: packing}
	name, disk, err := a.next()
	if err == nil && disk == nil {
		err = Unsafe("the archive contains no supported disk (qcow2, raw, VMDK, VDI, VHD, VHDX or ISO)")
	}
	a.name, a.disk = name, disk
	return a, err
}

// next advances to the next disk in the archive; nil at its end.
func (a *Archive) next() (name string, disk io.Reader, err error) {
	for {
		h, err := a.t.Next()
		if errors.Is(err, io.EOF) {
			return "", nil, nil
		}
		if err != nil {
			return "", nil, a.explain(err)
		}
		if a.entries++; a.entries > maxArchiveEntries {
			return "", nil, Unsafe("the archive contains more than %d files. Upload only the disk", maxArchiveEntries)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		head := make([]byte, HeaderBytes)
		n, err := io.ReadFull(a.t, head)
		if err != nil && !errors.Is(err, io.EOF) && (!errors.Is(err, io.ErrUnexpectedEOF) || int64(n) < min(h.Size, HeaderBytes)) {
			return "", nil, a.explain(err)
		}
		head = head[:n]
		if strings.HasSuffix(strings.ToLower(h.Name), ".ovf") && h.Size <= maxOVFBytes {
			rest, err := io.ReadAll(a.t)
			if err != nil {
				return "", nil, a.explain(err)
			}
			a.machine = parseOVF(append(head, rest...))
			continue
		}
		switch is, err := a.isDisk(head); {
		case err != nil:
			return "", nil, err
		case is:
			return h.Name, io.MultiReader(bytes.NewReader(head), a.t), nil
		}
	}
}

// isDisk reports whether a file in the archive starts like a disk. An unsafe disk is an
// error: skipping it could select another file as the disk.
func (a *Archive) isDisk(head []byte) (bool, error) {
	if packing := PackingOf(head); packing != "" {
		return false, NestedError(packing)
	}
	_, err := RecogniseDisk(head)
	if err != nil && (isDisk(head) || isISO(head)) {
		return false, err
	}
	return err == nil, nil
}

func (a *Archive) explain(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Unsafe("the archive is damaged or truncated. Copy or export it again")
	}
	return err
}

// Read reads the disk. At its end it checks the rest of the archive, and returns
// fault.ImageUnsafe if that contains another disk.
func (a *Archive) Read(p []byte) (int, error) {
	n, err := a.disk.Read(p)
	if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		if err != nil {
			err = a.explain(err)
		}
		return n, err
	}
	if n > 0 {
		return n, nil
	}
	name, more, err := a.next()
	switch {
	case err != nil:
		return 0, err
	case more != nil:
		return 0, Unsafe("the archive contains several disks, for example %s and %s. Unpack it and upload them one by one", shown(a.name), shown(name))
	}
	return 0, io.EOF
}

// shown formats a file's name for a message.
func shown(name string) string {
	if len(name) > maxShownName {
		name = name[:maxShownName] + "…"
	}
	return fmt.Sprintf("%q", strings.ToValidUTF8(name, "?"))
}
