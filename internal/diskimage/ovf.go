package diskimage

import (
	"encoding/xml"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// The types of resources in an OVF description: those of CIM_ResourceAllocationSettingData.
const (
	ovfProcessor = "3"
	ovfMemory    = "4"
	ovfEthernet  = "10"
)

// The limits of values in an OVF descriptor.
const (
	maxOVFBytes  = 1 << 20
	maxOVFCPUs   = 1024
	maxOVFRAMMiB = 64 << 20 // 64 TiB
	maxOVFCards  = 64
	maxOVFSystem = 80 // characters
)

// Machine describes the virtual machine of an OVA. Zero fields are unknown.
type Machine struct {
	CPUs, RAMMiB, Cards int64
	System              string // operating system, as named by the exporting program
}

// ovf is the part of an OVF descriptor that is read.
type ovf struct {
	Systems []struct {
		System string `xml:"OperatingSystemSection>Description"`
		Items  []struct {
			Type     string `xml:"ResourceType"`
			Quantity string `xml:"VirtualQuantity"`
			Units    string `xml:"AllocationUnits"`
		} `xml:"VirtualHardwareSection>Item"`
	} `xml:"VirtualSystem"`
}

// parseOVF parses an OVF descriptor. Invalid values are ignored: an image does not depend
// on them.
func parseOVF(text []byte) (m Machine) {
	var d ovf
	if xml.Unmarshal(text, &d) != nil || len(d.Systems) != 1 {
		return Machine{}
	}
	m.System = shortText(d.Systems[0].System)
	for _, item := range d.Systems[0].Items {
		n, err := strconv.ParseInt(strings.TrimSpace(item.Quantity), 10, 64)
		switch kind := strings.TrimSpace(item.Type); {
		case kind == ovfEthernet && m.Cards < maxOVFCards:
			m.Cards++
		case err != nil || n <= 0:
		case kind == ovfProcessor && n <= maxOVFCPUs:
			m.CPUs = n
		case kind == ovfMemory && n <= maxOVFRAMMiB<<20:
			if mib := n * ovfUnit(item.Units) >> 20; mib > 0 && mib <= maxOVFRAMMiB {
				m.RAMMiB = mib
			}
		}
	}
	return m
}

var ovfPower = regexp.MustCompile(`2\s*\^\s*(\d{1,2})`)

// ovfUnit returns the size of a memory unit in bytes: programs write "byte * 2^20", older
// ones "MegaBytes".
func ovfUnit(units string) int64 {
	if m := ovfPower.FindStringSubmatch(units); m != nil {
		if power, err := strconv.Atoi(m[1]); err == nil && power <= 30 {
			return 1 << power
		}
	}
	switch units := strings.ToLower(units); {
	case strings.Contains(units, "giga"):
		return 1 << 30
	case strings.Contains(units, "kilo"):
		return 1 << 10
	}
	return 1 << 20
}

// shortText shortens an untrusted text to one line.
func shortText(text string) string {
	runes := []rune(strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)))
	return string(runes[:min(len(runes), maxOVFSystem)])
}

// String describes the machine in a sentence; it is empty if nothing is known.
func (m Machine) String() string {
	var parts []string
	add := func(n int64, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, one)
		case n > 1:
			parts = append(parts, fmt.Sprintf(many, n))
		}
	}
	add(m.CPUs, "1 CPU", "%d CPUs")
	add(m.RAMMiB, "1 MiB of RAM", "%d MiB of RAM")
	add(m.Cards, "1 network interface", "%d network interfaces")
	if len(parts) == 0 {
		return ""
	}
	text := "Imported from an OVA with " + strings.Join(parts, ", ")
	if m.System != "" {
		text += " (" + m.System + ")"
	}
	return text + "."
}
