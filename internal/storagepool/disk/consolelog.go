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

// maxLogParts is the maximum number of rotated files to look for; virtlogd keeps three by
// default.
const maxLogParts = 64

// ConsoleLog is the log of a serial console: the file that virtlogd writes, preceded by
// its rotated files. It is valid only until the function that OpenConsoleLog calls
// returns, and not safe for concurrent use.
//
// Offsets count from the beginning of the oldest file that still exists. When virtlogd
// deletes its oldest file, all offsets move: a caller that reads page by page notices that
// Bytes has become smaller. While a console is read more slowly than the guest prints,
// QEMU may log a byte more than once.
type ConsoleLog struct {
	// Bytes is the length of the whole log when it was opened.
	Bytes int64

	pool   *storagepool.Handle
	look   func() error // refreshes the pool, to find virtlogd's files
	volume string       // name of the newest part
	parts  []int64      // lengths at open, the newest part first

	newest    int64 // last known length of the newest part
	rotations int   // since open
}

// OpenConsoleLog calls f with the console log in the file at a path on the host, which
// comes from the method ConsoleLog or from a domain's XML. A log that does not exist is
// empty. It uses a dedicated connection, so f may run for a long time. It returns
// fault.Unsupported if the file is not in the logs pool, and fault.PoolUnavailable or
// HostUnreachable.
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

// ConsoleLogTail returns the last bytes, at most limit, of the console log in the file at
// a path on the host, and the length of the whole log at that moment. Errors are those of
// OpenConsoleLog.
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

// logFolder synchronizes the refreshes of a host's logs pool.
type logFolder struct {
	turn chan struct{} // capacity 1: held while libvirt refreshes the pool
	read time.Time     // start of the last refresh
}

// look refreshes the logs pool. Callers that arrive during a refresh share the next one.
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

// open reads the lengths of the parts. It starts over if virtlogd rotates them in the
// meantime.
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

// logPart returns the volume name of a part of a log: 0 is the file that is being written.
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
	// Not the capacity: a guest may print text that looks like the header of a disk image.
	info, err := vol.GetInfoFlags(libvirt.STORAGE_VOL_GET_PHYSICAL)
	if err != nil {
		return 0, err
	}
	return int64(info.Allocation), nil //nolint:gosec // bytes of a real file
}

// Copy writes at most limit bytes, starting at offset, to w. It does not include data that
// was logged after the log was opened. It returns w's error, or io.ErrUnexpectedEOF if a
// part was deleted before it was read.
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

// openPart opens a part, whose name changes with each rotation. A rotation does not affect
// streams that are already open.
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
