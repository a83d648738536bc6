package main

import (
	"runtime/debug"
	"strings"
	"testing"
)

// TestBuild reads the commit and its date, also if the build omitted them.
func TestBuild(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings []debug.BuildSetting
		want     build
	}{
		{"clean checkout", []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2030-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "false"}}, build{"abc", "2030-01-02T03:04:05Z"}},
		{"changed files", []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}}, build{"abc-modified", "unknown"}},
		{"-buildvcs=false", nil, build{"unknown", "unknown"}},
	} {
		if got := buildOf(c.settings); got != c.want {
			t.Errorf("%s: %+v, not %+v", c.name, got, c.want)
		}
	}
}

// TestVersionCommand expects the command to need neither a configuration nor libvirt.
func TestVersionCommand(t *testing.T) {
	var out strings.Builder
	root := newRootCommand()
	root.SetOut(&out)
	root.SetArgs([]string{"version"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"sandboxlabs " + version + "\n", "\ncommit ", "\ndate "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output has no %q:\n%s", want, out.String())
		}
	}
}
