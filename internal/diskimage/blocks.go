package diskimage

import "io"

// Flattener is a disk that is made a raw one first, because what converts it would
// not find the same disk in the file.
type Flattener interface {
	// Flat returns the disk that is in a file of size bytes; nil where it can be
	// converted as it is. Errors are those of Disk.Verify.
	Flat(size int64, read Reading) (*BlockReader, error)
}

// blocks are where the parts of a disk are in its file. Sizes are in bytes.
type blocks struct {
	virtual, size int64
	table         []int64 // for each block, the offset of its data; 0 for zeros
}

// dataBytes is at most how much data the disk holds.
func (b blocks) dataBytes() (bytes int64) {
	for _, at := range b.table {
		if at != 0 {
			bytes += b.size
		}
	}
	return bytes
}

func (b blocks) reader(read Reading) *BlockReader { return &BlockReader{blocks: b, read: read} }

// BlockReader reads a disk from its first byte to its last. It is for one goroutine.
type BlockReader struct {
	blocks
	read Reading
	at   int64  // in the disk
	part []byte // what is read and not given out
}

// VirtualBytes is how much there is to read.
func (r *BlockReader) VirtualBytes() int64 { return r.virtual }

// SkipZeros goes over the blocks that come next and are not in the file, and returns
// how many bytes they have: a disk may have 64 TiB of them.
func (r *BlockReader) SkipZeros() (skipped int64) {
	if len(r.part) > 0 {
		return 0
	}
	for r.at < r.virtual && r.table[r.at/r.size] == 0 {
		n := min(r.size-r.at%r.size, r.virtual-r.at)
		r.at += n
		skipped += n
	}
	return skipped
}

// Read gives out zeros for what is not there.
func (r *BlockReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(r.part) > 0 {
		n := copy(p, r.part)
		r.part = r.part[n:]
		return n, nil
	}
	within := r.at % r.size
	left := min(r.size-within, r.virtual-r.at)
	if left <= 0 {
		return 0, io.EOF
	}
	at := r.table[r.at/r.size]
	if at == 0 {
		n := int(min(left, int64(len(p))))
		clear(p[:n])
		r.at += int64(n)
		return n, nil
	}
	length := min(left, windowBytes)
	part, err := r.read(at+within, length)
	if err == nil && int64(len(part)) < length {
		err = Unsafe("it has become shorter while it was read")
	}
	if err != nil {
		return 0, err
	}
	r.at += length
	n := copy(p, part)
	r.part = part[n:]
	return n, nil
}
