package main

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// guestAgent answers on the guest agent's channel, as the protocol has it, to what
// libvirt and the service ask: synchronisation, and to run a program.
const guestAgent = `#!/bin/sh
cat > /root/agent <<'END'
device=
until [ -e "$device" ]; do
  for port in /sys/class/virtio-ports/*; do
    [ "$(cat "$port/name")" = org.qemu.guest_agent.0 ] && device=/dev/${port##*/}
  done
  sleep 1
done
exec 3<> "$device"
while read -r line <&3; do
  case $line in
  *'"guest-sync"'*)
    echo "{\"return\": $(echo "$line" | sed 's/.*"id": *\([0-9]*\).*/\1/')}" >&3 ;;
  *'"guest-exec"'*)
    $(echo "$line" | sed 's/.*"path": *"\([^"]*\)".*/\1/') $(echo "$line" | sed 's/.*"arg": *\[\([^]]*\)\].*/\1/; s/[",]/ /g')
    code=$?
    echo '{"return": {"pid": 7}}' >&3 ;;
  *'"guest-exec-status"'*'"pid":7'*|*'"guest-exec-status"'*'"pid": 7'*)
    echo "{\"return\": {\"exited\": true, \"exitcode\": $code}}" >&3 ;;
  *'"execute"'*)
    echo '{"error": {"class": "CommandNotFound", "desc": "not known here"}}' >&3 ;;
  esac
done
END
setsid sh /root/agent > /dev/null 2>&1 &
`

// TestResize has a guest with an agent take over the size of the viewer's
// terminal, also one that was told before the guest had booted.
func TestResize(t *testing.T) {
	t.Parallel()
	l := newRunningLab(t)
	takeGuest(t)
	var n api.Node
	l.call(http.MethodPost, "/api/nodes", request{
		"name": l.name("sized"), "baseImage": "micro", "resources": request{"ram": 256}, "cloudInit": request{"userData": guestAgent},
	}, http.StatusCreated, &n)
	c := l.console(n.ID)
	c.status("offline")
	c.tells(`{"type":"resize","cols":99,"rows":20}`)
	c.tells(`{"type":"resize","cols":132,"rows":50}`)
	l.act(n.ID, "run", nil)
	c.login()
	awaitSize := func(size string) {
		t.Helper()
		c.shell("until [ \"$(stty size 2>/dev/null)\" = '"+size+"' ]; do sleep 1; done; echo sized=$((7+7))", "sized=14")
	}
	awaitSize("50 132")

	reader := l.consoleAt(url.Values{"nodeId": {n.ID}, "readonly": {"true"}})
	reader.status("connected")
	reader.tells(`{"type":"resize","cols":10,"rows":10}`)
	c.tells(`{"type":"resize","cols":80,"rows":24}`)
	awaitSize("24 80")
	l.delete(n.ID)
	l.stop()
}
