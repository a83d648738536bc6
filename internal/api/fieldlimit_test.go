package api

import (
	"reflect"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/domain"
	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// TestFieldLimits compares limits of the API document with the code that validates the values,
// at their boundaries.
func TestFieldLimits(t *testing.T) {
	for name, check := range map[string]func(string) error{
		"nodeName":    domain.ValidName,
		"description": fault.CheckDescription,
		"osType":      definition.CheckOSType,
		"tags":        func(s string) error { return fault.CheckTags([]string{s}) },
	} {
		schema := &huma.Schema{Type: "string", Items: &huma.Schema{Type: "string"}}
		fieldLimits[name](schema)
		if schema.MaxItems != nil {
			schema = schema.Items
		}
		schema.PrecomputeMessages()
		schema.Type = "string"
		most := *schema.MaxLength
		for _, text := range []string{
			"", "a", "Web-1.example_2", "-web", ".web", "web 1", "wéb", "web/1", "web\n", "web\x00",
			strings.Repeat("a", most), strings.Repeat("a", most+1),
		} {
			result := &huma.ValidateResult{}
			huma.Validate(nil, schema, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, text, result)
			// Schemas cannot express all rules: the document may allow more, but must not reject valid
			// values.
			documented, accepted := len(result.Errors) == 0, check(text) == nil
			if accepted && !documented {
				t.Errorf("%s: %.20q is accepted, but not by the document: %v", name, text, result.Errors)
			}
			if documented && !accepted && !strings.ContainsAny(text, "\n\x00") {
				t.Errorf("%s: %.20q is refused, but not by the document: %v", name, text, check(text))
			}
		}
	}
}

// TestLimitFields covers tags that contradict the limits.
func TestLimitFields(t *testing.T) {
	registry := huma.NewMapRegistry(schemasPath, schemaName)
	type unknown struct {
		Name string `json:"name" limit:"nothing"`
	}
	if err := limitFields(huma.SchemaFromType(registry, reflect.TypeFor[unknown]()), reflect.TypeFor[unknown]()); err == nil || !strings.Contains(err.Error(), `no limit "nothing"`) {
		t.Errorf("a tag that names no limit: %v", err)
	}
	type narrow struct {
		X float64 `json:"x" maximum:"5" limit:"coordinate"`
	}
	if err := limitFields(huma.SchemaFromType(registry, reflect.TypeFor[narrow]()), reflect.TypeFor[narrow]()); err == nil || !strings.Contains(err.Error(), "stricter") {
		t.Errorf("a tag that is stricter than the limit: %v", err)
	}
}
