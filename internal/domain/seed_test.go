package domain

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
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
	content, err := CloudInit{Hostname: "web1", SSHKeys: []string{publicKey}, UserData: "#!/bin/sh\necho 'a: b'\n", VendorData: "#cloud-config\npackages: [vim]\n", NetworkConfig: "version: 2\n"}.iso("the-node")
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
		"vendor-data":    {"packages: [vim]"},
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

// message returns a MIME message with one part.
func message(kind, text string) string {
	return "Content-Type: multipart/mixed; boundary=\"x\"\nMIME-Version: 1.0\n\n--x\nContent-Type: " + kind + "; charset=\"us-ascii\"\n\n" + text + "\n--x--\n"
}

// packed returns user data compressed with gzip, in Base64.
func packed(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// TestCloudInitIsNormalised checks how values from clients are written to the seed.
func TestCloudInitIsNormalised(t *testing.T) {
	got, err := CloudInit{
		SSHKeys: []string{publicKey + "\n", ""}, UserData: packed(t, "#!/bin/sh\n"), NetworkConfig: "network:\n  version: 2\n  renderer: networkd\n",
	}.checked()
	if err != nil {
		t.Fatal(err)
	}
	if len(got.SSHKeys) != 1 || got.SSHKeys[0] != publicKey || got.UserData != "#!/bin/sh\n" || got.NetworkConfig != "version: 2\nrenderer: networkd\n" {
		t.Errorf("it is %+v", got)
	}
}

func TestCloudInitWarnings(t *testing.T) {
	w := CloudInit{UserData: packed(t, "#cloud-config\npackage: [vim]\nruncmd: [a]\n"), VendorData: "#!/bin/sh\n"}.Warnings()
	if len(w) != 1 || !strings.Contains(w[0], `"package"`) || strings.Contains(w[0], "runcmd") {
		t.Errorf("the warnings are %q", w)
	}
	if w := (CloudInit{UserData: "#cloud-config\nca_certs: {}\nusers: []\nwrite_files: []\n"}).Warnings(); len(w) != 0 {
		t.Errorf("of what is right there are warnings: %q", w)
	}
}

func TestCloudInitIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		ci    CloudInit
		field string // empty: valid
	}{
		"nothing":              {CloudInit{}, ""},
		"all":                  {CloudInit{"a.example.org", []string{publicKey}, "#cloud-config\n{}\n", "#!/bin/sh\n", "version: 2\nethernets: {eth0: {dhcp4: true}}\n"}, ""},
		"network as a list":    {CloudInit{NetworkConfig: "- version: 2"}, "cloudInit.networkConfig"},
		"network of version 3": {CloudInit{NetworkConfig: "version: 3"}, "cloudInit.networkConfig"},
		"broken network":       {CloudInit{NetworkConfig: "version: 2\n\tx"}, "cloudInit.networkConfig"},
		"line break in host":   {CloudInit{Hostname: "a\nb: c"}, "cloudInit.hostname"},
		"underscore in host":   {CloudInit{Hostname: "a_b"}, "cloudInit.hostname"},
		"no key":               {CloudInit{SSHKeys: []string{publicKey, "hello"}}, "cloudInit.sshKeys[1]"},
		"private key":          {CloudInit{SSHKeys: []string{"-----BEGIN OPENSSH PRIVATE KEY-----"}}, "cloudInit.sshKeys[0]"},
		"key with line break":  {CloudInit{SSHKeys: []string{publicKey + "\n- evil"}}, "cloudInit.sshKeys[0]"},
		"data without a kind":  {CloudInit{UserData: "packages: [vim]"}, "cloudInit.userData"},
		"a comment before it":  {CloudInit{UserData: "# mine\n#cloud-config\npackages: [vim]\n"}, "cloudInit.userData"},
		"empty lines before":   {CloudInit{UserData: "\n\n#Cloud-Config\npackages: [vim]\n"}, ""},
		"a key given twice":    {CloudInit{UserData: "#cloud-config\nhostname: a\nhostname: b\n"}, ""},
		"no YAML":              {CloudInit{UserData: "#cloud-config\npackages: [vim\n"}, "cloudInit.userData"},
		"YAML with tabs":       {CloudInit{VendorData: "#cloud-config\nusers:\n\t- ann\n"}, "cloudInit.vendorData"},
		"a list":               {CloudInit{UserData: "#cloud-config\n- vim\n"}, "cloudInit.userData"},
		"nothing in it":        {CloudInit{UserData: "#cloud-config\n"}, ""},
		"an archive":           {CloudInit{UserData: "#cloud-config-archive\n- type: text/cloud-config\n  content: x\n"}, ""},
		"an archive, a map":    {CloudInit{UserData: "#cloud-config-archive\na: b\n"}, "cloudInit.userData"},
		"a template":           {CloudInit{UserData: "## template: jinja\n#cloud-config\n{% if x %}\n"}, ""},
		"MIME":                 {CloudInit{UserData: message("text/cloud-config", "packages: [vim]")}, ""},
		"MIME, a script":       {CloudInit{UserData: message("text/x-shellscript", "#!/bin/sh")}, ""},
		"MIME, no YAML":        {CloudInit{UserData: message("text/cloud-config", "packages: [vim")}, "cloudInit.userData"},
		"MIME, no part":        {CloudInit{UserData: "Content-Type: multipart/mixed; boundary=x\n\nhello"}, "cloudInit.userData"},
		"MIME, no header":      {CloudInit{UserData: "MIME-Version: 1.0\n"}, "cloudInit.userData"},
		"packed":               {CloudInit{UserData: packed(t, "#cloud-config\npackages: [vim]\n")}, ""},
		"packed, no YAML":      {CloudInit{UserData: packed(t, "#cloud-config\n[")}, "cloudInit.userData"},
		"packed, damaged":      {CloudInit{UserData: packed(t, "#!")[:20]}, "cloudInit.userData"},
		"packed, too much":     {CloudInit{UserData: packed(t, "#!"+strings.Repeat("x", maxUserDataBytes))}, "cloudInit.userData"},
		"network in its key":   {CloudInit{NetworkConfig: "network:\n  version: 2\n  ethernets: {eth0: {dhcp4: true}}\n"}, ""},
		"network disabled":     {CloudInit{NetworkConfig: "network: {config: disabled}"}, ""},
		"no network":           {CloudInit{NetworkConfig: "network: {version: 3}"}, "cloudInit.networkConfig"},
		"key with its newline": {CloudInit{SSHKeys: []string{publicKey + "\n", "\n"}}, ""},
		"too much data":        {CloudInit{UserData: "#!" + strings.Repeat("x", maxUserDataBytes)}, "cloudInit.userData"},
	} {
		_, err := c.ci.checked()
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
