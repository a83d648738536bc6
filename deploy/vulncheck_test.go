package deploy

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestVulncheckThatDidNotRun says so, and fails a release.
func TestVulncheckThatDidNotRun(t *testing.T) {
	t.Parallel()
	answering := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	t.Cleanup(answering.Close)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	failing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(failing.Close)
	for name, database := range map[string]string{
		"the database is unreachable":   closed.URL,
		"the database is not there":     failing.URL,
		"the tool cannot be downloaded": answering.URL,
	} {
		for _, release := range []string{"", "1"} {
			cmd := exec.CommandContext(t.Context(), "./vulncheck.sh", "example.invalid/no/such/tool@v1.0.0")
			cmd.Env = append(os.Environ(), "GOVULNDB="+database, "RELEASE="+release, "GOPROXY=off", "GOFLAGS=-mod=mod")
			out, err := cmd.CombinedOutput()
			if failed := err != nil; failed != (release != "") || !strings.Contains(string(out), "govulncheck: not checked: ") {
				t.Errorf("%s, RELEASE=%q: %v\n%s", name, release, err, out)
			}
		}
	}
}
