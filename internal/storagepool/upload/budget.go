package upload

import (
	"context"
	"fmt"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// ReserveUpload is called before an upload uses more space, bytes in total. It calls
// record, which saves that number, while it holds that much of the owner's quota, or
// returns fault.QuotaExceeded.
type ReserveUpload func(ctx context.Context, c Conversion, bytes int64, record func() error) error

// ReserveBy sets the function that reserves quota for conversions and pulls. Call it
// before Run.
func (s *Service) ReserveBy(reserve ReserveUpload) { s.reserveUpload = reserve }

// reserve calls record while bytes of the owner's quota are reserved.
func (s *Service) reserve(ctx context.Context, c Conversion, bytes int64, record func() error) error {
	if s.reserveUpload == nil {
		return record()
	}
	return s.reserveUpload(ctx, c, bytes, record)
}

// budget tracks the space that an upload uses while it is unpacked and converted.
type budget struct {
	s     *Service
	row   *record
	taken int64 // by the uploaded file and what was created from it
}

func (s *Service) budgetOf(row *record) *budget {
	return &budget{s: s, row: row, taken: max(row.Size, row.Offset)}
}

// take reserves more bytes before they are written.
func (b *budget) take(ctx context.Context, bytes int64) error {
	b.taken += bytes
	if b.taken <= b.row.Taken {
		return nil // reserved by an earlier attempt
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

// unpackedTooLarge returns the error for a file whose content exceeds the limit.
func (s *Service) unpackedTooLarge() error {
	return fault.New(fault.ImageTooLarge, "The uncompressed file is larger than the limit of %d bytes, including zeros. Upload the disk as qcow2 (`qemu-img convert -c -O qcow2`), or ask the operator to raise max-upload-bytes.", s.o.MaxImageBytes)
}
