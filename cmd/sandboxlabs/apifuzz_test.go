package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pythonTools is the virtual environment that deploy/python.sh creates.
const pythonTools = "../../.cache/python/bin"

// pythonTool returns the path of a program in pythonTools.
func pythonTool(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(pythonTools, name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("this test needs %s: run deploy/setup.sh --test (%v)", name, err)
	}
	return path
}

const (
	// fuzzSeed and fuzzExamples limit the run and make it reproducible. Most of it is the
	// coverage phase, with some 4000 requests.
	fuzzSeed     = "1"
	fuzzExamples = "5"
	fuzzTimeout  = 5 * time.Minute
)

// uncheckedByFuzz lists the schemathesis checks that do not apply, with the reasons.
var uncheckedByFuzz = []string{
	"negative_data_rejection",    // a null optional member and an empty query parameter count as omitted
	"positive_data_acceptance",   // the document cannot describe which objects exist on a host, or valid cursors
	"allow_header_conformance",   // /api/images/catalog also matches /api/images/{id}
	"object_level_authorization", // needs a second account; covered by TestRights
}

// unfuzzedOperations lists the operations that the run skips, with the reasons.
var unfuzzedOperations = []string{
	"events",       // never ends
	"pull-image",   // fetches from the Internet
	"delete-token", // would delete the token of the run
}

// fuzzHooks adds support for the content type of tus to schemathesis.
const fuzzHooks = `import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def offset_octet_stream(_, value):
    return {"data": value if isinstance(value, (bytes, str)) else str(value)}
`

// TestAPIFuzz sends generated requests, valid and invalid, to every operation in the API
// document. Every response must match the document, and none may be an internal error.
// Half of the IDs are those of an existing node and image.
func TestAPIFuzz(t *testing.T) {
	t.Parallel()
	schemathesis := pythonTool(t, "st")
	l := newLabApart(t) // its own lab, because the run may delete anything
	l.addMicro()
	l.auth = true
	l.start()
	token := l.enter()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"hooks.py": fuzzHooks,
		"schemathesis.toml": fmt.Sprintf("[auth.openapi.token]\nbearer = %q\n[parameters]\n\"path.id\" = {dictionary = \"ids\", probability = 0.5}\n[dictionaries.ids]\nvalues = [%q, \"micro\"]\n",
			token, l.create("fuzzed").ID),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{
		"run", l.url("/api/openapi.json"), "--exclude-path-regex=^/ws/",
		"--checks=all", "--exclude-checks=" + strings.Join(uncheckedByFuzz, ","), "--phases=examples,coverage,fuzzing,stateful",
		"--max-examples=" + fuzzExamples, "--seed=" + fuzzSeed, "--generation-database=none", "--no-shrink",
		"--continue-on-failure", "--request-timeout=30", "--warnings=off", "--no-color",
	}
	for _, id := range unfuzzedOperations {
		args = append(args, "--exclude-operation-id="+id)
	}
	ctx, cancel := context.WithTimeout(t.Context(), fuzzTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, schemathesis, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "SCHEMATHESIS_HOOKS=hooks")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("schemathesis: %v\n%s", err, out)
	}
	l.call(http.MethodGet, "/api/auth/me", nil, http.StatusOK, nil) // the token was valid until the end of the run
	l.awaitHealth("ok")
	l.stop()
}
