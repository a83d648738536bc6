package image

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/sandboxlabs/sandboxlabs/internal/download"
)

// CatalogEntry is a base image that an installation may have.
type CatalogEntry struct {
	ID           string `yaml:"id"` // its volume is <id>.qcow2
	Name         string `yaml:"name"`
	Version      string `yaml:"version"`
	OSType       string `yaml:"osType"`
	Arch         string `yaml:"arch"`
	Format       string `yaml:"format"`
	DefaultUser  string `yaml:"defaultUser"`
	MinDiskBytes int64  `yaml:"minDiskBytes"`
	MinRAMMiB    int64  `yaml:"minRamMiB"`
	Description  string `yaml:"description"`
	// Firmware is the default firmware of its nodes, if not the service's default; TPM is
	// whether they have a TPM 2.0.
	Firmware string `yaml:"firmware"`
	TPM      bool   `yaml:"tpm"`
	// URL is where it is pulled from; empty if it cannot be pulled.
	URL string `yaml:"url"`
	// Checksum is the file's SHA-256 or SHA-512 in hex. If it is empty, Checksums is the
	// URL of a list that contains it.
	Checksum  string `yaml:"checksum"`
	Checksums string `yaml:"checksums"`
	// Keys is the name of a file with public keys, one of which must have signed the list.
	// Signature is the URL of the signature; if it is empty, the list contains its
	// signature.
	Keys      string `yaml:"keys"`
	Signature string `yaml:"signature"`

	keys *download.Keys // the contents of the file Keys
}

// Signed returns whether the entry's checksum must be signed.
func (e CatalogEntry) Signed() bool { return e.keys != nil }

// SignedPart returns the part of a list with an embedded signature that is signed with the
// entry's keys.
func (e CatalogEntry) SignedPart(list []byte) ([]byte, error) { return e.keys.Signed(list) }

// CheckSignature returns an error unless the signature of a list was made with the entry's
// keys.
func (e CatalogEntry) CheckSignature(list, signature []byte) error {
	return e.keys.Check(list, signature)
}

// check returns an error if the entry is invalid.
func (e CatalogEntry) check() error {
	switch e.Firmware {
	case "", "bios", "uefi", "uefi-secure":
	default:
		return fmt.Errorf("its firmware is %q, and not bios, uefi or uefi-secure", e.Firmware)
	}
	if e.URL == "" {
		return nil
	}
	for name, address := range map[string]string{"url": e.URL, "checksums": e.Checksums, "signature": e.Signature} {
		if err := download.CheckURL(address); address != "" && err != nil {
			return fmt.Errorf("its %s: %w", name, err)
		}
	}
	switch {
	case e.Signature != "" && e.Keys == "":
		return errors.New("it has a signature, and no keys that it could be of")
	case e.Keys != "" && (e.Checksums == "" || e.Checksum != ""):
		return errors.New("it has keys, and its checksum is not looked up in a list that they could have signed")
	case e.Checksum != "":
		_, err := download.ParseDigest(e.Checksum)
		return err
	case e.Checksums != "":
		return nil
	}
	return errors.New("it has a url, and neither checksum nor checksums")
}

// ParseCatalog parses a catalogue: a YAML list of entries, or such a list under the key
// `images`. read reads the files that entries name, relative to the catalogue.
func ParseCatalog(text []byte, read func(name string) ([]byte, error)) (Catalog, error) {
	var list []CatalogEntry
	if yaml.Unmarshal(text, &list) != nil {
		var doc struct {
			Images []CatalogEntry `yaml:"images"`
		}
		if err := yaml.Unmarshal(text, &doc); err != nil {
			return nil, fmt.Errorf("read the catalogue: %w", err)
		}
		list = doc.Images
	}
	seen := map[string]bool{}
	for i, e := range list {
		if safeStem(e.ID) != e.ID || seen[e.ID] {
			return nil, fmt.Errorf("the catalogue's id %q is not a plain name, or is there twice", e.ID)
		}
		seen[e.ID] = true
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("the catalogue's entry %q: %w", e.ID, err)
		}
		if e.Keys == "" {
			continue
		}
		armoured, err := read(e.Keys)
		if err == nil {
			list[i].keys, err = download.ParseKeys(armoured)
		}
		if err != nil {
			return nil, fmt.Errorf("the catalogue's entry %q: its keys: %w", e.ID, err)
		}
	}
	return list, nil
}

// Catalog is the list of base images that an installation may have.
type Catalog []CatalogEntry

// Entry returns the entry with an id.
func (c Catalog) Entry(id string) (CatalogEntry, bool) {
	for _, e := range c {
		if e.ID == id {
			return e, true
		}
	}
	return CatalogEntry{}, false
}

// Catalog returns the catalogue, which must not be modified.
func (s *Service) Catalog() Catalog { return s.o.Catalog }
