package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// settingsOf lists the options in effect for display, without secrets. source returns
// where an option's value comes from.
func settingsOf(k *koanf.Koanf, source func(name string) string) []api.Setting {
	options := pflag.NewFlagSet("", pflag.ContinueOnError)
	options.SortFlags = false
	addConfigFlags(options)
	var list []api.Setting
	options.VisitAll(func(f *pflag.Flag) {
		if f.Name == "config" {
			return
		}
		value := optionText(k, f.Name)
		setting := api.Setting{Name: f.Name, Set: value != "", Source: source(f.Name), Description: f.Usage}
		setting.Value, setting.Secret = withoutSecrets(f.Name, value)
		list = append(list, setting)
	})
	return list
}

// optionText returns an option's value as a flag or the environment spells it. The file
// may spell some as maps and lists, and on and off as YAML booleans.
func optionText(k *koanf.Koanf, name string) string {
	switch value := k.Get(name).(type) {
	case nil:
		return ""
	case map[string]any:
		return mapText(k, name)
	case []any:
		return strings.Join(k.Strings(name), ",")
	case bool:
		if name == "auth" || name == "user-network" {
			return map[bool]string{true: "on", false: "off"}[value]
		}
		return fmt.Sprint(value)
	default:
		return fmt.Sprint(value)
	}
}

// withoutSecrets returns an option's value as it may be shown, and whether the value is
// hidden completely. The name of a file that contains a secret may be shown.
func withoutSecrets(name, value string) (shown string, secret bool) {
	isSecret := strings.Contains(name, "secret") || strings.Contains(name, "password")
	u, err := url.Parse(value)
	isDatabase := strings.HasSuffix(name, "database") && value != "" && value != "sqlite"
	switch {
	case strings.HasPrefix(value, "file:"):
		return value, false
	case isSecret, isDatabase && (err != nil || u.Host == ""):
		return "", true
	case err != nil || u.User == nil && !isDatabase:
		return value, false
	}
	u.RawQuery = "" // may contain a password too
	return u.Redacted(), false
}
