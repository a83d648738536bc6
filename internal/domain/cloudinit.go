package domain

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/ssh"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// CloudInit is the configuration of a guest's first boot, which cloud-init reads from the
// NoCloud data source (docs.cloud-init.io). All fields are optional.
type CloudInit struct {
	Hostname string
	SSHKeys  []string // lines of an authorized_keys file, for the image's default user
	// UserData is a script (#!), a cloud-config (#cloud-config), another format that
	// cloud-init recognizes by its first line, or a MIME message. It may be compressed with
	// gzip and encoded in Base64.
	UserData string
	// VendorData has the formats of UserData, which overrides it.
	VendorData string
	// NetworkConfig is a cloud-init network configuration, version 1 or 2, as YAML, with or
	// without the top-level key `network`.
	NetworkConfig string
}

// Limits of CloudInit.
const (
	maxUserDataBytes = 256 << 10 // decompressed
	maxSSHKeyBytes   = 16 << 10
	maxMIMEParts     = 64

	// MaxNetworkConfigBytes limits NetworkConfig, and MaxSSHKeys the number of SSHKeys.
	MaxNetworkConfigBytes = 64 << 10
	MaxSSHKeys            = 64
	// MaxHostnameBytes and HostnamePattern limit Hostname to what RFC 1123 allows, with or
	// without a domain.
	MaxHostnameBytes = 253
	HostnamePattern  = `^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`
)

var hostname = regexp.MustCompile(HostnamePattern)

func (c CloudInit) empty() bool {
	return c.Hostname == "" && len(c.SSHKeys) == 0 && c.UserData == "" && c.VendorData == "" && c.NetworkConfig == ""
}

// checked returns c in the form that the seed contains: SSH keys without line ends, data
// decompressed, and the network configuration without the top-level key. It returns
// fault.Invalid with the field's name if cloud-init would reject or ignore a value.
func (c CloudInit) checked() (CloudInit, error) {
	if c.Hostname != "" && (len(c.Hostname) > MaxHostnameBytes || !hostname.MatchString(c.Hostname)) {
		return c, fault.Field("cloudInit.hostname", "The host name may have letters, digits and dashes, in parts of at most 63 that dots divide.")
	}
	var err error
	if c.SSHKeys, err = checkedKeys(c.SSHKeys); err != nil {
		return c, err
	}
	if c.UserData, err = checkedData("cloudInit.userData", c.UserData); err != nil {
		return c, err
	}
	if c.VendorData, err = checkedData("cloudInit.vendorData", c.VendorData); err != nil {
		return c, err
	}
	c.NetworkConfig, err = checkedNetwork(c.NetworkConfig)
	return c, err
}

func checkedKeys(keys []string) ([]string, error) {
	var list []string
	for i, key := range keys {
		field := fmt.Sprintf("cloudInit.sshKeys[%d]", i)
		key = strings.TrimSpace(key)
		switch {
		case key == "":
			continue // an empty line of the file
		case len(key) > maxSSHKeyBytes || strings.ContainsAny(key, "\r\n"):
			return nil, fault.Field(field, "An SSH key is one line of at most %d bytes. Give each line as an entry of its own.", maxSSHKeyBytes)
		}
		if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(key)); err != nil {
			return nil, fault.Field(field, "This is not a public SSH key. Give a line such as the one in ~/.ssh/id_ed25519.pub.")
		}
		list = append(list, key)
	}
	if len(list) > MaxSSHKeys {
		return nil, fault.Field("cloudInit.sshKeys", "There are %d SSH keys; at most %d are allowed.", len(list), MaxSSHKeys)
	}
	return list, nil
}

// The formats of user data that cloud-init recognizes by their first line, regardless of
// case. YAML formats are validated further.
const (
	cloudConfig  = "#cloud-config"
	cloudArchive = "#cloud-config-archive"
	cloudJSON    = "#cloud-config-jsonp"
)

var dataKinds = []string{cloudConfig, "#!", "#include", "#part-handler", "#cloud-boothook", "#upstart-job", "## template: jinja"}

// checkedData checks user data or vendor data, and decompresses it.
func checkedData(field, data string) (string, error) {
	unpacked, packed, err := unpack(data)
	switch {
	case err != nil:
		return "", fault.Field(field, "The data is packed by gzip, and cannot be unpacked: it is damaged, or larger than %d bytes.", maxUserDataBytes)
	case packed:
		data = unpacked
	}
	if len(data) > maxUserDataBytes {
		return "", fault.Field(field, "The data has %d bytes; at most %d are allowed.", len(data), maxUserDataBytes)
	}
	if strings.TrimSpace(data) == "" {
		return "", nil
	}
	return data, checkData(field, data, 0)
}

// checkData checks decompressed data of any format; depth is the number of MIME messages
// around it.
func checkData(field, data string, depth int) error {
	lower := strings.ToLower(strings.TrimLeft(data, " \t\r\n"))
	switch {
	case strings.HasPrefix(lower, cloudArchive):
		return checkYAML(field, data, yaml.SequenceNode)
	case strings.HasPrefix(lower, cloudJSON):
		return nil // a patch, which is only valid together with the data that it changes
	case strings.HasPrefix(lower, cloudConfig):
		return checkYAML(field, data, yaml.MappingNode)
	case slices.ContainsFunc(dataKinds, func(kind string) bool { return strings.HasPrefix(lower, kind) }):
		return nil
	case strings.HasPrefix(lower, "content-type:"), strings.HasPrefix(lower, "mime-version:"):
		return checkMessage(field, data, depth)
	}
	return fault.Field(field, "The data must begin with #cloud-config, #! (a script) or MIME headers, without a comment before it; cloud-init ignores all else.")
}

// checkYAML checks that data is one YAML document that is empty or has a root of the given
// kind.
func checkYAML(field, data string, kind yaml.Kind) error {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(data), &doc); err != nil {
		return fault.Field(field, "The YAML cannot be parsed: %s.", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind == kind || doc.Content[0].Tag == "!!null" {
		return nil
	}
	if kind == yaml.SequenceNode {
		return fault.Field(field, "The YAML of #cloud-config-archive must be a list of parts.")
	}
	return fault.Field(field, "The YAML of #cloud-config must be a mapping, such as `packages: [vim]`.")
}

// checkMessage checks the structure of a MIME message, and the YAML in its parts.
func checkMessage(field, data string, depth int) error {
	malformed := fault.Field(field, "The MIME message is malformed. `cloud-init devel make-mime` makes one.")
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil || depth > 2 {
		return malformed
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		return malformed
	}
	if !strings.HasPrefix(kind, "multipart/") {
		return checkPart(field, kind, m.Header.Get("Content-Transfer-Encoding"), m.Body, depth)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for i := range maxMIMEParts {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) && i > 0 {
			return nil
		}
		if err != nil {
			return malformed
		}
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil {
			kind = "text/plain"
		}
		if err := checkPart(field, kind, part.Header.Get("Content-Transfer-Encoding"), part, depth); err != nil {
			return err
		}
	}
	return fault.Field(field, "The MIME message has more than %d parts.", maxMIMEParts)
}

// checkPart checks a MIME part by its content type. Like cloud-init, it recognizes plain text
// by its first line.
func checkPart(field, kind, encoding string, body io.Reader, depth int) error {
	if strings.EqualFold(encoding, "base64") {
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return fault.Field(field, "A part of the MIME message is not the Base64 that its header says.")
	}
	switch kind {
	case "text/cloud-config":
		return checkYAML(field, string(text), yaml.MappingNode)
	case "text/cloud-config-archive":
		return checkYAML(field, string(text), yaml.SequenceNode)
	case "text/plain":
		return checkData(field, string(text), depth+1)
	}
	return nil // scripts and the like
}

// unpack decompresses gzip data, which is in Base64 because the API carries text.
func unpack(data string) (unpacked string, packed bool, err error) {
	text := strings.TrimSpace(data)
	if !strings.HasPrefix(text, "H4sI") { // the magic number of gzip, in Base64
		return "", false, nil
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return "", true, err
	}
	r, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return "", true, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxUserDataBytes+1))
	if err == nil && len(plain) > maxUserDataBytes {
		err = errors.New("too large")
	}
	return string(plain), true, err
}

// checkedNetwork checks a network configuration. It removes the top-level key `network` of
// cloud-init's own files, because not every release of NoCloud accepts it.
func checkedNetwork(text string) (string, error) {
	if strings.TrimSpace(text) == "" {
		return "", nil
	}
	const field = "cloudInit.networkConfig"
	if len(text) > MaxNetworkConfigBytes {
		return "", fault.Field(field, "The network configuration has %d bytes; at most %d are allowed.", len(text), MaxNetworkConfigBytes)
	}
	if err := checkYAML(field, text, yaml.MappingNode); err != nil {
		return "", err
	}
	var wrapped struct {
		Network yaml.Node `yaml:"network"`
	}
	if err := yaml.Unmarshal([]byte(text), &wrapped); err == nil && wrapped.Network.Kind == yaml.MappingNode {
		inner, err := yaml.Marshal(&wrapped.Network)
		if err != nil {
			return "", err
		}
		text = string(inner)
	}
	var v struct {
		Version int `yaml:"version"`
		Config  any `yaml:"config"`
	}
	if yaml.Unmarshal([]byte(text), &v) != nil || v.Version != 1 && v.Version != 2 && v.Config != "disabled" {
		return "", fault.Field(field, "The network configuration needs `version: 1` or `version: 2`, or `config: disabled`, as cloud-init documents it.")
	}
	return text, nil
}

// Warnings lists, in sentences, what cloud-init is likely to ignore in c. They are not
// errors: another release of cloud-init, or a module in the image, may support it.
func (c CloudInit) Warnings() []string {
	var list []string
	for _, part := range []struct{ name, data string }{{"user data", c.UserData}, {"vendor data", c.VendorData}} {
		data := part.data
		if unpacked, packed, err := unpack(data); err == nil && packed {
			data = unpacked
		}
		var config map[string]yaml.Node
		lower := strings.ToLower(strings.TrimLeft(data, " \t\r\n"))
		if !strings.HasPrefix(lower, cloudConfig) || strings.HasPrefix(lower, cloudConfig+"-") || yaml.Unmarshal([]byte(data), &config) != nil {
			continue
		}
		var unknown []string
		for key := range config {
			if !slices.Contains(cloudConfigKeys, key) {
				unknown = append(unknown, key)
			}
		}
		if len(unknown) > 0 {
			slices.Sort(unknown)
			list = append(list, fmt.Sprintf("cloud-init's modules don't know these keys of the %s: %s. Check their spelling.", part.name, cutList(unknown)))
		}
	}
	return list
}

// cutList joins the first words of a list that a client sent.
func cutList(words []string) string {
	const most, longest = 8, 64
	var shown []string
	for _, word := range words[:min(most, len(words))] {
		if len(word) > longest {
			word = strings.ToValidUTF8(word[:longest], "") + "…"
		}
		shown = append(shown, fmt.Sprintf("%q", word))
	}
	if len(words) > most {
		shown = append(shown, "…")
	}
	return strings.Join(shown, ", ")
}

// cloudConfigKeys are the top-level keys in cloud-init's schema (schema-cloud-config-v1) of
// releases 20 to 25.
var cloudConfigKeys = strings.Fields(`
allow_public_ssh_keys ansible apk_repos apt apt_pipelining apt_reboot_if_required apt_update apt_upgrade
apt_mirror apt_mirror_search apt_mirror_search_dns apt_preserve_sources_list apt_custom_sources_list apt_sources
authkey_hash autoinstall bootcmd byobu_by_default ca-certs ca_certs chef chpasswd cloud_config_modules cloud_final_modules
cloud_init_modules create_hostname_file datasource datasource_list debug def_log_file device_aliases disable_ec2_metadata
disable_root disable_root_opts disk_setup distro drivers fan final_message fqdn fs_setup groups growpart grub-dpkg grub_dpkg
hostname instance-data-source keyboard landscape launch-index locale locale_configfile log_cfgs lxd manage_etc_hosts
manage_resolv_conf manual_cache_clean mcollective merge_how merge_type migrate mount_default_fields mounts network
no_ssh_fingerprints ntp output package_reboot_if_required package_update package_upgrade packages password phone_home
power_state prefer_fqdn_over_hostname preserve_hostname puppet random_seed reporting resize_rootfs resolv_conf rh_subscription
rpi rsyslog runcmd salt_minion snap spacewalk ssh ssh_authorized_keys ssh_deletekeys ssh_fp_console_blacklist ssh_genkeytypes
ssh_import_id ssh_key_console_blacklist ssh_keys ssh_publish_hostkeys ssh_pwauth ssh_quiet_keygen swap syslog_fix_perms
system_info timezone ubuntu-advantage ubuntu_advantage ubuntu_pro unverified_modules updates user users vendor_data
version wireguard write_files yum_repo_dir yum_repos zypper`)
