package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
)

//go:embed docs.html
var docsSource string

var docsPage = template.Must(template.New("docs").Parse(docsSource))

// The documentation is rendered from the OpenAPI document, without external files.
type (
	docsGroup struct {
		Name       string
		Operations []docsOperation
	}
	docsOperation struct {
		ID, Method, Path, Summary, Description string
		Parameters                             []docsField
		Body                                   []docsField
		BodyType                               string
		Answers                                []docsAnswer
	}
	docsAnswer struct {
		Status, Description string
		Fields              []docsField
	}
	docsField struct {
		Name, Type, Doc string
		Required        bool
	}
)

// registerDocs renders the documentation once. Call it after all operations are registered.
func (s *Server) registerDocs() error {
	var page bytes.Buffer
	err := docsPage.Execute(&page, struct {
		Version, Description string
		Groups               []docsGroup
	}{s.o.Version, s.huma.OpenAPI().Info.Description, s.docsGroups()})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(page.Bytes())
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	s.echo.GET("/api/docs", func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Cache-Control", "no-cache") // revalidate by ETag
		h.Set("ETag", tag)
		h.Set(echo.HeaderContentType, echo.MIMETextHTMLCharsetUTF8)
		http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader(page.Bytes()))
		return nil
	})
	return nil
}

func (s *Server) docsGroups() []docsGroup {
	var groups []docsGroup
	doc := s.huma.OpenAPI()
	for path, item := range doc.Paths {
		for method, op := range map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PATCH": item.Patch, "PUT": item.Put, "DELETE": item.Delete} {
			if op == nil || len(op.Tags) == 0 {
				continue
			}
			i := slices.IndexFunc(groups, func(g docsGroup) bool { return g.Name == op.Tags[0] })
			if i < 0 {
				groups = append(groups, docsGroup{Name: op.Tags[0]})
				i = len(groups) - 1
			}
			groups[i].Operations = append(groups[i].Operations, s.docsOperation(method, path, op))
		}
	}
	slices.SortFunc(groups, func(a, b docsGroup) int { return strings.Compare(a.Name, b.Name) })
	for _, g := range groups {
		slices.SortFunc(g.Operations, func(a, b docsOperation) int {
			return strings.Compare(a.Path+a.Method, b.Path+b.Method)
		})
	}
	return groups
}

func (s *Server) docsOperation(method, path string, op *huma.Operation) docsOperation {
	d := docsOperation{ID: op.OperationID, Method: method, Path: path, Summary: op.Summary, Description: op.Description}
	for _, p := range op.Parameters {
		d.Parameters = append(d.Parameters, docsField{Name: p.Name, Type: p.In + " " + typeName(p.Schema), Doc: p.Description, Required: p.Required})
	}
	if op.RequestBody != nil {
		for kind, media := range op.RequestBody.Content {
			d.BodyType, d.Body = kind, s.docsFields("", media.Schema)
		}
	}
	for status, r := range op.Responses {
		if r.Ref != "" {
			continue // the common errors are the same for all operations
		}
		a := docsAnswer{Status: status, Description: r.Description}
		for _, media := range r.Content {
			if status != "default" {
				a.Fields = s.docsFields("", media.Schema)
			}
		}
		d.Answers = append(d.Answers, a)
	}
	slices.SortFunc(d.Answers, func(a, b docsAnswer) int { return strings.Compare(a.Status, b.Status) })
	return d
}

// docsFields flattens an object: nested members get dotted names, members of
// lists "[]".
func (s *Server) docsFields(prefix string, schema *huma.Schema) []docsField {
	schema = s.resolve(schema)
	if schema == nil || strings.Count(prefix, ".") > 3 {
		return nil
	}
	if schema.Type == "array" {
		return s.docsFields(prefix+"[].", schema.Items)
	}
	var fields []docsField
	names := make([]string, 0, len(schema.Properties))
	for name := range schema.Properties {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		member := schema.Properties[name]
		full := s.resolve(member)
		doc := member.Description
		if doc == "" {
			doc = full.Description
		}
		fields = append(fields, docsField{Name: prefix + name, Type: typeName(full), Doc: doc, Required: slices.Contains(schema.Required, name)})
		switch {
		case len(full.Properties) > 0:
			fields = append(fields, s.docsFields(prefix+name+".", full)...)
		case full.Type == "array":
			fields = append(fields, s.docsFields(prefix+name+"[].", full.Items)...)
		}
	}
	return fields
}

func (s *Server) resolve(schema *huma.Schema) *huma.Schema {
	if schema != nil && schema.Ref != "" {
		return s.huma.OpenAPI().Components.Schemas.SchemaFromRef(schema.Ref)
	}
	return schema
}

func typeName(schema *huma.Schema) string {
	if schema == nil {
		return ""
	}
	if len(schema.Enum) > 0 {
		var words []string
		for _, v := range schema.Enum {
			if w, ok := v.(string); ok {
				words = append(words, w)
			}
		}
		return strings.Join(words, " | ")
	}
	if schema.Format != "" {
		return schema.Type + " (" + schema.Format + ")"
	}
	return schema.Type
}
