package download

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

const content = "0123456789abcdefghij"

// serve runs a server until the test ends. Its connections end with it, so a
// handler may wait for its request's end.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// static is a server as they should be.
func static(version string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", version)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	}
}

func read(t *testing.T, c *Client, url string, offset int64, version string) (text string, b *Body, err error) {
	t.Helper()
	if b, err = c.Open(t.Context(), url, offset, version); err != nil {
		return "", nil, err
	}
	defer func() { _ = b.Close() }()
	got, err := io.ReadAll(b)
	return string(got), b, err
}

func TestOpen(t *testing.T) {
	t.Parallel()
	c := New(Options{AllowPrivate: true})
	url := serve(t, static(`"a"`))
	for _, test := range []struct {
		name, version string
		offset        int64
		want          string
	}{
		{"from the beginning", "", 0, content},
		{"from an offset", `"a"`, 7, content[7:]},
		{"another version by now", `"old"`, 7, content},
		{"behind its end", `"a"`, 100, content},
		{"no version known", "", 7, content},
	} {
		got, b, err := read(t, c, url, test.offset, test.version)
		if err != nil || got != test.want || b.SizeBytes != int64(len(content)) || b.Offset != int64(len(content)-len(test.want)) || b.Version != `"a"` {
			t.Errorf("%s: %q, %+v, %v", test.name, got, b, err)
		}
	}
	noRanges := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Last-Modified", "Mon, 02 Nov 2026 10:00:00 GMT")
		_, _ = io.WriteString(w, content)
	})
	if got, b, err := read(t, c, noRanges, 5, "Mon, 02 Nov 2026 10:00:00 GMT"); err != nil || got != content || b.Offset != 0 {
		t.Errorf("a server without ranges: %q, %+v, %v", got, b, err)
	}
}

// TestRefusals has servers that lie and addresses that lead where they must not.
func TestRefusals(t *testing.T) {
	t.Parallel()
	open, guarded := New(Options{AllowPrivate: true, IdleTimeout: 300 * time.Millisecond}), New(Options{})
	answer := func(status int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, content)
			w.(http.Flusher).Flush()
		}
	}
	here := serve(t, static(`"a"`))
	tls := httptest.NewTLSServer(http.RedirectHandler(here, http.StatusFound))
	t.Cleanup(tls.Close)
	trusting := New(Options{AllowPrivate: true})
	trusting.http.Transport.(*http.Transport).TLSClientConfig = tls.Client().Transport.(*http.Transport).TLSClientConfig
	for _, test := range []struct {
		name   string
		client *Client
		url    string
		code   fault.Code
		detail string
	}{
		{"this machine", guarded, here, fault.Unsupported, "public Internet"},
		{"by its name", guarded, strings.Replace(here, "127.0.0.1", "localhost", 1), fault.Unsupported, "public Internet"},
		{"a cloud's metadata", guarded, "http://169.254.169.254/latest/", fault.Unsupported, "public Internet"},
		{"version 4 in version 6", guarded, "http://[::ffff:10.0.0.1]/", fault.Unsupported, "public Internet"},
		{"a file", open, "file:///etc/passwd", fault.Unsupported, "https://server/path"},
		{"a password", open, "http://a:b@127.0.0.1/", fault.Unsupported, "without a password"},
		{"redirected to a file", open, serve(t, answer(302, "Location", "file:///etc/passwd")), fault.Unsupported, "https://server/path"},
		{"redirected off HTTPS", trusting, tls.URL, fault.Unsupported, "not encrypted"},
		{"redirected without end", open, serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) }), fault.SourceUnavailable, "on and on"},
		{"not there", open, serve(t, answer(404)), fault.Unsupported, "404"},
		{"overloaded", open, serve(t, answer(503)), fault.SourceUnavailable, "503"},
		{"no length", open, serve(t, answer(200)), fault.Unsupported, "report the size"},
		{"another encoding", open, serve(t, answer(200, "Content-Encoding", "gzip", "Content-Length", "20")), fault.Unsupported, "encoding"},
		{"a part nobody asked for", open, serve(t, answer(206, "Content-Range", "bytes 5-19/20")), fault.Unsupported, "206"},
		{"less than it promised", open, serve(t, answer(200, "Content-Length", "50")), fault.Internal, "unexpected EOF"},
		{"nobody listens", open, "http://127.0.0.1:1/", fault.SourceUnavailable, "cannot be read"},
		{"silence", open, serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "50")
			_, _ = io.WriteString(w, content)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}), fault.SourceUnavailable, "nothing for 300ms"},
	} {
		_, _, err := read(t, test.client, test.url, 0, "")
		if fault.CodeOf(err) != test.code || !strings.Contains(fmt.Sprint(err), test.detail) {
			t.Errorf("%s: %v, want %s …%s…", test.name, err, test.code, test.detail)
		}
	}
	lies := serve(t, answer(206, "Content-Range", "bytes 0-19/20"))
	if _, _, err := read(t, open, lies, 5, `"a"`); fault.CodeOf(err) != fault.SourceUnavailable || !strings.Contains(err.Error(), "another part") {
		t.Errorf("another part than was asked for: %v", err)
	}
	if _, err := open.Text(t.Context(), here, 10); fault.CodeOf(err) != fault.Unsupported {
		t.Errorf("a list that is too long: %v", err)
	}
}

// TestRebinding has a name that is public when it is looked up, and is connected
// to where it leads then: the address is looked at when it is dialled.
func TestRebinding(t *testing.T) {
	t.Parallel()
	c := New(Options{})
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		t.Error("an address was looked up")
		return nil, net.ErrClosed
	}}
	dialer := &net.Dialer{Resolver: resolver, ControlContext: refusePrivate}
	c.http.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, "192.168.1.1:80") // what the name leads to by now
	}
	if _, err := c.Open(t.Context(), "http://public.example/", 0, ""); fault.CodeOf(err) != fault.Unsupported {
		t.Errorf("got %v", err)
	}
}

// TestRedirectInside has a server of the public Internet send the request on to one
// of this machine.
func TestRedirectInside(t *testing.T) {
	t.Parallel()
	inside := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server inside was asked") })
	public := httptest.NewServer(http.RedirectHandler(inside, http.StatusFound))
	t.Cleanup(public.Close)
	c := New(Options{})
	transport := c.http.Transport.(*http.Transport)
	guarded := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "public.example:80" { // which stands for one of the Internet
			return (&net.Dialer{}).DialContext(ctx, network, public.Listener.Addr().String())
		}
		return guarded(ctx, network, address)
	}
	if _, err := c.Open(t.Context(), "http://public.example/", 0, ""); fault.CodeOf(err) != fault.Unsupported || !strings.Contains(err.Error(), "public Internet") {
		t.Errorf("got %v", err)
	}
}

func TestIsPublic(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"93.184.216.34": true, "2606:2800:220:1::1": true, "8.8.8.8": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.0.1": false, "169.254.169.254": false, "100.64.1.1": false,
		"0.0.0.0": false, "255.255.255.255": false, "224.0.0.1": false, "198.18.0.1": false,
		"::1": false, "::": false, "fe80::1%eth0": false, "fc00::1": false, "ff02::1": false, "::ffff:127.0.0.1": false,
		"64:ff9b::7f00:1": false, "2002:7f00:1::": false,
	} {
		if got := isPublic(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestFindDigest(t *testing.T) {
	t.Parallel()
	a, b := strings.Repeat("a1", 32), strings.Repeat("B2", 64)
	for _, test := range []struct{ name, list, want string }{
		{"sha256sum", "x  other\n" + a + " *f.img\n" + strings.Repeat("c3", 32) + "  g.img\n", a},
		{"sha512sum", b + "  ./f.img\r\n", strings.ToLower(b)},
		{"BSD, signed", "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# f.img: 9 bytes\nSHA256 (f.img) = " + a + "\nSHA256 (ff.img) = " + strings.Repeat("c3", 32) + "\n-----BEGIN PGP SIGNATURE-----\n", a},
		{"alone", b + "\n", strings.ToLower(b)},
		{"twice the same", a + "  f.img\n" + a + " *f.img\n", a},
		{"two of them", a + "  f.img\n" + strings.Repeat("c3", 32) + "  f.img\n", ""},
		{"not there", a + "  xf.img\n", ""},
		{"too short", "abcd  f.img\n", ""},
		{"empty", "", ""},
	} {
		got, err := FindDigest([]byte(test.list), "f.img")
		if string(got) != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
}

// A list that comes by drops, always in time and never too large, ends all the same.
func TestTextByDrops(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		drop := time.NewTicker(10 * time.Millisecond)
		defer drop.Stop()
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
			<-drop.C
		}
	}))
	t.Cleanup(server.Close)
	c := New(Options{AllowPrivate: true, IdleTimeout: 100 * time.Millisecond})
	if text, err := c.Text(t.Context(), server.URL, 1<<20); fault.CodeOf(err) != fault.SourceUnavailable {
		t.Errorf("%d bytes, %v", len(text), err)
	}
}
