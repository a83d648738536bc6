package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// TestWalkThrough runs what a new user does in the first hour, with curl and jq in a
// shell. Only the port and the prefix of the names differ.
func TestWalkThrough(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"curl", "jq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed: run `make setup`", tool)
		}
	}
	l := newRunningLab(t)
	dir := t.TempDir()
	content, err := os.ReadFile(microImage)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "custom.qcow2"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(l.address, ":")
	shell := func(script string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PORT="+port, "P="+l.prefix)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s\n%v: %s%s", script, err, out, &stderr)
		}
		return strings.TrimSpace(string(out))
	}
	decode := func(text string, into any) {
		t.Helper()
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}

	var uploaded api.Uploaded
	text := shell(`curl -sS -w '%{http_code}' -X POST http://localhost:$PORT/api/images/custom -F "image=@custom.qcow2"`)
	body, status, _ := strings.Cut(text, "\n") // the service ends JSON with a line feed
	decode(body, &uploaded)
	if status != "201" || !uploaded.Success || !regexp.MustCompile(`^custom_\d{13}\.qcow2$`).MatchString(uploaded.Image.Name) {
		t.Fatalf("the upload was answered with %s", text)
	}
	name := uploaded.Image.Name
	if got := shell(`curl -sS http://localhost:$PORT/api/images | jq -r '.customImages[].name'`); got != name {
		t.Errorf("customImages are %q, want %q", got, name)
	}
	if got := shell(`curl -sS http://localhost:$PORT/api/images | jq -r '.baseImages[] | "\(.id) \(.state)"'`); got != "micro ready" {
		t.Errorf("baseImages are %q", got)
	}

	var n api.Node
	decode(shell(`curl -sS -X POST http://localhost:$PORT/api/nodes -H "Content-Type: application/json" -d '{
		"name": "'$P'-CustomVM", "osType": "linux", "imageType": "custom", "customImageName": "`+name+`",
		"resources": {"ram": 256, "cpus": 1}}'`), &n)
	if n.Name != l.name("CustomVM") || n.Image == nil || n.Image.ID != name || n.Image.Type != "custom" {
		t.Fatalf("the node is %+v", n)
	}
	takeGuest(t)
	if got := shell(`curl -sS -X POST http://localhost:$PORT/api/nodes/` + n.ID + `/run | jq -r .state`); got != "running" {
		t.Errorf("after run the state is %q", got)
	}
	if got := l.virsh("domstate", l.name("CustomVM")); got != "running" {
		t.Errorf("virsh says %q", got)
	}
	if got := shell(`curl -sS -o /dev/null -w '%{http_code}' -X DELETE http://localhost:$PORT/api/images/` + name); got != "409" {
		t.Errorf("the image that a node uses was deleted: %s", got)
	}

	made := shell(`for i in $(seq 1 10); do
		curl -sS -w '\n' -X POST http://localhost:$PORT/api/nodes -d '{"name":"'$P'-StressTest'$i'","imageType":"base","baseImage":"micro"}' | jq -r .id
	done`)
	ids := strings.Fields(made)
	if len(ids) != 10 || len(slices.Compact(slices.Sorted(slices.Values(ids)))) != 10 {
		t.Fatalf("the loop made %q", made)
	}
	if got := len(l.volumes(l.nodesPool())); got != 11 {
		t.Errorf("there are %d overlays, want 11", got)
	}
	if got := shell(`curl -sS http://localhost:$PORT/api/nodes | jq -r '[.nodes[] | select(.name | startswith("'$P'-"))] | length'`); got != "11" {
		t.Errorf("%s nodes are listed, want 11", got)
	}
	shell(`for id in $(curl -sS http://localhost:$PORT/api/nodes | jq -r '.nodes[] | select(.name | startswith("'$P'-")) | .id'); do
		test "$(curl -sS -o /dev/null -w '%{http_code}' -X DELETE http://localhost:$PORT/api/nodes/$id)" = 204
	done
	test "$(curl -sS -o /dev/null -w '%{http_code}' -X DELETE http://localhost:$PORT/api/images/` + name + `)" = 204`)
	if list := l.virsh("list", "--all", "--name"); strings.Contains(list, l.prefix) {
		t.Errorf("domains are left:\n%s", list)
	}
	l.wantVolumes(l.nodesPool())
	l.wantVolumes(l.logsPool())
	l.wantVolumes(l.imagesPool(), "micro.qcow2")
	l.stop()
}
