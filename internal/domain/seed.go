package domain

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/ssh"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// CloudInit is what a guest is told at its first boot, by cloud-init's NoCloud
// data source (docs.cloud-init.io). All of it is optional.
type CloudInit struct {
	Hostname string
	SSHKeys  []string // lines of an authorized_keys file, for the image's default user
	UserData string   // a script (#!), a cloud-config (#cloud-config) or MIME parts
	// NetworkConfig is in cloud-init's format of version 1 or 2, YAML.
	NetworkConfig string
}

// Limits of CloudInit.
const (
	maxUserDataBytes = 256 << 10
	maxNetworkBytes  = 64 << 10
	maxSSHKeys       = 64
	maxSSHKeyBytes   = 16 << 10
	minSeedBytes     = 512 << 10
)

// hostname is a name by RFC 1123, with or without its domain.
var hostname = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)

func (c CloudInit) empty() bool {
	return c.Hostname == "" && len(c.SSHKeys) == 0 && c.UserData == "" && c.NetworkConfig == ""
}

// check answers fault.Invalid with what is wrong.
func (c CloudInit) check() error {
	switch {
	case c.Hostname != "" && (len(c.Hostname) > 253 || !hostname.MatchString(c.Hostname)):
		return fault.Field("cloudInit.hostname", "The host name may have letters, digits and dashes, in parts of at most 63 that dots divide.")
	case len(c.SSHKeys) > maxSSHKeys:
		return fault.Field("cloudInit.sshKeys", "There are %d SSH keys; at most %d are allowed.", len(c.SSHKeys), maxSSHKeys)
	case len(c.UserData) > maxUserDataBytes:
		return fault.Field("cloudInit.userData", "The user data has %d bytes; at most %d are allowed.", len(c.UserData), maxUserDataBytes)
	case c.UserData != "" && !strings.HasPrefix(c.UserData, "#") && !strings.HasPrefix(c.UserData, "Content-Type:") && !strings.HasPrefix(c.UserData, "MIME-Version:"):
		return fault.Field("cloudInit.userData", "The user data must begin with #cloud-config, with #! (a script) or with MIME headers; cloud-init ignores all else.")
	}
	if err := c.checkNetwork(); err != nil {
		return err
	}
	for i, key := range c.SSHKeys {
		field := fmt.Sprintf("cloudInit.sshKeys[%d]", i)
		if len(key) > maxSSHKeyBytes || strings.ContainsAny(key, "\r\n") {
			return fault.Field(field, "An SSH key is one line.")
		}
		if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(key)); err != nil {
			return fault.Field(field, "This is no public SSH key. Give a line such as the one in ~/.ssh/id_ed25519.pub.")
		}
	}
	return nil
}

func (c CloudInit) checkNetwork() error {
	if c.NetworkConfig == "" {
		return nil
	}
	var v struct {
		Version int            `yaml:"version"`
		Rest    map[string]any `yaml:",inline"`
	}
	if len(c.NetworkConfig) > maxNetworkBytes || yaml.Unmarshal([]byte(c.NetworkConfig), &v) != nil || (v.Version != 1 && v.Version != 2) {
		return fault.Field("cloudInit.networkConfig", "The network configuration is YAML of at most %d bytes, with `version: 1` or `version: 2`, as cloud-init documents it.", maxNetworkBytes)
	}
	return nil
}

// iso returns the seed: an ISO 9660 image labelled `cidata` with the files that
// NoCloud reads. The instance id is the node's, so a wiped node is new to its
// guest, and a restarted one is not.
func (c CloudInit) iso(nodeID string) ([]byte, error) {
	meta := map[string]any{"instance-id": nodeID}
	if c.Hostname != "" {
		meta["local-hostname"] = c.Hostname
	}
	if len(c.SSHKeys) > 0 {
		meta["public-keys"] = c.SSHKeys
	}
	metaData, err := yaml.Marshal(meta)
	if err != nil {
		return nil, err
	}
	userData := c.UserData
	if userData == "" {
		userData = "#cloud-config\n{}\n"
	}
	files := map[string]string{"meta-data": string(metaData), "user-data": userData}
	if c.NetworkConfig != "" {
		files["network-config"] = c.NetworkConfig
	}
	return seedImage(files)
}

// reseed is a seed that tells the same as another one, to another node: cloud-init
// takes it for a machine at its first boot.
func reseed(content []byte, nodeID, name string) ([]byte, error) {
	files, err := seedFiles(content)
	if err != nil {
		return nil, fmt.Errorf("read the seed: %w", err)
	}
	meta := map[string]any{}
	if err := yaml.Unmarshal([]byte(files["meta-data"]), &meta); err != nil {
		return nil, fmt.Errorf("read the seed's meta-data: %w", err)
	}
	meta["instance-id"] = nodeID
	if _, named := meta["local-hostname"]; named && hostname.MatchString(name) {
		meta["local-hostname"] = name
	}
	text, err := yaml.Marshal(meta)
	if err != nil {
		return nil, err
	}
	files["meta-data"] = string(text)
	return seedImage(files)
}

// seedFiles reads the files of a seed that was made here.
func seedFiles(content []byte) (map[string]string, error) {
	f, err := os.CreateTemp("", "sandboxlabs-seed-") // which none but us may read
	if err != nil {
		return nil, err
	}
	defer func() { _, _ = os.Remove(f.Name()), f.Close() }()
	if _, err := f.Write(content); err != nil {
		return nil, err
	}
	image, err := iso9660.Read(file.New(f, true), int64(len(content)), 0, 0)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, name := range []string{"meta-data", "user-data", "network-config"} {
		text, err := image.ReadFile(name)
		if err != nil && name == "network-config" {
			continue // not every seed has one
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = string(text)
	}
	return files, nil
}

// seedImage makes a seed of files.
func seedImage(files map[string]string) (_ []byte, err error) {
	// The library builds in a folder, which none but us may read: user data may
	// hold secrets.
	dir, err := os.MkdirTemp("", "sandboxlabs-seed-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "seed.iso")
	out, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	work := filepath.Join(dir, "files")
	if err := os.Mkdir(work, 0o700); err != nil {
		return nil, err
	}
	image, err := iso9660.Create(file.New(out, false), 0, 0, 0, work)
	if err != nil {
		return nil, fmt.Errorf("make the seed: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(image.Workspace(), name), []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	if err := image.Finalize(iso9660.FinalizeOptions{RockRidge: true, VolumeIdentifier: "cidata"}); err != nil {
		return nil, fmt.Errorf("make the seed: %w", err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	// Programs that look for file systems by their labels read further than the
	// few KiB of a seed, and give a shorter disk up; other tools pad theirs, too.
	if short := minSeedBytes - len(content); short > 0 {
		content = append(content, make([]byte, short)...)
	}
	return content, nil
}
