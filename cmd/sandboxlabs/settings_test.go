package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestSettings expects the options in effect with their sources, and no secrets.
func TestSettings(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	file := filepath.Join(t.TempDir(), "sandboxlabs.yaml")
	content := "hosts:\n  b: qemu+ssh://b/system\n  a: qemu:///system\nauth: off\naudit-days: 30\ncatalog: [/one, /two]\n" +
		"guacamole-url: https://labs.example.org/guacamole\nguacamole-json-secret: " + secret + "\nlog-level: debug\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SANDBOXLABS_LOG_LEVEL", "warn")
	t.Setenv("SANDBOXLABS_GUACAMOLE_DATABASE", "postgres://sync:"+secret+"@db.example.org/guacamole?password="+secret)
	t.Setenv("SANDBOXLABS_DATABASE", "postgres://labs:"+secret+"@db.example.org/labs")
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addConfigFlags(flags)
	if err := flags.Parse([]string{"--config", file, "--listen", "127.0.0.1:3002"}); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(flags)
	if err != nil {
		t.Fatal(err)
	}
	if c.File != file {
		t.Errorf("the file is %q", c.File)
	}
	got := map[string]api.Setting{}
	for _, s := range c.Settings {
		if s.Description == "" {
			t.Errorf("%s has no description", s.Name)
		}
		s.Description = ""
		got[s.Name] = s
	}
	for _, want := range []api.Setting{
		{Name: "listen", Value: "127.0.0.1:3002", Set: true, Source: "flag"},
		{Name: "log-level", Value: "warn", Set: true, Source: "environment"},
		{Name: "audit-days", Value: "30", Set: true, Source: "file"},
		{Name: "auth", Value: "off", Set: true, Source: "file"},
		{Name: "hosts", Value: "a=qemu:///system,b=qemu+ssh://b/system", Set: true, Source: "file"},
		{Name: "catalog", Value: "/one,/two", Set: true, Source: "file"},
		{Name: "images-pool", Value: "sandboxlabs-images", Set: true, Source: "default"},
		{Name: "tls-cert", Source: "default"},
		{Name: "guacamole-json-secret", Set: true, Secret: true, Source: "file"},
		{Name: "guacamole-database", Value: "postgres://sync:xxxxx@db.example.org/guacamole", Set: true, Source: "environment"},
		{Name: "database", Value: "postgres://labs:xxxxx@db.example.org/labs", Set: true, Source: "environment"},
	} {
		if got[want.Name] != want {
			t.Errorf("%s: got %+v, want %+v", want.Name, got[want.Name], want)
		}
	}
	all, err := json.Marshal(c.Settings)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(all), secret) {
		t.Errorf("a secret is told: %s", all)
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if _, there := got[f.Name]; there == (f.Name == "config") {
			t.Errorf("option %s: shown %v", f.Name, there)
		}
	})
}
