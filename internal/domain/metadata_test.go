package domain

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/domain/definition"
	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

// libvirt rejects its own output for an element that was written with its namespace, as
// earlier versions did when they adopted a domain. The current form must be accepted any
// number of times, and preserve what other programs wrote.
func TestMetadataThatLibvirtReturns(t *testing.T) {
	conn, err := libvirt.NewConnect("test:///default")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = conn.Close() }()
	ours, err := xml.Marshal(definition.NewMetadata(definition.Owner{Name: "ann"}, "", ImageRef{}, time.Unix(0, 0)))
	if err != nil {
		t.Fatal(err)
	}
	with := func(more string) string { return strings.Replace(string(ours), "</node>", more+"</node>", 1) }
	for name, element := range map[string]string{
		"as it is made":          string(ours),
		"as it was adopted":      strings.Replace(string(ours), "<node ", `<node xmlns:sandboxlabs="`+definition.Namespace+`" `, 1),
		"with a prefix":          strings.NewReplacer("<node xmlns=", "<sandboxlabs:node xmlns:sandboxlabs=", "</node>", "</sandboxlabs:node>", "<owner", "<sandboxlabs:owner", "</owner", "</sandboxlabs:owner").Replace(string(ours)),
		"with another prefix":    strings.NewReplacer("<node xmlns=", "<s:node xmlns:s=", "</node>", "</s:node>", "<owner", "<s:owner", "</owner", "</s:owner").Replace(string(ours)),
		"with content of others": with(`<x:y xmlns:x="urn:x" a="1">z</x:y>`),
	} {
		d, err := conn.DomainDefineXML("<domain type='test'><name>" + testground.Name() + "</name><metadata>" + element + "</metadata><memory>65536</memory><os><type>hvm</type></os></domain>")
		if err != nil {
			t.Fatal(err)
		}
		const config = libvirt.DOMAIN_AFFECT_CONFIG
		read := func() definition.Metadata {
			text, err := d.GetMetadata(libvirt.DOMAIN_METADATA_ELEMENT, definition.Namespace, config)
			m, ok := definition.ParseMetadata(text)
			if err != nil || !ok {
				t.Fatalf("%s: %v, %s", name, err, text)
			}
			return m
		}
		for _, tag := range []string{"first", "second"} {
			if err := editMetadata(d, config, Edit{Tags: &[]string{tag}}.children); err != nil {
				t.Errorf("%s: the tag %s: %v", name, tag, err)
			} else if m := read(); m.Owner.Name != "ann" || len(m.Tags.Sorted()) != 1 || m.Tags.Sorted()[0] != tag {
				t.Errorf("%s: after the tag %s it is %+v", name, tag, m)
			}
		}
		text, err := d.GetXMLDesc(0)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(text, "xmlns='"+definition.Namespace) || strings.Contains(text, `xmlns="`+definition.Namespace) {
			t.Errorf("%s: the namespace is declared twice: %s", name, text)
		}
		if strings.Contains(element, "urn:x") && !strings.Contains(text, `<x:y xmlns:x="urn:x" a="1">z</x:y>`) {
			t.Errorf("%s: what others wrote is gone: %s", name, text)
		}
		_, _ = d.Undefine(), d.Free()
	}
}
