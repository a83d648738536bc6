package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"libvirt.org/go/libvirt"

	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

// inMakefile runs the test in a folder with this Makefile.
func inMakefile(t *testing.T, text string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("Makefile", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const report = `<testsuites><testsuite>
<testcase classname="cmd/x" name="TestGood" time="1.5"></testcase>
<testcase classname="cmd/x" name="TestBad" time="2"><failure message="Failed">=== RUN   TestBad
--- FAIL: TestBad (2.00s)</failure></testcase>
<testcase classname="cmd/x" name="TestBad/part" time="1"><failure message="Failed">    bad_test.go:7: no</failure></testcase>
<testcase classname="cmd/x" name="TestAbsent" time="0"><skipped message="not here"></skipped></testcase>
</testsuite></testsuites>`

// TestOneFailureHidesNothing runs lanes in which parts fail: the others run, and the end lists
// what failed.
func TestOneFailureHidesNothing(t *testing.T) {
	inMakefile(t, "build:\n\ttouch built\nbroken:\n\tfalse\ntest-go: build\n\tcp report.xml $(REPORT); false\nlast: build\n\ttouch last\n")
	if err := os.WriteFile("report.xml", []byte(report), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), time.Minute, []string{"build"}, []string{"broken last", "test-go"}); err == nil {
		t.Error("the run passed")
	}
	if _, err := os.Stat("last"); err != nil {
		t.Error("the part after the broken one did not run")
	}
}

func TestSummary(t *testing.T) {
	inMakefile(t, "broken:\n\tfalse\ntest-go:\n\techo about to fail; cp report.xml $(REPORT); false\nlint:\n\ttrue\n")
	if err := os.WriteFile("report.xml", []byte(report), 0o600); err != nil {
		t.Fatal(err)
	}
	var output, end bytes.Buffer
	var parts []part
	for _, target := range []string{"broken", "test-go", "lint"} {
		parts = append(parts, runPart(t.Context(), t.TempDir(), target, os.Environ(), &output))
	}
	if err := summarize(&end, parts, time.Minute); err == nil {
		t.Error("the run passed")
	}
	for _, line := range []string{"  cmd/x: TestBad\n    make test-go PKG=./cmd/x RUN='^TestBad$'\n    | --- FAIL: TestBad (2.00s)\n    |     bad_test.go:7: no\n", "    make broken\n", parts[1].log, "\n2 passed, 2 failed, 1 skipped\n"} {
		if !strings.Contains(end.String(), line) {
			t.Errorf("the end lacks %q:\n%s", line, end.String())
		}
	}
	if strings.Contains(end.String(), "TestBad/part") || strings.Contains(end.String(), "make lint") {
		t.Errorf("the end has too much:\n%s", end.String())
	}
	if !strings.Contains(output.String(), "test-go      | about to fail\n") {
		t.Errorf("the output is\n%s", output.String())
	}
	if log, err := os.ReadFile(parts[1].log); err != nil || !strings.Contains(string(log), "about to fail") {
		t.Errorf("the log has %q (%v)", log, err)
	}
}

// TestLimit ends a part that hangs, and what it started.
func TestLimit(t *testing.T) {
	inMakefile(t, "hangs:\n\t@echo $$$$ > pid; exec sleep 1000\n")
	if err := run(t.Context(), 2*time.Second, nil, []string{"hangs"}); err == nil {
		t.Error("the run passed")
	}
	pid, err := os.ReadFile("pid")
	if err != nil {
		t.Fatal(err)
	}
	if state, err := os.ReadFile(filepath.Join("/proc", strings.TrimSpace(string(pid)), "stat")); err == nil && !strings.Contains(string(state), ") Z ") {
		t.Errorf("the process that the part started still runs: %s", state)
	}
}

func TestTable(t *testing.T) {
	run := func(o outcome, took time.Duration) part {
		p := part{results: []result{{place: "cmd/x", name: "TestSteady", took: 2 * time.Second}, {place: "cmd/x", name: "TestFlaky", outcome: o, took: took}}}
		if o == failed {
			p.err = os.ErrInvalid
		}
		return p
	}
	var out bytes.Buffer
	if err := table(&out, []part{run(passed, time.Second), run(failed, 4*time.Second), run(passed, time.Second)}, 1); err == nil {
		t.Error("the runs passed")
	}
	for _, line := range []string{
		"suite: 1 of 3 runs failed, beside 1 core(s) kept busy by a loop\n",
		"    1 of   3 failed  cmd/x TestFlaky\n",
		"        2s       4s  cmd/x TestFlaky\n",
		"        2s       2s  cmd/x TestSteady\n",
		"\n2 passed, 1 failed\n",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("the table lacks %q:\n%s", line, out.String())
		}
	}
}

// TestCommand quotes the names of tests for the shell.
func TestCommand(t *testing.T) {
	p := part{target: "test-browser"}
	got := p.command(result{place: "labs.spec.ts", name: "a lab › isn't lost (twice)"})
	if want := `make test-browser RUN='isn'\''t lost \(twice\)'`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestFolders keeps the logs of the last runs only.
func TestFolders(t *testing.T) {
	t.Chdir(t.TempDir())
	var made []string
	for range kept + 3 {
		dir, err := newFolder()
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, dir)
	}
	left, err := filepath.Glob(logs + "/*")
	if err != nil || len(left) != kept || !slices.Contains(made, filepath.Join(filepath.Dir(made[0]), filepath.Base(left[0]))) {
		t.Errorf("%d folders are left (%v)", len(left), err)
	}
}

// TestLeftovers finds a domain, a file and a process that a run leaves, and nothing of others.
func TestLeftovers(t *testing.T) {
	g, err := newGround(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g.ending = 0
	if err := os.WriteFile(filepath.Join(g.tmp, "kept"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sleeper := exec.Command("sleep", "1000")
	sleeper.Env = g.environment()
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = sleeper.Process.Kill(), sleeper.Wait() }()
	t.Setenv(testground.MarkVariable, g.mark)
	name := testground.Name()
	conn, err := libvirt.NewConnect("qemu:///system")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = conn.Close() }()
	domain, err := conn.DomainDefineXML("<domain type='qemu'><name>" + name + "</name><memory>65536</memory><os><type arch='x86_64'>hvm</type></os></domain>")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = domain.Undefine(), domain.Free() }()
	left, _ := g.leftovers(t.Context())
	if len(left) != 3 || left[0] != "domain "+name || !strings.Contains(left[1], "sleep 1000") || left[2] != "temporary file kept" {
		t.Errorf("left behind: %q", left)
	}
	if _, err := os.Stat(g.tmp); err == nil {
		t.Error("the folder for temporary files is left")
	}
	for line, want := range map[string]bool{
		"[  5.0] guacd[1234]: segfault at 0 ip 00007f sp 00007f error 4 in libguac.so": true,
		"[  5.0] traps: qemu-system-x86[99] general protection fault ip:55":            true,
		"[  5.0] firefox[1]: segfault at 0":                                            false,
		"[  5.0] virbr0: port 1(vnet53) entered blocking state":                        false,
	} {
		if crash.MatchString(line) != want {
			t.Errorf("%q counts as a crash: %v", line, !want)
		}
	}
}
