// Package images holds the catalogue of base images.
package images

import _ "embed"

// Catalog is catalog.yaml; storagepool.ParseCatalog reads it.
//
//go:embed catalog.yaml
var Catalog []byte
