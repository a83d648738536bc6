package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Setting is an option of the service as it is in effect, on the wire. Whoever
// gives it to Options has taken secrets out of Value.
type Setting struct {
	Name        string `json:"name" doc:"Name of the flag and of the field in the file; SANDBOXLABS_NAME in the environment."`
	Value       string `json:"value" doc:"The value in effect. Empty for secrets; passwords in URLs are masked."`
	Set         bool   `json:"set" doc:"Whether the option has a value."`
	Secret      bool   `json:"secret" doc:"Whether the option is a secret, which is never shown."`
	Source      string `json:"source" enum:"default,file,environment,flag"`
	Description string `json:"description"`
}

// Settings is how the service is set up, on the wire.
type Settings struct {
	Version    string    `json:"version"`
	Commit     string    `json:"commit" doc:"The Git commit that the service was built from, or unknown."`
	CommitDate string    `json:"commitDate" doc:"The date of that commit, or unknown."`
	File       string    `json:"file,omitempty" doc:"The configuration file in use."`
	Settings   []Setting `json:"settings"`
}

func (s *Server) registerSettings() {
	register(s, huma.Operation{
		OperationID: "get-settings", Method: http.MethodGet, Path: "/api/settings", Summary: "Read the settings", Tags: []string{"system"},
		Description: "The options in effect, and whether each comes from a flag, the environment, the file or the default. Read-only, without secrets. Administrators only.",
	}, func(context.Context, *struct{}) (*struct{ Body Settings }, error) {
		return &struct{ Body Settings }{Settings{Version: s.o.Version, Commit: s.o.Commit, CommitDate: s.o.CommitDate, File: s.o.SettingsFile, Settings: append([]Setting{}, s.o.Settings...)}}, nil
	})
}
