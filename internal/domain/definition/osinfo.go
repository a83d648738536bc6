package definition

import (
	"encoding/xml"
	"net/url"
	"strings"
)

// libosinfoSpace is the namespace in which virt-install and virt-manager note which
// operating system a domain is for.
const libosinfoSpace = "http://libosinfo.org/xmlns/libvirt/domain/1.0"

// OSInfoType returns the osType of a domain that virt-install or virt-manager made, of the
// content of its <metadata>; empty where they noted none. "http://debian.org/debian/12" is
// "debian", and "http://microsoft.com/win/11" is "windows".
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

// osTypeOf is the word that an identifier of libosinfo's database has for a system.
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
