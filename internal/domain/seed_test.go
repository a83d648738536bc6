package domain

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBvnz4JHgQFKvPEJHXUFpKGbUJtrSGLXIVFMdPZhPtkU ann@example.org"

func TestSeedHoldsWhatNoCloudReads(t *testing.T) {
	content, err := CloudInit{Hostname: "web1", SSHKeys: []string{publicKey}, UserData: "#!/bin/sh\necho 'a: b'\n", NetworkConfig: "version: 2\n"}.iso("the-node")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "seed.iso")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "blkid", "-p", "-o", "export", path).CombinedOutput(); err != nil || !strings.Contains(string(out), "LABEL=cidata\n") {
		t.Errorf("blkid says %q (%v)", out, err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	image, err := iso9660.Read(file.New(f, true), int64(len(content)), 0, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{
		"meta-data":      {"instance-id: the-node\n", "local-hostname: web1\n", "- " + publicKey + "\n"},
		"network-config": {"version: 2\n"},
		"user-data":      {"#!/bin/sh\necho 'a: b'\n"},
	} {
		got, err := image.ReadFile(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, w := range want {
			if !strings.Contains(string(got), w) {
				t.Errorf("%s lacks %q:\n%s", name, w, got)
			}
		}
	}
}

func TestCloudInitIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		ci    CloudInit
		field string // empty: allowed
	}{
		"nothing":              {CloudInit{}, ""},
		"all":                  {CloudInit{"a.example.org", []string{publicKey}, "#cloud-config\n{}\n", "version: 2\nethernets: {eth0: {dhcp4: true}}\n"}, ""},
		"network as a list":    {CloudInit{NetworkConfig: "- version: 2"}, "cloudInit.networkConfig"},
		"network of version 3": {CloudInit{NetworkConfig: "version: 3"}, "cloudInit.networkConfig"},
		"broken network":       {CloudInit{NetworkConfig: "version: 2\n\tx"}, "cloudInit.networkConfig"},
		"line break in host":   {CloudInit{Hostname: "a\nb: c"}, "cloudInit.hostname"},
		"underscore in host":   {CloudInit{Hostname: "a_b"}, "cloudInit.hostname"},
		"no key":               {CloudInit{SSHKeys: []string{publicKey, "hello"}}, "cloudInit.sshKeys[1]"},
		"private key":          {CloudInit{SSHKeys: []string{"-----BEGIN OPENSSH PRIVATE KEY-----"}}, "cloudInit.sshKeys[0]"},
		"key with line break":  {CloudInit{SSHKeys: []string{publicKey + "\n- evil"}}, "cloudInit.sshKeys[0]"},
		"data without a kind":  {CloudInit{UserData: "packages: [vim]"}, "cloudInit.userData"},
		"too much data":        {CloudInit{UserData: "#!" + strings.Repeat("x", maxUserDataBytes)}, "cloudInit.userData"},
	} {
		err := c.ci.check()
		if c.field == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if f, ok := err.(*fault.Error); !ok || f.Field != c.field { //nolint:errorlint // it is returned bare
			t.Errorf("%s: %v, want field %s", name, err, c.field)
		}
	}
}
