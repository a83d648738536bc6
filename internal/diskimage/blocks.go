package diskimage

import "io"

// Flattener is a disk that is converted to raw first, because the converter would not find
// the same disk in the file.
type Flattener interface {
	// Flat returns the disk in a file of size bytes; nil if it can be converted directly.
	// Errors are those of Disk.Verify.
	Flat(size int64, read Reading) (*BlockReader, error)
}

// blocks maps the parts of a disk to offsets in its file. Sizes are in bytes.
type blocks struct {
	virtual, size int64
	table         []int64 // for each block, the offset of its data; 0 for zeros
}

// dataBytes returns the maximum amount of data on the disk.
func (b blocks) dataBytes() (bytes int64) {
	for _, at := range b.table {
		if at != 0 {
			bytes += b.size
		}
	}
	return bytes
}

func (b blocks) reader(read Reading) *BlockReader { return &BlockReader{blocks: b, read: read} }

// BlockReader reads a disk sequentially. It must not be used by several goroutines at the
// same time.
type BlockReader struct {
	blocks
	read Reading
	at   int64  // in the disk
	part []byte // read but not yet returned
}

// VirtualBytes returns the size of the disk.
func (r *BlockReader) VirtualBytes() int64 { return r.virtual }

// SkipZeros skips the next blocks that are not in the file, and returns their size in
// bytes: a disk may have 64 TiB of them.
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

// Read returns zeros for blocks that are not in the file.
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
		err = Unsafe("the file became shorter while it was read")
	}
	if err != nil {
		return 0, err
	}
	r.at += length
	n := copy(p, part)
	r.part = part[n:]
	return n, nil
}
