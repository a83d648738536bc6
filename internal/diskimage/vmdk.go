package diskimage

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"slices"
	"strings"
)

// A single-file VMDK disk: VMware's Virtual Disk Format, "hosted sparse extent". Sectors
// have 512 bytes.
const (
	vmdkMagic   = "KDMV"
	sectorBytes = 512

	vmdkNewlines   = 1 << 0 // the header contains a test for changed line breaks
	vmdkCompressed = 1 << 16

	vmdkTableEntries = 512 // of a grain table
	vmdkTableBytes   = 4 * vmdkTableEntries
	vmdkMaxTables    = 1 << 16          // as many as a disk of MaxVirtualBytes has with the default grain size
	vmdkAtEnd        = 1<<64 - 1        // instead of the grain directory's sector: it is in the footer
	vmdkFooterBytes  = 3 * sectorBytes  // a marker, the footer, the end of the stream
	vmdkMaxDescBytes = 20 * sectorBytes // what QEMU reads of a descriptor
	vmdkFooterMarker = 3
	vmdkMaxGrain     = 1 << 20 / sectorBytes
)

// vmdk is the header of a VMDK disk.
type vmdk struct {
	header                  []byte
	sectors, grain, gdStart uint64
	compressed              bool
}

func (vmdk) Format() string { return VMDK }

// parseVMDK reads the header and the descriptor within the file. It rejects references to
// other files: a descriptor instead of the header, an external extent, a parent.
func parseVMDK(head []byte) (Disk, error) {
	if len(head) < 2*sectorBytes {
		return nil, Unsafe("its header is truncated after %d bytes. Copy or export it again", len(head))
	}
	le := binary.LittleEndian
	v := vmdk{
		header: bytes.Clone(head[:sectorBytes]), sectors: le.Uint64(head[12:]), grain: le.Uint64(head[20:]), gdStart: le.Uint64(head[56:]),
		compressed: le.Uint32(head[8:])&vmdkCompressed != 0,
	}
	if version := le.Uint32(head[4:]); version < 1 || version > 3 {
		return nil, Unsafe("its VMDK version is %d; supported are 1 to 3", version)
	}
	if v.sectors == 0 {
		return nil, Unsafe("it is a descriptor instead of a disk, so it would read other files of the host. Convert it with `qemu-img convert -O qcow2 SOURCE image.qcow2` where they are")
	}
	if v.sectors > MaxVirtualBytes/sectorBytes {
		return nil, checkVirtual(MaxVirtualBytes + 1)
	}
	switch {
	case le.Uint32(head[8:])&vmdkNewlines != 0 && !bytes.Equal(head[73:77], []byte("\n \r\n")):
		return nil, Unsafe("a transfer in text mode has changed its line breaks. Copy it again in binary mode")
	case !isPowerOf2(v.grain) || v.grain < 8 || v.grain > vmdkMaxGrain:
		return nil, Unsafe("its grain size of %d sectors is invalid", v.grain)
	case le.Uint32(head[44:]) != vmdkTableEntries:
		return nil, Unsafe("its grain tables have %d entries instead of %d", le.Uint32(head[44:]), vmdkTableEntries)
	case le.Uint16(head[77:]) > 1 || (le.Uint16(head[77:]) == 1) != v.compressed:
		return nil, Unsafe("its compression type is %d, which contradicts its flags", le.Uint16(head[77:]))
	}
	return v, v.checkDescriptor(head)
}

var vmdkExtent = regexp.MustCompile(`^(RW|RDONLY|NOACCESS)\s+(\d+)\s+(\w+)(?:\s+"([^"]*)")?`)

// checkDescriptor checks the text that lists the disk's extents.
func (v vmdk) checkDescriptor(head []byte) error {
	le := binary.LittleEndian
	start, length := le.Uint64(head[28:]), le.Uint64(head[36:])
	if start == 0 || length == 0 || length > vmdkMaxDescBytes/sectorBytes || start > uint64(len(head)) || start+length > uint64(len(head))/sectorBytes { // small
		return Unsafe("its descriptor at sector %d with %d sectors is invalid", start, length)
	}
	// QEMU searches for the parent's key anywhere in the text.
	if bytes.Contains(bytes.ToLower(head), []byte("parentfilenamehint")) {
		return Unsafe("it has a parent disk, so it would read another file of the host. Convert it with `qemu-img convert -O qcow2 SOURCE image.qcow2` where the parent is")
	}
	extents, kind := 0, ""
	for line := range strings.Lines(trimmed(head[start*sectorBytes:][:length*sectorBytes])) {
		line = strings.TrimSpace(line)
		if e := vmdkExtent.FindStringSubmatch(line); e != nil {
			if extents++; e[3] != "SPARSE" || extents > 1 || strings.ContainsAny(e[4], `/\`) {
				return Unsafe("its descriptor refers to an extent outside of the file (%s). Export it as one file, or convert it with `qemu-img convert -O qcow2 SOURCE image.qcow2`", e[3])
			}
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.TrimSpace(key) {
		case "createType":
			kind = value
		case "parentCID":
			if !strings.EqualFold(value, "ffffffff") {
				return Unsafe("it has a parent disk (%.8s), so it would read another file of the host. Convert it with `qemu-img convert -O qcow2 SOURCE image.qcow2` where the parent is", value)
			}
		case "encryption.keySafe":
			return Unsafe("it is encrypted. Convert it to an unencrypted image")
		}
	}
	if kind != "monolithicSparse" && kind != "streamOptimized" {
		return Unsafe("its type is %.40q; supported are the single-file types monolithicSparse and streamOptimized", kind)
	}
	if extents != 1 {
		return Unsafe("its descriptor has no extent")
	}
	return nil
}

// Verify walks the grain directory and the grain tables.
func (v vmdk) Verify(size int64, read Reading) (virtualBytes, dataBytes int64, err error) {
	w := &window{read: read, size: size}
	if v.gdStart == vmdkAtEnd {
		if v.gdStart, err = v.footer(w); err != nil {
			return 0, 0, err
		}
	}
	perTable := v.grain * vmdkTableEntries
	tables := (v.sectors + perTable - 1) / perTable
	if v.gdStart == 0 || v.gdStart > uint64(size)/sectorBytes { //nolint:gosec // not negative
		return 0, 0, Unsafe("its grain directory has the invalid sector %d", v.gdStart)
	}
	part, err := w.part(int64(v.gdStart)*sectorBytes, int64(tables)*4) //nolint:gosec // both are bounded above
	if err != nil {
		return 0, 0, cutOff(err, "grain directory", size)
	}
	places, err := vmdkTables(part)
	if err != nil {
		return 0, 0, err
	}
	for len(places) > 0 {
		// Tables that are close to each other are read together.
		begin, n := places[0], 1
		for n < len(places) && places[n]+vmdkTableBytes <= begin+windowBytes {
			n++
		}
		tables, err := w.exactly(begin, places[n-1]+vmdkTableBytes-begin)
		if err != nil {
			return 0, 0, cutOff(err, "grain table", size)
		}
		for _, at := range places[:n] {
			data, err := v.table(tables[at-begin:][:vmdkTableBytes], size)
			if err != nil {
				return 0, 0, err
			}
			dataBytes += data
		}
		places = places[n:]
	}
	return int64(v.sectors) * sectorBytes, dataBytes, nil //nolint:gosec // bounded when it was parsed
}

// vmdkTables returns the offsets of the grain tables in a grain directory, in file order:
// so never more than the file is read.
func vmdkTables(directory []byte) ([]int64, error) {
	var places []int64
	for ; len(directory) >= 4; directory = directory[4:] {
		if at := int64(binary.LittleEndian.Uint32(directory)) * sectorBytes; at != 0 {
			places = append(places, at)
		}
	}
	if len(places) > vmdkMaxTables {
		return nil, Unsafe("it has more than %d grain tables. Convert it with `qemu-img convert -O qcow2 SOURCE image.qcow2`", vmdkMaxTables)
	}
	slices.Sort(places)
	for i := 1; i < len(places); i++ {
		if places[i] < places[i-1]+vmdkTableBytes {
			return nil, Unsafe("two grain tables have the offset %d. Convert it with `qemu-img convert -O qcow2 SOURCE image.qcow2`", places[i])
		}
	}
	return places, nil
}

// table checks a grain table in a file of size bytes, and returns the maximum amount of
// data that it refers to.
func (v vmdk) table(table []byte, size int64) (dataBytes int64, err error) {
	grainBytes := int64(v.grain) * sectorBytes //nolint:gosec // small
	for ; len(table) >= 4; table = table[4:] {
		at := int64(binary.LittleEndian.Uint32(table)) * sectorBytes
		if at <= sectorBytes {
			continue // missing, or zeros
		}
		end := at + grainBytes
		if v.compressed {
			end = at + sectorBytes // at least its marker
		}
		if end > size {
			return 0, Unsafe("a part of it has the offset %d, but the file has %d bytes: the file is truncated. Copy or export it again", at, size)
		}
		dataBytes += grainBytes
	}
	return dataBytes, nil
}

// footer reads the header at the end of a streamed file, and returns the position of the
// grain directory. Everything else in it must match the header.
func (v vmdk) footer(w *window) (gdStart uint64, err error) {
	part, err := w.part(w.size-vmdkFooterBytes, vmdkFooterBytes)
	if err != nil {
		return 0, cutOff(err, "footer", w.size)
	}
	le := binary.LittleEndian
	footer := bytes.Clone(part[sectorBytes : 2*sectorBytes])
	gdStart = le.Uint64(footer[56:])
	copy(footer[56:64], v.header[56:64])
	if le.Uint32(part[12:]) != vmdkFooterMarker || !bytes.Equal(footer[:79], v.header[:79]) {
		return 0, Unsafe("it does not end with a copy of its header: the file is truncated. Copy or export it again")
	}
	return gdStart, nil
}
