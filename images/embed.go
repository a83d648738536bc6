// Package images holds the catalogue of base images.
package images

import "embed"

// Catalog is catalog.yaml; storagepool.ParseCatalog reads it.
//
//go:embed catalog.yaml
var Catalog []byte

// Keys are the files of keys that it names.
//
//go:embed keys/*.asc
var Keys embed.FS
