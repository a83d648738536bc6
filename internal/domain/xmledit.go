package domain

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"libvirt.org/go/libvirtxml"
)

// An edit of XML that other programs may have written changes only the affected bytes:
// marshalling through libvirtxml would lose what its types do not model.

// element is the position of an element in a text: its start tag from start to tagEnd, and
// its content and end tag up to end. For an empty element, tagEnd is end.
type element struct {
	start, tagEnd, end int
	name               string // as written, with its prefix
}

// elements finds the elements without a namespace at a path of names from the root, in
// document order.
func elements(text string, path ...string) ([]element, error) {
	d := xml.NewDecoder(strings.NewReader(text))
	var list []element
	var stack []string
	for {
		before := int(d.InputOffset())
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			name := t.Name.Local
			if t.Name.Space != "" {
				name = "\x00" + name // does not match any path
			}
			stack = append(stack, name)
			if slices.Equal(stack, path) {
				list = append(list, element{start: before, tagEnd: int(d.InputOffset()), name: writtenName(text[before:])})
			}
		case xml.EndElement:
			if slices.Equal(stack, path) {
				list[len(list)-1].end = int(d.InputOffset())
			}
			stack = stack[:len(stack)-1]
		}
	}
}

// deviceText returns the XML of the index-th device of a kind, as written in a domain's XML.
func deviceText(text, kind string, index int) (string, error) {
	list, err := elements(text, "domain", "devices", kind)
	if err != nil {
		return "", err
	}
	if index < 0 || index >= len(list) {
		return "", fmt.Errorf("the domain's XML has no %s number %d", kind, index)
	}
	return text[list[index].start:list[index].end], nil
}

// withFile returns a disk's XML with another file and another backing chain.
func withFile(disk, file string, on *libvirtxml.DomainDiskBackingStore) (string, error) {
	disk, err := withoutChildren(disk, "disk", "backingStore")
	if err != nil {
		return "", err
	}
	chain, err := xml.Marshal(on)
	if err != nil {
		return "", err
	}
	sources, err := elements(disk, "disk", "source")
	if err != nil {
		return "", err
	}
	if len(sources) == 1 {
		disk = disk[:sources[0].end] + string(chain) + disk[sources[0].end:]
		if text, ok := setAttribute(disk, sources[0], "file", file); ok {
			return text, nil
		}
	}
	return "", errors.New("the disk's XML names no file")
}

// withoutChildren removes the root's children with a name.
func withoutChildren(text, root, child string) (string, error) {
	old, err := elements(text, root, child)
	if err != nil {
		return "", err
	}
	for _, e := range slices.Backward(old) {
		text = text[:e.start] + text[e.end:]
	}
	return text, nil
}

// withMedia returns an optical drive's XML with another file, or without one.
func withMedia(drive, file string) (string, error) {
	var err error
	for _, child := range []string{"source", "backingStore"} {
		if drive, err = withoutChildren(drive, "disk", child); err != nil {
			return "", err
		}
	}
	roots, err := elements(drive, "disk")
	if err != nil || len(roots) != 1 {
		return "", fmt.Errorf("the drive's XML cannot be edited: %w", err)
	}
	if file == "" {
		return drive, nil
	}
	drive = drive[:roots[0].tagEnd] + `<source file="` + escaped(file) + `"/>` + drive[roots[0].tagEnd:]
	drive, _ = setAttribute(drive, roots[0], "type", "file")
	return drive, nil
}

// writtenName returns the name at the beginning of a start tag.
func writtenName(tag string) string {
	tag = strings.TrimPrefix(tag, "<")
	if i := strings.IndexAny(tag, " \t\r\n/>"); i >= 0 {
		return tag[:i]
	}
	return tag
}

// replaceChildren removes the children with a name from the SandboxLabs metadata element, and
// appends markup to the remaining content.
func replaceChildren(text, child, markup string) (string, error) {
	const root = "node"
	old, err := elements(text, root, child)
	if err != nil {
		return "", err
	}
	for _, e := range slices.Backward(old) {
		text = text[:e.start] + text[e.end:]
	}
	roots, err := elements(text, root)
	if err != nil || len(roots) != 1 || markup == "" {
		return text, err
	}
	r := roots[0]
	if r.end == r.tagEnd { // <node/>
		open := strings.TrimSuffix(text[r.start:r.tagEnd], "/>")
		return text[:r.start] + open + ">" + markup + "</" + r.name + ">" + text[r.end:], nil
	}
	end := strings.LastIndex(text[:r.end], "</")
	return text[:end] + markup + text[end:], nil
}

// setAttribute changes the value of an element's attribute. It returns false if there is no
// such attribute without a prefix.
func setAttribute(text string, e element, name, value string) (string, bool) {
	a, ok := findAttribute(text, e, name)
	if !ok {
		return text, false
	}
	return text[:a.open] + `"` + escaped(value) + `"` + text[a.end:], true
}

// withoutAttribute removes an attribute, given by its name as written, from an element.
func withoutAttribute(text string, e element, name string) string {
	a, ok := findAttribute(text, e, name)
	if !ok {
		return text
	}
	return strings.TrimRight(text[:a.start], " \t\r\n") + text[a.end:]
}

// attribute is the position of an attribute in a text: its name from start, and its quoted
// value from open to end.
type attribute struct{ start, open, end int }

func findAttribute(text string, e element, name string) (attribute, bool) {
	tag := text[e.start:e.tagEnd]
	for at := len(e.name) + 1; at < len(tag); {
		equals := strings.IndexByte(tag[at:], '=')
		if equals < 0 {
			return attribute{}, false
		}
		key := tag[at : at+equals]
		open := at + equals + 1 + strings.IndexAny(tag[at+equals+1:], `"'`)
		end := open + 1 + strings.IndexByte(tag[open+1:], tag[open])
		if strings.TrimSpace(key) == name {
			indent := len(key) - len(strings.TrimLeft(key, " \t\r\n"))
			return attribute{e.start + at + indent, e.start + open, e.start + end + 1}, true
		}
		at = end + 1
	}
	return attribute{}, false
}

// escaped returns a text escaped for XML content or attributes.
func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder never fails
	return b.String()
}
