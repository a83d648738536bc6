package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

// selfSigned writes a certificate for the loopback address and proxiedName, and its key,
// to files, replacing existing ones.
func selfSigned(t *testing.T, dir string, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "sandboxlabs test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{proxiedName}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// TestTLS serves HTTPS, reloads a renewed certificate while running, and redirects
// browsers from HTTP.
func TestTLS(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.auth, l.tls = true, true
	dir := t.TempDir()
	certFile, keyFile := selfSigned(t, dir, 1)
	plain := testground.Address(t)
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}}
	text, err := os.ReadFile(certFile)
	if err != nil || !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	l.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer transport.CloseIdleConnections()
	l.launch(nil, "--tls-cert="+certFile, "--tls-key="+keyFile, "--http-listen="+plain)
	l.awaitHealth("ok")

	res, err := l.client.Get(l.url("/api/health"))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.ProtoMajor != 2 || !strings.HasPrefix(res.Header.Get("Strict-Transport-Security"), "max-age=") {
		t.Errorf("HTTP/%d, Strict-Transport-Security %q", res.ProtoMajor, res.Header.Get("Strict-Transport-Security"))
	}
	password := printedPassword.FindStringSubmatch(l.service.out.String())[1]
	set := l.call(http.MethodPost, "/api/auth/login", request{"username": "admin", "password": password}, http.StatusOK, nil).header.Get("Set-Cookie")
	if !strings.HasPrefix(set, "__Host-sandboxlabs_session=") || !strings.Contains(set, "; Path=/;") || strings.Contains(set, "Domain") || !strings.Contains(set, "; Secure") || !strings.Contains(set, "; HttpOnly") {
		t.Errorf("the cookie is %q", set)
	}
	// A cookie of another name, which a sibling host or plain HTTP can set, gives no
	// access. With two cookies of our name, neither does, since nothing shows which one is
	// ours.
	cookie, _, _ := strings.Cut(set, ";")
	unknown := refusal{http.StatusUnauthorized, "unauthenticated", ""}
	l.call(http.MethodGet, "/api/auth/me", nil, http.StatusOK, nil, "Cookie", cookie)
	l.refused(http.MethodGet, "/api/auth/me", nil, unknown, "Cookie", strings.TrimPrefix(cookie, "__Host-"))
	l.call(http.MethodGet, "/api/auth/me", nil, http.StatusOK, nil, "Cookie", "sandboxlabs_session=planted; "+cookie)
	for _, two := range []string{"__Host-sandboxlabs_session=planted; " + cookie, cookie + "; __Host-sandboxlabs_session=planted", cookie + "; " + cookie} {
		l.refused(http.MethodGet, "/api/auth/me", nil, refusal{http.StatusUnauthorized, "unauthenticated", "2 cookies"}, "Cookie", two)
	}

	// Old versions of TLS are refused.
	if conn, err := tls.Dial("tcp", l.address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.1 is taken")
	}

	// The HTTP listener.
	res, err = l.client.Get("http://" + plain + "/nodes?a=b")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if want := "https://" + l.address + "/nodes?a=b"; res.StatusCode != http.StatusMovedPermanently || res.Header.Get("Location") != want {
		t.Errorf("the plain listener: %d to %q, want %q", res.StatusCode, res.Header.Get("Location"), want)
	}
	if res, err = l.client.Post("http://"+plain+"/api/auth/login", "application/json", strings.NewReader("{}")); err != nil || res.StatusCode != http.StatusBadRequest {
		t.Errorf("a password sent in the clear: %v", err)
	} else {
		_ = res.Body.Close()
	}

	for host, want := range map[string]int{"evil.example": http.StatusMisdirectedRequest, "evil.example:80": http.StatusMisdirectedRequest, "127.0.0.1.evil.example": http.StatusMisdirectedRequest, "localhost": http.StatusMovedPermanently, "[::1]:80": http.StatusMovedPermanently} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+plain+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		if res, err = l.client.Do(req); err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want || strings.Contains(res.Header.Get("Location"), "evil") {
			t.Errorf("the plain listener asked for %s: %d to %q, want %d", host, res.StatusCode, res.Header.Get("Location"), want)
		}
	}

	// A new certificate, after one that was written only in part.
	serial := func() int64 {
		conn, err := tls.Dial("tcp", l.address, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return 0
		}
		defer func() { _ = conn.Close() }()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if err := os.WriteFile(certFile, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, promptly, said("the log reports the broken certificate"), func() bool {
		if got := serial(); got != 1 {
			t.Fatalf("the serial number is %d beside a broken file", got)
		}
		return strings.Contains(l.service.log.String(), "the one before stays")
	})
	selfSigned(t, dir, 2)
	until(t, promptly, said("the new certificate is served"), func() bool { return serial() == 2 })
	l.stop()
}

// TestProxy checks which proxies are trusted for a client's address, and where the service
// refuses to listen.
func TestProxy(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.auth = true
	addressOf := func(forwarded string) string {
		t.Helper()
		l.refused(http.MethodPost, "/api/auth/login", request{"username": "admin", "password": "x"}, refusal{http.StatusUnauthorized, "unauthenticated", ""}, "X-Forwarded-For", forwarded)
		token, code := l.run("token", "create", "--name=reader")
		if code != 0 {
			t.Fatal(token)
		}
		l.token = strings.TrimSpace(token)
		defer func() { l.token = "" }()
		var page auditPage
		l.call(http.MethodGet, "/api/audit?action=sign-in&limit=1", nil, http.StatusOK, &page)
		return page.Entries[0].Address
	}
	l.start()
	if got := addressOf("192.0.2.1"); got != "127.0.0.1" {
		t.Errorf("without a proxy, a client claims to be %s", got)
	}
	l.stop()
	l.launch(nil, "--behind-proxy=127.0.0.1,10.0.0.0/8", "--public-url=https://labs.example.org")
	l.awaitHealth("ok")
	for forwarded, want := range map[string]string{"203.0.113.9, 192.0.2.1, 10.1.2.3": "192.0.2.1", "2001:db8::1": "2001:db8::1", "nonsense": "127.0.0.1"} {
		if got := addressOf(forwarded); got != want {
			t.Errorf("X-Forwarded-For %q: the address is %s, want %s", forwarded, got, want)
		}
	}
	l.call(http.MethodGet, "/api/health", nil, http.StatusOK, nil, "Host", "labs.example.org")
	l.stop()

	for _, c := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--listen=0.0.0.0:0"}, "set tls-cert and tls-key, or acme-domains; or behind-proxy"},
		{[]string{"--listen=:0"}, "passwords would cross the network unencrypted"},
		{[]string{"--tls-cert=/etc/hostname"}, "set both, or neither"},
		{[]string{"--tls-cert=/etc/hostname", "--tls-key=/etc/hostname"}, "files in PEM"},
		{[]string{"--tls-cert=a", "--tls-key=b", "--acme-domains=c"}, "not both"},
		{[]string{"--behind-proxy=10.0.0.0/8"}, "set public-url"},
		{[]string{"--behind-proxy=proxy", "--public-url=https://x.org"}, `"proxy" is neither an address nor a network`},
		{[]string{"--http-listen=127.0.0.1:0"}, "which is off"},
		{[]string{"--acme-domains=labs.example.org", "--acme-roots=/etc/hostname"}, "contains no certificate"},
	} {
		p := l.spawn(nil, append(append([]string{"serve"}, l.flags()...), c.flags...)...)
		if code := p.code(t, promptly); code == 0 || !strings.Contains(p.log.String(), c.want) {
			t.Errorf("%q: exit code %d, want …%s…\n%s", c.flags, code, c.want, p.log)
		}
	}
}
