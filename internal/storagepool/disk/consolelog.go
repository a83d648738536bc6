package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool"
)

// maxLogParts bounds how many rotated files are looked for; virtlogd keeps three
// unless it is told otherwise.
const maxLogParts = 64

// ConsoleLog is the record of a serial console while OpenConsoleLog lends it: the
// file that virtlogd writes, and before it those that it rotated away. It is for
// one goroutine.
//
// Bytes are addressed by their place among those that are still there, the
// oldest being 0. When virtlogd drops its oldest file, all places move: who reads
// page by page sees that Bytes has become less. While a console is read more
// slowly than the guest prints, QEMU may log a byte more than once.
type ConsoleLog struct {
	// Bytes is the length of the whole log when it was opened.
	Bytes int64

	pool   *storagepool.Handle
	look   func() error // has libvirt see what virtlogd made
	volume string       // the newest part's
	parts  []int64      // lengths when it was opened, the newest part first

	newest    int64 // length of the newest part when it was last looked at
	rotations int   // seen since it was opened
}

// OpenConsoleLog calls f with the log that records a console in the file at
// path on the host, which ConsoleLog or a domain's XML has told. One that was
// never written is empty. Reading has a connection of its own, so f may take its
// time. It answers fault.Unsupported when the file is not in the logs pool, and
// fault.PoolUnavailable or fault.HostUnreachable.
func (s *Service) OpenConsoleLog(ctx context.Context, host, file string, f func(*ConsoleLog) error) error {
	logs := s.pools.LogsPool(host)
	folder, err := logs.Folder()
	if err != nil {
		return err
	}
	if path.Dir(file) != path.Clean(folder) {
		return fault.New(fault.Unsupported, "This console is recorded in %s on its host, outside the storage pool %q. Read it there.", file, logs.Name())
	}
	return logs.Dial(ctx, func(h *storagepool.Handle) error {
		l := &ConsoleLog{pool: h, volume: path.Base(file), look: func() error { return s.logs[host].look(ctx, h) }}
		if err := l.open(); err != nil {
			return h.Unavailable(err)
		}
		return f(l)
	})
}

// ConsoleLogTail returns the newest bytes, at most limit, of the log that records
// a console in the file at path on the host, and the length of the whole log at
// that moment. Errors are those of OpenConsoleLog.
func (s *Service) ConsoleLogTail(ctx context.Context, host, path string, limit int64) (tail []byte, length int64, err error) {
	b := bytes.NewBuffer([]byte{})
	err = s.OpenConsoleLog(ctx, host, path, func(l *ConsoleLog) error {
		length = l.Bytes
		n := min(limit, length)
		b.Grow(int(n))
		return l.Copy(b, length-n, n)
	})
	if err != nil {
		return nil, 0, err
	}
	return b.Bytes(), length, nil
}

// logFolder is the folder of a host's logs, as libvirt has read it.
type logFolder struct {
	turn chan struct{} // one slot: who holds it has libvirt read the folder
	read time.Time     // when the last such reading began
}

// look has libvirt read the folder. Those who come while it is being read share the
// next reading.
func (f *logFolder) look(ctx context.Context, h *storagepool.Handle) error {
	asked := time.Now()
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if f.read.After(asked) {
		return nil
	}
	begun := time.Now()
	if err := h.Rescan(); err != nil {
		return fmt.Errorf("refresh the logs pool: %w", err)
	}
	f.read = begun
	return nil
}

// open measures the parts. It begins anew when virtlogd rotates them meanwhile.
func (l *ConsoleLog) open() error {
	if err := l.look(); err != nil {
		return err
	}
	for {
		l.parts, l.Bytes = nil, 0
		for part := range maxLogParts {
			n, err := l.length(part)
			if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
				break
			}
			if err != nil {
				return err
			}
			l.parts = append(l.parts, n)
			l.Bytes += n
		}
		if len(l.parts) == 0 {
			return nil
		}
		now, err := l.length(0)
		if err != nil {
			return err
		}
		if l.newest = l.parts[0]; now >= l.newest {
			return nil
		}
		if err := l.look(); err != nil {
			return err
		}
	}
}

// logPart is the volume of a part of a log: 0 is the one that is being written.
func logPart(log string, part int) string {
	if part == 0 {
		return log
	}
	return log + "." + strconv.Itoa(part-1)
}

func (l *ConsoleLog) length(part int) (int64, error) {
	vol, err := l.pool.LookupStorageVolByName(logPart(l.volume, part))
	if err != nil {
		return 0, err
	}
	defer func() { _ = vol.Free() }()
	// Not the capacity: a guest may print what looks like the header of a disk.
	info, err := vol.GetInfoFlags(libvirt.STORAGE_VOL_GET_PHYSICAL)
	if err != nil {
		return 0, err
	}
	return int64(info.Allocation), nil //nolint:gosec // bytes of a real file
}

// Copy writes at most limit bytes from offset on to w, and nothing that came
// after the log was opened. It returns w's error, or io.ErrUnexpectedEOF when a
// part was dropped before it was read.
func (l *ConsoleLog) Copy(w io.Writer, offset, limit int64) error {
	begin := int64(0)
	for part := len(l.parts) - 1; part >= 0 && limit > 0; part-- {
		end := begin + l.parts[part]
		if n := min(limit, end-offset); n > 0 {
			if err := l.copyPart(w, part, offset-begin, n); err != nil {
				return err
			}
			offset, limit = offset+n, limit-n
		}
		begin = end
	}
	return nil
}

func (l *ConsoleLog) copyPart(w io.Writer, part int, offset, n int64) error {
	stream, err := l.openPart(part, offset, n)
	if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read console log %s: %w", l.volume, err)
	}
	defer func() { _ = stream.Free() }()
	copied, err := io.CopyBuffer(w, io.LimitReader(storagepool.StreamReader{Stream: stream}, n), make([]byte, 64<<10))
	if err == nil && copied < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		_ = stream.Abort()
		return fmt.Errorf("read console log %s: %w", l.volume, err)
	}
	return stream.Finish()
}

// openPart opens a part, which bears another name after a rotation. An open
// stream is not touched by a later one.
func (l *ConsoleLog) openPart(part int, offset, n int64) (*libvirt.Stream, error) {
	for {
		stream, err := l.download(logPart(l.volume, part+l.rotations), offset, n)
		if errors.Is(err, libvirt.ERR_NO_STORAGE_VOL) && l.rotations > 0 {
			if err := l.look(); err != nil {
				return nil, err
			}
			stream, err = l.download(logPart(l.volume, part+l.rotations), offset, n)
		}
		if err != nil {
			return nil, err
		}
		now, err := l.length(0)
		if err == nil && now >= l.newest {
			l.newest = now
			return stream, nil
		}
		_ = stream.Abort()
		_ = stream.Free()
		if err != nil {
			return nil, err
		}
		l.newest = now
		l.rotations++
	}
}

func (l *ConsoleLog) download(volume string, offset, n int64) (*libvirt.Stream, error) {
	vol, err := l.pool.LookupStorageVolByName(volume)
	if err != nil {
		return nil, err
	}
	defer func() { _ = vol.Free() }()
	stream, err := l.pool.Conn.NewStream(0)
	if err != nil {
		return nil, err
	}
	if err := vol.Download(stream, uint64(offset), uint64(n), 0); err != nil { //nolint:gosec // both are positive
		_ = stream.Free()
		return nil, err
	}
	return stream, nil
}
