package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Setting is an option of the service as it is in effect, on the wire. Whoever
// gives it to Options has taken secrets out of Value.
type Setting struct {
	Name        string `json:"name" doc:"Of the flag and of the file's member; SANDBOXLABS_NAME in the environment."`
	Value       string `json:"value" doc:"In effect; empty for a secret, and passwords in URLs are blanked out."`
	Set         bool   `json:"set" doc:"Whether it has a value."`
	Secret      bool   `json:"secret" doc:"It is not shown."`
	Source      string `json:"source" enum:"default,file,environment,flag"`
	Description string `json:"description"`
}

// Settings is how the service is set up, on the wire.
type Settings struct {
	Version  string    `json:"version"`
	File     string    `json:"file,omitempty" doc:"That was read."`
	Settings []Setting `json:"settings"`
}

func (s *Server) registerSettings() {
	register(s, huma.Operation{
		OperationID: "get-settings", Method: http.MethodGet, Path: "/api/settings", Summary: "How the service is set up", Tags: []string{"system"},
		Description: "What is in effect, and whether it comes from a flag, the environment, the file or is the default. Read-only; secrets are not told. Administrators only.",
	}, func(context.Context, *struct{}) (*struct{ Body Settings }, error) {
		return &struct{ Body Settings }{Settings{Version: s.o.Version, File: s.o.SettingsFile, Settings: append([]Setting{}, s.o.Settings...)}}, nil
	})
}
