package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build says what a binary was built from. Unknown fields are "unknown".
type build struct {
	commit string // Git commit; with "-modified" if files differed from it
	date   string // of the commit, in RFC 3339
}

// currentBuild returns what this binary was built from. Go records it unless the build
// disables that (-buildvcs=false) or runs outside a Git checkout.
func currentBuild() build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return buildOf(info.Settings)
}

func buildOf(settings []debug.BuildSetting) build {
	values := map[string]string{}
	for _, s := range settings {
		values[s.Key] = s.Value
	}
	b := build{commit: values["vcs.revision"], date: cmp.Or(values["vcs.time"], "unknown")}
	if b.commit != "" && values["vcs.modified"] == "true" {
		b.commit += "-modified"
	}
	b.commit = cmp.Or(b.commit, "unknown")
	return b
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, and the commit that it was built from",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b := currentBuild()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "sandboxlabs %s\ncommit %s\ndate %s\n%s %s/%s\n",
				version, b.commit, b.date, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
