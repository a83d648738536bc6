package diskimage

import (
	"strings"
	"testing"
)

// ovfText is a shortened descriptor as VirtualBox and VMware write it.
const ovfText = `<?xml version="1.0"?>
<Envelope ovf:version="1.0" xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
  <VirtualSystem ovf:id="box">
    <OperatingSystemSection ovf:id="96"><Info>The kind of guest</Info><Description>Debian_64</Description></OperatingSystemSection>
    <VirtualHardwareSection>
      <Item><rasd:Caption>2 virtual CPU</rasd:Caption><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
      <Item><rasd:AllocationUnits>UNITS</rasd:AllocationUnits><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>QUANTITY</rasd:VirtualQuantity></Item>
      <Item><rasd:ResourceType>10</rasd:ResourceType><rasd:Connection>NAT</rasd:Connection></Item>
      <Item><rasd:ResourceType>17</rasd:ResourceType><rasd:HostResource>/disk/vmdisk1</rasd:HostResource></Item>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>`

func TestParseOVF(t *testing.T) {
	for _, c := range []struct {
		units, quantity string
		ramMiB          int64
	}{
		{"MegaBytes", "2048", 2048}, {"byte * 2^20", "512", 512}, {"byte * 2^30", "4", 4096}, {"GigaBytes", "2", 2048}, {"byte * 2^10", "1048576", 1024},
		{"byte * 2^99", "1", 1}, {"MegaBytes", "-1", 0}, {"byte * 2^30", "9223372036854775807", 0}, {"MegaBytes", "lots", 0},
	} {
		m := parseOVF([]byte(strings.NewReplacer("UNITS", c.units, "QUANTITY", c.quantity).Replace(ovfText)))
		if want := (Machine{CPUs: 2, RAMMiB: c.ramMiB, Cards: 1, System: "Debian_64"}); m != want {
			t.Errorf("%s %s: %+v, want %+v", c.quantity, c.units, m, want)
		}
	}
	for name, text := range map[string]string{
		"nothing": "", "no XML": "hello", "two machines": "<a><VirtualSystem/><VirtualSystem/></a>",
		"entities": `<!DOCTYPE a [<!ENTITY b "bbbb">]><a><VirtualSystem>&b;</VirtualSystem></a>`,
	} {
		if m := parseOVF([]byte(text)); m != (Machine{}) || m.String() != "" {
			t.Errorf("%s: %+v", name, m)
		}
	}
	if got := (Machine{CPUs: 1, RAMMiB: 2048, Cards: 2, System: "Debian_64"}).String(); got != "Imported from an OVA with 1 CPU, 2048 MiB of RAM, 2 network interfaces (Debian_64)." {
		t.Error(got)
	}
}
