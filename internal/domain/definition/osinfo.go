package definition

import (
	"encoding/xml"
	"net/url"
	"strings"
)

// libosinfoSpace is the namespace of the element in which virt-install and virt-manager
// record a domain's operating system.
const libosinfoSpace = "http://libosinfo.org/xmlns/libvirt/domain/1.0"

// OSInfoType returns the osType for a domain that virt-install or virt-manager created, from
// the content of its <metadata>; empty if they recorded none. "http://debian.org/debian/12"
// becomes "debian", and "http://microsoft.com/win/11" becomes "windows".
func OSInfoType(inner string) string {
	d := xml.NewDecoder(strings.NewReader(inner))
	for {
		token, err := d.Token()
		if err != nil {
			return ""
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Space != libosinfoSpace || start.Name.Local != "os" {
			continue
		}
		for _, a := range start.Attr {
			if a.Name.Local == "id" {
				return osTypeOf(a.Value)
			}
		}
	}
}

// osTypeOf converts an identifier in libosinfo's database to an osType.
func osTypeOf(id string) string {
	u, err := url.Parse(id)
	if err != nil {
		return ""
	}
	word, _, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if word == "win" {
		word = "windows"
	}
	if CheckOSType(word) != nil {
		return ""
	}
	return word
}
