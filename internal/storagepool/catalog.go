package storagepool

import (
	"fmt"

	"go.yaml.in/yaml/v3"
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
}

// ParseCatalog reads a catalogue: a YAML list of entries, or one under the key
// `images`.
func ParseCatalog(text []byte) ([]CatalogEntry, error) {
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
	for _, e := range list {
		if safeStem(e.ID) != e.ID || seen[e.ID] {
			return nil, fmt.Errorf("the catalogue's id %q is not a plain name, or is there twice", e.ID)
		}
		seen[e.ID] = true
	}
	return list, nil
}

// entry finds a catalogue entry.
func (s *Service) entry(id string) (CatalogEntry, bool) {
	for _, e := range s.o.Catalog {
		if e.ID == id {
			return e, true
		}
	}
	return CatalogEntry{}, false
}
