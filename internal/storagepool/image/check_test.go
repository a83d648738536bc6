package image

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// TestCheckVerdict runs programs that end as qemu-img can: normally, or by a limit.
func TestCheckVerdict(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ script, out, refused string }{
		{"exit 3", `{"leaks":5}`, ""},
		{"exit 2", `{"corruptions":7}`, "7 corruptions"},
		{"exit 2", `{"corrup`, "is corrupt"},
		{"exit 1", "", "ended with 1"},
		{"exit 63", "", "ended with 63"},
		{"ulimit -t 1; while :; do :; done", "", "limits of time and memory"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := exec.CommandContext(ctx, "sh", "-c", test.script).Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("%s: %v", test.script, err)
		}
		err = checkVerdict(exit, []byte(test.out))
		if test.refused == "" && err == nil {
			continue
		}
		if test.refused == "" || fault.CodeOf(err) != fault.ImageUnsafe || !strings.Contains(err.Error(), test.refused) {
			t.Errorf("%s: %v, want …%s…", test.script, err, test.refused)
		}
	}
}
