package console

// backlog keeps the last bytes of a stream. Bytes are addressed by their position in the
// stream, whose first byte has position 0. The buffer grows with the stream up to limit
// bytes, and is a ring buffer from then on. It is not safe for concurrent use.
type backlog struct {
	limit int
	buf   []byte // the byte at position p is at p % len(buf)
	start int64  // position of the oldest byte in buf
	end   int64  // position after the newest byte
}

// append adds p. The oldest bytes are dropped if the limit is exceeded.
func (b *backlog) append(p []byte) {
	if skipped := len(p) - b.limit; skipped > 0 {
		b.end += int64(skipped)
		b.start = b.end
		p = p[skipped:]
	}
	b.reserve(int(b.end-b.start) + len(p))
	for len(p) > 0 {
		n := copy(b.buf[b.end%int64(len(b.buf)):], p)
		b.end += int64(n)
		p = p[n:]
	}
	b.start = max(b.start, b.end-int64(len(b.buf)))
}

// skip accounts for n lost bytes. It drops the bytes in the buffer, which precede the gap.
func (b *backlog) skip(n int64) {
	b.end += n
	b.start = b.end
}

// reserve grows the buffer for n bytes, up to limit.
func (b *backlog) reserve(n int) {
	const first = 4 << 10
	if n = min(n, b.limit); n <= len(b.buf) {
		return
	}
	grown := backlog{limit: b.limit, start: b.start, end: b.start}
	grown.buf = make([]byte, min(max(n, 2*len(b.buf), first), b.limit))
	for pos := b.start; pos < b.end; {
		piece := b.contiguous(pos, b.end)
		grown.append(piece)
		pos += int64(len(piece))
	}
	*b = grown
}

// read returns a copy of at most limit bytes from pos up to, but excluding, until. Both
// must be between start and end.
func (b *backlog) read(pos, until int64, limit int) []byte {
	until = min(until, pos+int64(limit))
	p := make([]byte, 0, until-pos)
	for pos < until {
		piece := b.contiguous(pos, until)
		p = append(p, piece...)
		pos += int64(len(piece))
	}
	return p
}

// contiguous returns the bytes from pos up to until, or those before the ring buffer wraps
// around.
func (b *backlog) contiguous(pos, until int64) []byte {
	at := pos % int64(len(b.buf))
	return b.buf[at:min(at+until-pos, int64(len(b.buf)))]
}
