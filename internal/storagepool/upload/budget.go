package upload

import (
	"context"
	"fmt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// ReserveUpload is asked before an upload takes bytes in all, more than it did: it calls
// record, which notes that, while that much of its owner's quota is held, or returns
// fault.QuotaExceeded.
type ReserveUpload func(ctx context.Context, c Conversion, bytes int64, record func() error) error

// ReserveBy has reserve asked for what conversions and pulls take. Call it before Run.
func (s *Service) ReserveBy(reserve ReserveUpload) { s.reserveUpload = reserve }

// reserve runs record with bytes held of the owner's quota.
func (s *Service) reserve(ctx context.Context, c Conversion, bytes int64, record func() error) error {
	if s.reserveUpload == nil {
		return record()
	}
	return s.reserveUpload(ctx, c, bytes, record)
}

// budget is what an upload may take while it is unpacked and converted.
type budget struct {
	s     *Service
	row   *record
	taken int64 // by the file that came, and what was made of it
}

func (s *Service) budgetOf(row *record) *budget {
	return &budget{s: s, row: row, taken: max(row.Size, row.Offset)}
}

// take reserves bytes more, before they are written.
func (b *budget) take(ctx context.Context, bytes int64) error {
	b.taken += bytes
	if b.taken <= b.row.Taken {
		return nil // an attempt before this one came so far
	}
	c := Conversion{ID: b.row.ID, Host: b.row.Host, Owner: b.row.Owner}
	err := b.s.reserve(ctx, c, b.taken, func() error {
		return b.s.reserveBytes(ctx, *b.row, b.taken)
	})
	if err != nil {
		if fault.CodeOf(err) != fault.Internal {
			return err
		}
		return fmt.Errorf("reserve what the upload %s becomes: %w", b.row.ID, err)
	}
	b.row.Taken = b.taken
	return nil
}

// unpackedTooLarge is the error of a file with more in it than the limit.
func (s *Service) unpackedTooLarge() error {
	return fault.New(fault.ImageTooLarge, "The uncompressed file is larger than the limit of %d bytes, including zeros. Upload the disk as qcow2 (`qemu-img convert -c -O qcow2`), or ask the operator to raise max-upload-bytes.", s.o.MaxImageBytes)
}
