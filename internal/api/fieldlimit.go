package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/access"
	"github.com/sandboxlabs/sandboxlabs/internal/diskimage"
	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
	"github.com/sandboxlabs/sandboxlabs/internal/lab"
	"github.com/sandboxlabs/sandboxlabs/internal/storagepool/image"
)

// fieldLimit adds limits to the schema of a field.
type fieldLimit func(*huma.Schema)

// fieldLimits are the limits that the tag "limit" of a field can name. They come from the code that
// validates the values. They only appear in the API document: the validating code returns a better
// error than a schema could.
var fieldLimits = map[string]fieldLimit{
	"nodeName":      textLimit(1, domain.MaxNameLength, domain.NamePattern),
	"snapshotName":  textLimit(0, domain.MaxNameLength, orEmpty(domain.NamePattern)),
	"networkName":   textLimit(1, domain.MaxNameLength, domain.NamePattern),
	"labName":       textLimit(1, lab.MaxNameLength, ""),
	"accountName":   textLimit(1, access.MaxNameBytes, access.NamePattern),
	"tokenName":     textLimit(1, access.MaxTokenNameBytes, ""),
	"password":      textLimit(0, access.MaxPasswordBytes, ""),
	"displayName":   textLimit(1, image.MaxDisplayNameLength, ""),
	"description":   textLimit(0, fault.MaxDescriptionBytes, ""),
	"osType":        textLimit(0, definition.MaxOSTypeBytes, ""),
	"hostname":      textLimit(0, domain.MaxHostnameBytes, orEmpty(domain.HostnamePattern)),
	"networkConfig": textLimit(0, domain.MaxNetworkConfigBytes, ""),
	"tags":          listLimit(fault.MaxTags, textLimit(1, fault.MaxTagLength, "")),
	"guestKeys":     listLimit(domain.MaxSSHKeys, nil),
	"ownKeys":       listLimit(access.MaxSSHKeys, nil),
	"ram":           numberLimit(domain.MinRAMMiB, 0, 0),
	"cpus":          numberLimit(1, 0, 0),
	"disk":          numberLimit(1, domain.MaxDiskBytes, 0),
	"emptyDisk":     numberLimit(domain.MinDiskBytes, domain.MaxDiskBytes, 0),
	"imageDisk":     numberLimit(image.SectorBytes, diskimage.MaxVirtualBytes, image.SectorBytes),
	"quota":         func(s *huma.Schema) { s.Minimum = new(float64) },
	"coordinate":    numberLimit(-lab.MaxCoordinate, lab.MaxCoordinate, 0),
}

// textLimit limits a text: its length in characters, and a regular expression, none if it is empty.
func textLimit(least, most int, pattern string) fieldLimit {
	return func(s *huma.Schema) {
		if least > 0 {
			s.MinLength = &least
		}
		s.MaxLength, s.Pattern = &most, pattern
	}
}

// orEmpty extends a pattern to the empty text, which means the default.
func orEmpty(pattern string) string { return "^$|" + pattern }

// listLimit limits a list: its length, and each of its items; nil if items have no limit.
func listLimit(most int, item fieldLimit) fieldLimit {
	return func(s *huma.Schema) {
		s.MaxItems = &most
		if item != nil {
			each := *s.Items
			item(&each)
			s.Items = &each
		}
	}
}

// numberLimit limits a number; 0 for most or multiple means none.
func numberLimit(least, most, multiple float64) fieldLimit {
	return func(s *huma.Schema) {
		s.Minimum = &least
		if most != 0 {
			s.Maximum = &most
		}
		if multiple != 0 {
			s.MultipleOf = &multiple
		}
	}
}

// documented has the schemas of the API document: those that validate requests, plus the limits of
// their fields. References that are resolved while a request is handled still lead to the former.
type documented struct {
	huma.Registry
	schemas map[string]*huma.Schema
}

// Map returns the schemas by name.
func (d documented) Map() map[string]*huma.Schema { return d.schemas }

// MarshalJSON writes the schemas by name.
func (d documented) MarshalJSON() ([]byte, error) { return json.Marshal(d.schemas) }

// documentLimits adds the limits of fields to the document. Call it after all operations are
// registered. It returns an error for a tag with an unknown limit.
func (s *Server) documentLimits() error {
	components := s.huma.OpenAPI().Components
	out := documented{components.Schemas, maps.Clone(components.Schemas.Map())}
	for name, schema := range out.schemas {
		t := components.Schemas.TypeFromRef(schemasPath + name)
		if t == nil {
			continue
		}
		limited := *schema
		limited.Properties = maps.Clone(schema.Properties)
		if err := limitFields(&limited, t); err != nil {
			return fmt.Errorf("api: schema %s: %w", name, err)
		}
		out.schemas[name] = &limited
	}
	components.Schemas = out
	return nil
}

// limitFields adds the limits of a type's fields to the properties of a schema.
func limitFields(schema *huma.Schema, t reflect.Type) error {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for _, field := range reflect.VisibleFields(t) {
		tag := field.Tag.Get("limit")
		if tag == "" {
			continue
		}
		limit, name := fieldLimits[tag], jsonName(field)
		property := schema.Properties[name]
		if limit == nil || property == nil || property.Ref != "" {
			return fmt.Errorf("no limit %q for field %q", tag, name)
		}
		limited := *property
		limit(&limited)
		if stricter(property, &limited) {
			return fmt.Errorf("the tags of field %q are stricter than limit %q", name, tag)
		}
		schema.Properties[name] = &limited
	}
	return nil
}

// stricter returns whether a schema that validates requests rejects numbers that the document's
// schema allows.
func stricter(enforced, documented *huma.Schema) bool {
	return enforced.Minimum != nil && (documented.Minimum == nil || *enforced.Minimum > *documented.Minimum) ||
		enforced.Maximum != nil && (documented.Maximum == nil || *enforced.Maximum < *documented.Maximum)
}

// jsonName returns the JSON name of a field.
func jsonName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}
