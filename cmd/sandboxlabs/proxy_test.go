package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"nhooyr.io/websocket"

	"github.com/sandboxlabs/sandboxlabs/internal/guacamole/guacamoletest"
	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

// proxiedName is the host name in deploy/proxy.
const proxiedName = "labs.example.org"

// proxyFolder contains the configurations under test.
const proxyFolder = "../../deploy/proxy"

// proxied is a service behind a reverse proxy, as a browser sees it.
type proxied struct {
	*lab
	origin string // of the proxy
	base   string // the path of public-url, without a trailing slash
	client *http.Client
	cookie string
	// password is the administrator's password.
	password string
	node     string // a node that is off
}

// Each configuration in deploy/proxy passes on what browsers send, at the root of the host
// name and below a path.
func TestReverseProxies(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "/sandbox"} {
		t.Run("at "+base+"/", func(t *testing.T) {
			p := newProxied(t, base)
			for name, start := range map[string]func(*testing.T, *proxied, proxyPlaces){"nginx": startNginx, "caddy": startCaddy, "haproxy": startHAProxy} {
				t.Run(name, func(t *testing.T) {
					places := p.places(t)
					start(t, p, places)
					p.check(t)
				})
			}
		})
	}
}

// proxyPlaces are the addresses and files in a configuration that the test replaces with
// its own.
type proxyPlaces struct {
	dir, http, https, guacamole, cert, key, both string // ports, and files
}

func newProxied(t *testing.T, base string) *proxied {
	t.Helper()
	l := newLab(t)
	l.addMicro()
	l.auth = true
	address := testground.Address(t)
	_, port, _ := net.SplitHostPort(address)
	p := &proxied{lab: l, origin: "https://" + net.JoinHostPort(proxiedName, port), base: base}
	l.launch(nil, "--public-url="+p.origin+base+"/", "--behind-proxy=127.0.0.1")
	l.awaitHealth("ok")
	match := printedPassword.FindStringSubmatch(l.service.out.String())
	if match == nil {
		t.Fatalf("the first start printed %q", l.service.out)
	}
	p.password = match[1]
	school := &school{lab: l}
	l.token = school.tokenOf("admin", p.password, nil)
	p.node = l.create("seen").ID
	// An HTTP/1.0 health check sends no Host header.
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "GET /api/health HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
		t.Errorf("a health check without a host: %q, %v", line, err)
	}
	return p
}

// places creates certificates and a stand-in for Guacamole for one proxy.
func (p *proxied) places(t *testing.T) proxyPlaces {
	t.Helper()
	dir := t.TempDir()
	w := proxyPlaces{dir: dir, both: filepath.Join(dir, "both.pem")}
	w.cert, w.key = selfSigned(t, dir, 1)
	cert, err := os.ReadFile(w.cert)
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(w.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.both, append(bytes.Clone(cert), key...), 0o600); err != nil {
		t.Fatal(err)
	}
	_, w.http, _ = net.SplitHostPort(testground.Address(t))
	u, err := url.Parse(p.origin)
	if err != nil {
		t.Fatal(err)
	}
	w.https = u.Port()
	web, err := url.Parse(guacamoletest.NewWeb(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	w.guacamole = web.Host
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", w.https))
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	p.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return w
}

// configuration writes a file of deploy/proxy with the test's addresses and files. For a
// path, it uses the line that the file gives for one.
func (p *proxied) configuration(t *testing.T, name, before, line string, w proxyPlaces, more ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(proxyFolder, name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	if p.base != "" {
		named := regexp.MustCompile(`# With a path in public-url: (.*)\n\s*` + regexp.QuoteMeta(line))
		m := named.FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("%s does not name a line to replace %q", name, line)
		}
		text = strings.Replace(text, m[0], strings.Replace(line, before, m[1], 1), 1)
	}
	// Not every machine has IPv6.
	text = regexp.MustCompile(`(?m)^.*(\[::\]|:::).*\n`).ReplaceAllString(text, "")
	text = strings.NewReplacer(append(more, "127.0.0.1:3001", p.address, "127.0.0.1:8080", w.guacamole,
		"/etc/sandboxlabs/tls/cert.pem", w.cert, "/etc/sandboxlabs/tls/key.pem", w.key, "/etc/sandboxlabs/tls/both.pem", w.both)...).Replace(text)
	file := filepath.Join(w.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func startNginx(t *testing.T, p *proxied, w proxyPlaces) {
	t.Helper()
	site := p.configuration(t, "nginx.conf", "location /", "location / {", w, "listen 80;", "listen 127.0.0.1:"+w.http+";", "listen 443 ssl", "listen 127.0.0.1:"+w.https+" ssl")
	main := fmt.Sprintf("daemon off;\npid %[1]s/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\nclient_body_temp_path %[1]s;\nproxy_temp_path %[1]s;\n"+
		"fastcgi_temp_path %[1]s;\nuwsgi_temp_path %[1]s;\nscgi_temp_path %[1]s;\ninclude %[2]s;\n}\n", w.dir, site)
	file := filepath.Join(w.dir, "main.conf")
	if err := os.WriteFile(file, []byte(main), 0o600); err != nil {
		t.Fatal(err)
	}
	p.run(t, "nginx", "-e", "stderr", "-p", w.dir, "-c", file)
}

func startCaddy(t *testing.T, p *proxied, w proxyPlaces) {
	t.Helper()
	file := p.configuration(t, "Caddyfile", "handle", "handle {\n\t\treverse_proxy 127.0.0.1:3001", w,
		"\nlabs.example.org {", fmt.Sprintf("\n{\n\tadmin off\n\thttp_port %s\n\thttps_port %s\n\tskip_install_trust\n\tdefault_bind 127.0.0.1\n}\n%s {", w.http, w.https, proxiedName))
	p.run(t, "caddy", "run", "--config", file, "--adapter", "caddyfile")
}

func startHAProxy(t *testing.T, p *proxied, w proxyPlaces) {
	t.Helper()
	line := "default_backend sandboxlabs"
	p.run(t, "haproxy", "-db", "-f", p.configuration(t, "haproxy.cfg", line, line, w, "bind :80", "bind 127.0.0.1:"+w.http, "bind :443", "bind 127.0.0.1:"+w.https))
}

// run runs a proxy until the test ends, and waits until the service answers through it.
func (p *proxied) run(t *testing.T, program string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + program); err != nil {
			t.Fatalf("%s is missing, run deploy/setup.sh --test", program)
		}
	}
	said := &output{}
	cmd := exec.Command(path, args...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it may have workers
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", program, said)
		}
	})
	until(t, promptly, func() string { return program + " answers; it said:\n" + said.String() }, func() bool {
		res, err := p.client.Get(p.origin + p.base + "/api/health")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// ask sends a request as the service's page would.
func (p *proxied) ask(t *testing.T, method, path string, body io.Reader, edit func(*http.Request)) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.origin+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", p.origin)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if p.cookie != "" {
		r.Header.Set("Cookie", p.cookie)
	}
	if edit != nil {
		edit(r)
	}
	res, err := p.client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

// check sends what a browser sends.
func (p *proxied) check(t *testing.T) {
	t.Helper()
	res := p.ask(t, http.MethodGet, p.base+"/nodes/x/console", nil, nil)
	page, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
		t.Fatalf("the page: %d, HTTP/%d, %v", res.StatusCode, res.ProtoMajor, err)
	}
	asset := regexp.MustCompile(`src="(` + p.base + `/assets/[^"]+)"`).FindSubmatch(page)
	if asset == nil {
		t.Fatalf("the page names no script below %s/:\n%s", p.base, page)
	}
	if res := p.ask(t, http.MethodGet, string(asset[1]), nil, nil); res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/javascript") {
		t.Errorf("%s: %d, %s", asset[1], res.StatusCode, res.Header.Get("Content-Type"))
	}
	if res := p.ask(t, http.MethodGet, "/guacamole/", nil, nil); res.StatusCode != http.StatusOK {
		t.Errorf("Guacamole: %d", res.StatusCode)
	}
	p.signIn(t)
	p.checkUploads(t)
	p.checkEvents(t)
	p.checkSocket(t)
}

// signIn signs in like a browser and keeps the cookie.
func (p *proxied) signIn(t *testing.T) {
	t.Helper()
	p.cookie = ""
	res := p.ask(t, http.MethodPost, p.base+"/api/auth/login", strings.NewReader(fmt.Sprintf(`{"username":"admin","password":%q}`, p.password)), func(r *http.Request) {
		r.Header.Set("Content-Type", "application/json")
	})
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("sign in: %d: %s", res.StatusCode, body)
	}
	p.cookie, _, _ = strings.Cut(res.Header.Get("Set-Cookie"), ";")
	if !strings.HasPrefix(p.cookie, "__Host-") {
		t.Errorf("the cookie is %.20q", p.cookie)
	}
}

// checkUploads starts an upload, and sends a body of 20 GiB, of which the service must see
// the first bytes at once.
func (p *proxied) checkUploads(t *testing.T) {
	t.Helper()
	tus := func(r *http.Request) {
		r.Header.Set("Tus-Resumable", "1.0.0")
		r.Header.Set("Upload-Length", "1048576")
	}
	res := p.ask(t, http.MethodPost, p.base+"/api/uploads", http.NoBody, tus)
	location := res.Header.Get("Location")
	if res.StatusCode != http.StatusCreated || !strings.HasPrefix(location, p.base+"/api/uploads/") {
		t.Fatalf("begin an upload: %d, Location %q", res.StatusCode, location)
	}
	if res := p.ask(t, http.MethodHead, location, nil, tus); res.StatusCode != http.StatusOK {
		t.Errorf("look at the upload: %d", res.StatusCode)
	}
	if res := p.ask(t, http.MethodDelete, location, nil, tus); res.StatusCode != http.StatusNoContent {
		t.Errorf("end the upload: %d", res.StatusCode)
	}

	// The service itself rejects a body that is too large for this request, before its
	// last byte: the proxy neither limits nor buffers it.
	body, sent := io.Pipe()
	defer func() { _ = sent.Close() }()
	go func() { _, _ = sent.Write(make([]byte, 2<<20)) }() // the rest never comes
	res = p.ask(t, http.MethodPost, p.base+"/api/auth/login", body, func(r *http.Request) {
		r.ContentLength = 20 << 30
		r.Header.Set("Content-Type", "application/json")
	})
	head := make([]byte, 4<<10)
	n, _ := io.ReadFull(res.Body, head)
	if !bytes.Contains(head[:n], []byte("body_too_large")) {
		t.Errorf("20 GiB: %d: %s", res.StatusCode, head[:n])
	}
}

// checkEvents expects the first event before another one occurs.
func (p *proxied) checkEvents(t *testing.T) {
	t.Helper()
	res := p.ask(t, http.MethodGet, p.base+"/api/events", nil, nil)
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("events: %d, %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
	read := make(chan error, 1)
	go func() {
		_, err := bufio.NewReader(res.Body).ReadString('\n')
		read <- err
	}()
	select {
	case err := <-read:
		if err != nil {
			t.Errorf("events: %v", err)
		}
	case <-time.After(promptly):
		t.Error("the first event does not come through")
	}
}

// checkSocket opens the console of a node that is off, and expects a message that says so.
func (p *proxied) checkSocket(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), promptly)
	defer cancel()
	// HTTP/1.1, which the test client uses, as browsers do with most proxies.
	transport := p.client.Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2, transport.TLSClientConfig.NextProtos = false, []string{"http/1.1"}
	defer transport.CloseIdleConnections()
	socket, res, err := websocket.Dial(ctx, "wss"+strings.TrimPrefix(p.origin, "https")+p.base+"/ws/console?nodeId="+url.QueryEscape(p.node), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"Cookie": {p.cookie}, "Origin": {p.origin}},
	})
	if err != nil {
		t.Fatalf("WebSocket: %v, %+v", err, res)
	}
	defer func() { _ = socket.CloseNow() }()
	if _, message, err := socket.Read(ctx); err != nil || !bytes.Contains(message, []byte(`"type"`)) {
		t.Errorf("the console's first message: %s, %v", message, err)
	}
}
