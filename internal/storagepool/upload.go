package storagepool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Upload describes an image that comes in.
type Upload struct {
	Host     string // empty: the first host
	FileName string // as the client gave it: hostile
	OSType   string
	// Firmware and TPM are those of Image.
	Firmware string
	TPM      bool
	Owner    string
	// SizeBytes is what the client announced, 0 when it did not; it is checked
	// against the free space before a byte is taken.
	SizeBytes int64
	// SHA256 is what the client expects the file's digest to be, in hex; empty
	// when it does not say.
	SHA256 string
	// BaseID makes it the base image of that id; empty makes it a custom image.
	BaseID string
	// Recorded is called when the upload is on record: UploadsOf shows it then. It
	// may be nil.
	Recorded func()

	pulled bool       // it is sent by a job of our own; see Pull
	part   bool       // see BeginPart
	parts  []incoming // see BeginJoined
}

// Receive streams an image from r, to its end, into a volume of the images pool.
// Nothing is written before the first bytes were found safe; memory use does not
// depend on the image's size. An upload that fails, or is cut off, leaves nothing
// behind; neither does a crash of the service. An image that is to be unpacked or
// converted is returned as Verifying: see Convert.
//
// Errors: fault.ImageUnsafe, ImageTooLarge, StorageFull, UploadIncomplete (r
// failed), Invalid (digest), PoolUnavailable, HostUnreachable.
func (s *Service) Receive(ctx context.Context, u Upload, r io.Reader) (Image, error) {
	row, err := s.admit(ctx, u, nil, true)
	if err != nil {
		return Image{}, err
	}
	defer func() {
		if row.Once {
			s.unmark(row.key())
		} else { // it is converted by whoever takes it up
			s.letGo(ctx, row)
			s.wakeVerifier(row.Host)
		}
	}()
	if err := s.receive(ctx, &row, r); err != nil {
		ctx, cancel := Cleanup(ctx)
		defer cancel()
		return Image{}, errors.Join(err, s.discard(ctx, row))
	}
	if err := s.refresh(ctx, row.Host, false); err != nil {
		return Image{}, err
	}
	return s.Image(row.Host, row.ID)
}

func (s *Service) receive(ctx context.Context, row *incoming, r io.Reader) error {
	if err := s.refresh(ctx, row.Host, false); err != nil { // shows it as uploading
		return err
	}
	if err := s.take(ctx, row, r, nil); err != nil {
		return err
	}
	if err := s.complete(ctx, row); err != nil {
		return err
	}
	if !diskimage.UsedAsIs(row.Format) {
		return nil
	}
	found, err := s.inspectUpload(ctx, *row)
	for IsBusy(err) { // what has come is not thrown away for that
		if err := Pause(ctx, workPause); err != nil {
			return err
		}
		found, err = s.inspectUpload(ctx, *row)
	}
	if err != nil {
		return err
	}
	return s.accept(ctx, *row, found)
}

// MaxImageBytes is the largest file that is taken.
func (s *Service) MaxImageBytes() int64 { return s.o.MaxImageBytes }

func (s *Service) tooLarge() error {
	return fault.New(fault.ImageTooLarge, "The image is larger than the limit of %d bytes. Shrink it (`qemu-img convert -c -O qcow2`), or ask the operator to raise max-upload-bytes.", s.o.MaxImageBytes)
}

// mustBeFree refuses an upload whose volume is there already, before anything is
// recorded that could have it removed: it may be the base of disks. The names of
// custom images are new each time.
func (s *Service) mustBeFree(ctx context.Context, rec record) error {
	if rec.Type != Base {
		return nil
	}
	return s.ImagesPool(rec.Host).Do(ctx, func(h *Handle) error {
		return h.Anew(ctx, func(lp *libvirt.StoragePool) error {
			is, err := Has(lp, rec.Volume)
			if err == nil && is {
				err = volumeExists(rec.Host, rec.Volume)
			}
			return err
		})
	})
}

func volumeExists(host, volume string) error {
	return fault.New(fault.Unsupported, "Volume %[2]q already exists in the images pool of host %[1]q. Choose another id, or delete that volume if it is not in use.", host, volume)
}

func (s *Service) newRecord(host string, u Upload) record {
	now := time.Now()
	stem := safeStem(u.FileName)
	rec := record{
		Host: host, Type: Custom, DisplayName: shownName(u.FileName), OSType: u.OSType, Firmware: u.Firmware, TPM: u.TPM,
		State: string(Uploading), Owner: u.Owner, Created: now,
	}
	format := QCOW2
	if isoName.MatchString(u.FileName) {
		format = ISO // the name only: what it is, its first bytes tell
	}
	rec.Volume = fmt.Sprintf("%s_%d.%s", stem, s.uniqueMilli(now), format)
	rec.ID = rec.Volume
	if u.BaseID != "" {
		rec.Type, rec.ID, rec.Volume, rec.DisplayName = Base, u.BaseID, u.BaseID+".qcow2", u.BaseID
		if e, ok := s.entry(u.BaseID); ok {
			rec.DisplayName = e.Name
			if rec.OSType == "" {
				rec.OSType = e.OSType
			}
			rec.Firmware, rec.TPM = cmp.Or(rec.Firmware, e.Firmware), rec.TPM || e.TPM
		}
	}
	return rec
}

// volumeOf names the volume of an image: its id, with the format that it has.
func volumeOf(id, format string) string {
	return strings.TrimSuffix(strings.TrimSuffix(id, "."+QCOW2), "."+ISO) + "." + format
}

// uniqueMilli is the time in Unix milliseconds, made unique within the process,
// so that two uploads of one name never meet.
func (s *Service) uniqueMilli(now time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastMilli = max(now.UnixMilli(), s.lastMilli+1)
	return s.lastMilli
}

var (
	isoName      = regexp.MustCompile(`(?i)\.iso(\.(gz|xz|zst))?$`)
	unsafeInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
	extensions   = regexp.MustCompile(`(?i)(\.(qcow2?|img|iso|raw|vmdk|vdi|vhdx?|gz|xz|zst))+$`)
)

// safeStem makes a volume name's first part from a client's file name: no path,
// no extension, only letters, digits, dots, dashes and underscores.
func safeStem(fileName string) string {
	name := bareName(fileName)
	name = unsafeInName.ReplaceAllString(name, "_")
	name = strings.Trim(name, "._-")
	if len(name) > 64 {
		name = strings.TrimRight(name[:64], "._-")
	}
	if name == "" {
		return "image"
	}
	return name
}

// shownName is the name that an image is shown by, of a client's file name: as it
// was written, but for path, extension, and what is not seen or turns the text
// around it; at most MaxDisplayNameLength characters.
func shownName(fileName string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !isShown(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(bareName(fileName), ""))
	name = strings.Join(strings.Fields(name), " ")
	if runes := []rune(name); len(runes) > MaxDisplayNameLength {
		name = strings.TrimSpace(string(runes[:MaxDisplayNameLength]))
	}
	if name == "" {
		return safeStem(fileName)
	}
	return name
}

// bareName is a file name without path and extension.
func bareName(fileName string) string {
	return extensions.ReplaceAllString(fileName[strings.LastIndexAny(fileName, `/\`)+1:], "")
}
