package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
)

// Two users that are neither root nor the service's own. The kernel also reports nobodyUID
// for users that it cannot map.
const daemonUID, nobodyUID = 1, 65534

// curlAs sends a request as another user of the machine, and returns its status and body.
func (l *lab) curlAs(uid uint32, args ...string) (status, body string) {
	l.t.Helper()
	cmd := exec.CommandContext(l.t.Context(), "curl", append([]string{"-sS", "--max-time", "20", "-w", "\n%{http_code}"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		l.t.Fatalf("curl as user %d: %v\n%s", uid, err, out)
	}
	i := strings.LastIndex(string(out), "\n")
	return string(out[i+1:]), string(out[:i])
}

// TestAuthOff checks that auth=off accepts the user who started the service, and refuses
// other users of the machine, pages of other origins, and clients that close the
// connection before the check.
func TestAuthOff(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("it takes root to be other users")
	}
	for _, listen := range []string{"127.0.0.1", "::1"} {
		t.Run(listen, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			_, port, err := net.SplitHostPort(l.address)
			if err != nil {
				t.Fatal(err)
			}
			l.address = net.JoinHostPort(listen, port)
			l.start()
			if status, body := l.curlAs(0, l.url("/api/nodes")); status != "200" {
				t.Errorf("root's curl is answered with %s %s", status, body)
			}
			// A page of another origin in this user's browser must not act as this user.
			l.refused(http.MethodPost, "/api/labs", request{"name": "x"}, refusal{http.StatusForbidden, "cross_origin", "other origins"}, "Origin", "https://evil.example.org")

			for _, uid := range []uint32{daemonUID, nobodyUID} {
				for _, args := range [][]string{
					{l.url("/api/health")}, {l.url("/api/nodes")}, {l.url("/")}, {l.url("/metrics")}, {l.url("/api/nothing")},
					{"-d", `{"name":"theirs"}`, l.url("/api/labs")},
					{"-d", `{"name":"theirs"}`, "-H", "X-Forwarded-For: 127.0.0.1", "-H", "Authorization: Bearer sbx_x", l.url("/api/labs")},
					{"-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13", "-H", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", l.url("/ws/console?nodeId=x")},
				} {
					if status, body := l.curlAs(uid, args...); status != "403" || !strings.Contains(body, "peer_refused") {
						t.Errorf("user %d, %q: answered with %s %s", uid, args, status, body)
					}
				}
			}
			l.sendAndClose()
			l.stop() // this closes the connections that it has accepted
			l.start()
			var list struct{ Labs []api.LabSummary }
			if l.call(http.MethodGet, "/api/labs", nil, http.StatusOK, &list); len(list.Labs) != 0 {
				t.Errorf("others made the labs %+v", list.Labs)
			}
			l.stop()
		})
	}
}

// sendAndClose sends requests as another user and closes the connections at once. For a
// socket that its program has closed, the kernel reports root.
func (l *lab) sendAndClose() {
	l.t.Helper()
	host, port, err := net.SplitHostPort(l.address)
	if err != nil {
		l.t.Fatal(err)
	}
	const many = 200
	body := `{"name":"blind"}`
	script := fmt.Sprintf(`import socket,sys
for i in range(%d):
    s = socket.create_connection((%q, %s))
    s.send(b"POST /api/labs HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s")
    s.close()
print("sent", flush=True)`, many, host, port, len(body), strings.ReplaceAll(body, `"`, `\"`))
	cmd := exec.CommandContext(l.t.Context(), "/usr/bin/python3", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: daemonUID, Gid: daemonUID}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "sent\n" {
		l.t.Fatalf("the other user sent %q: %v", line, err)
	}
	if err := cmd.Wait(); err != nil {
		l.t.Fatal(err)
	}
}
