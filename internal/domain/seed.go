package domain

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"
	"go.yaml.in/yaml/v3"
)

// minSeedBytes is the minimum size of a seed: see seedImage.
const minSeedBytes = 512 << 10

// iso returns the seed: an ISO 9660 image labelled `cidata` with the files that NoCloud
// reads. The instance id is the node's id, so cloud-init does not take a restart for a first
// boot. On a wiped disk it has no record of the id, and configures the guest again.
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
	if c.VendorData != "" {
		files["vendor-data"] = c.VendorData
	}
	return seedImage(files)
}

// reseed returns a seed with the same content for another node. For cloud-init, that is a new
// machine at its first boot.
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

// seedFiles reads the files in a seed that SandboxLabs created.
func seedFiles(content []byte) (map[string]string, error) {
	f, err := os.CreateTemp("", "sandboxlabs-seed-") // only readable by this service's user
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
	for _, name := range []string{"meta-data", "user-data", "network-config", "vendor-data"} {
		text, err := image.ReadFile(name)
		if err != nil && (name == "network-config" || name == "vendor-data") {
			continue // optional in a seed
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = string(text)
	}
	return files, nil
}

// seedImage creates a seed with the given files.
func seedImage(files map[string]string) (_ []byte, err error) {
	// The library builds the image in a directory that only this service's user can read:
	// user data may contain secrets.
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
	// Programs that probe for file system labels read more than the few KiB of a seed, and
	// fail on a shorter disk. Other tools pad seeds too.
	if short := minSeedBytes - len(content); short > 0 {
		content = append(content, make([]byte, short)...)
	}
	return content, nil
}
