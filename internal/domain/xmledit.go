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

// An edit of XML that others may have written changes the bytes that it means and
// no others: what our types do not model would be lost on the way through them.

// element is where an element stands in a text: its start tag from start to
// tagEnd, and its end tag, which an empty element shares with it, up to end.
type element struct {
	start, tagEnd, end int
	name               string // as it is written, with its prefix
}

// elements finds the elements without a namespace that a path of names from the
// root leads to, in their order.
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
				name = "\x00" + name // is on no path
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

// deviceText is the index-th device of a kind, as it is written in a domain's XML.
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

// withFile is a disk with another file in it, that lies on another one than before.
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

// withoutChildren takes the children of one name out of the root.
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

// withMedia is an optical drive with another file in it, or with none.
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

// writtenName reads the name that a start tag begins with.
func writtenName(tag string) string {
	tag = strings.TrimPrefix(tag, "<")
	if i := strings.IndexAny(tag, " \t\r\n/>"); i >= 0 {
		return tag[:i]
	}
	return tag
}

// replaceChildren removes the children of one name from our metadata element, and
// puts markup after what is left in it.
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

// setAttribute gives an element's attribute, which it must have and which must
// have no prefix, another value.
func setAttribute(text string, e element, name, value string) (string, bool) {
	a, ok := findAttribute(text, e, name)
	if !ok {
		return text, false
	}
	return text[:a.open] + `"` + escaped(value) + `"` + text[a.end:], true
}

// withoutAttribute takes an attribute out of an element, by the name that is written.
func withoutAttribute(text string, e element, name string) string {
	a, ok := findAttribute(text, e, name)
	if !ok {
		return text
	}
	return strings.TrimRight(text[:a.start], " \t\r\n") + text[a.end:]
}

// attribute is where an attribute stands in a text: its name from start, and its value
// with the quotes from open to end.
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

// escaped is a text as it stands in XML, between tags or quotes.
func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
