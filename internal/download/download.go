// Package download fetches files from servers that are not trusted: it follows
// no way into the service's own network, resumes interrupted transfers, and
// never waits for a server that says nothing.
package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

const (
	dialTimeout    = 20 * time.Second
	headerTimeout  = 30 * time.Second
	maxRedirects   = 10
	maxHeaderBytes = 64 << 10
	// textTimeouts is how many times the idle timeout a whole small file may take.
	textTimeouts = 5
	// DefaultIdleTimeout is how long a server may send nothing.
	DefaultIdleTimeout = 60 * time.Second
)

// Options configures a Client.
type Options struct {
	// AllowPrivate lets addresses through that are not the public Internet's: those
	// of this machine and of private networks. Whoever may name an address could
	// else make the service talk to what only it can reach.
	AllowPrivate bool
	// IdleTimeout is how long a server may send nothing; 0 is DefaultIdleTimeout.
	IdleTimeout time.Duration
}

// Client fetches files. Its methods may be called from any goroutine.
type Client struct {
	o    Options
	http *http.Client
}

// New makes a Client. It uses no proxy: a proxy would resolve the names, and
// where they lead could not be looked at.
func New(o Options) *Client {
	if o.IdleTimeout == 0 {
		o.IdleTimeout = DefaultIdleTimeout
	}
	c := &Client{o: o}
	dialer := &net.Dialer{Timeout: dialTimeout}
	if !o.AllowPrivate {
		dialer.ControlContext = refusePrivate
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, ForceAttemptHTTP2: true, DisableCompression: true,
			TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: headerTimeout, IdleConnTimeout: time.Minute, MaxIdleConns: 8,
			MaxResponseHeaderBytes: maxHeaderBytes,
		},
		CheckRedirect: func(next *http.Request, before []*http.Request) error {
			if len(before) >= maxRedirects {
				return fault.New(fault.SourceUnavailable, "The server sends the request on and on; it was given up after %d times.", maxRedirects)
			}
			if before[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
				return fault.New(fault.Unsupported, "The server sends the request on to %s, which is not encrypted. It is not followed.", place(next.URL))
			}
			return CheckURL(next.URL.String())
		},
	}
	return c
}

// CheckURL returns fault.Unsupported for an address that is never fetched.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil {
		return fault.New(fault.Unsupported, "It takes an address of the form https://server/path, without a password.")
	}
	return nil
}

// place is what may be shown of an address: a query can hold a key.
func place(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

// Body is a file, or what is left of it. The caller closes it.
type Body struct {
	io.ReadCloser
	// Offset is where it begins: the one asked for, or 0 when the file is another
	// one by now, or the server cannot begin elsewhere.
	Offset int64
	// SizeBytes is the size of the whole file.
	SizeBytes int64
	// Version tells the file from its other versions; empty when the server does
	// not say, and then an interrupted transfer cannot be resumed.
	Version string
}

// Open asks for a file from an offset on. version is that of the part which is
// already there; with another one by now the file comes from its beginning.
// Reading fails when the server sends nothing for the client's idle timeout, or less
// than it promised.
//
// Errors: fault.SourceUnavailable when it may help to try again, else
// fault.Unsupported.
func (c *Client) Open(ctx context.Context, address string, offset int64, version string) (*Body, error) {
	if offset > 0 && version == "" {
		offset = 0
	}
	ctx, cancel := context.WithCancelCause(ctx)
	res, err := c.get(ctx, address, offset, version) //nolint:bodyclose // the Body does
	if err != nil {
		cancel(nil)
		return nil, err
	}
	b := &Body{Version: versionOf(res.Header), SizeBytes: res.ContentLength}
	if res.StatusCode == http.StatusPartialContent {
		first, total, ok := contentRange(res.Header.Get("Content-Range"))
		if !ok || first != offset || total-first != res.ContentLength && res.ContentLength >= 0 {
			err = fault.New(fault.SourceUnavailable, "%s sends another part of the file than was asked for.", place(res.Request.URL))
		}
		b.Offset, b.SizeBytes = first, total
	}
	if err == nil && (res.StatusCode == http.StatusOK && res.ContentLength < 0 || b.SizeBytes <= 0) {
		err = fault.New(fault.Unsupported, "%s does not report the size of the file. Download it yourself, and upload it.", place(res.Request.URL))
	}
	if err == nil && res.Header.Get("Content-Encoding") != "" {
		err = fault.New(fault.Unsupported, "%s sends the file in another encoding than it has. Download it yourself, and upload it.", place(res.Request.URL))
	}
	b.ReadCloser = newTimedBody(res.Body, c.o.IdleTimeout, cancel)
	if err != nil {
		_ = b.Close()
		return nil, err
	}
	return b, nil
}

// Text fetches a small file: a list of checksums, a signature. Errors are Open's, and
// fault.Unsupported when it has more than limit bytes. A server that sends it by drops
// has five times the client's idle timeout for the whole of it.
func (c *Client) Text(ctx context.Context, address string, limit int64) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, textTimeouts*c.o.IdleTimeout)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	res, err := c.get(ctx, address, 0, "") //nolint:bodyclose // timedBody does
	if err != nil {
		cancel(nil)
		return nil, err
	}
	body := newTimedBody(res.Body, c.o.IdleTimeout, cancel)
	defer func() { _ = body.Close() }()
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, c.explain(res.Request.URL, err)
	}
	if int64(len(text)) > limit {
		return nil, fault.New(fault.Unsupported, "%s is larger than %d bytes; no list of checksums or signature is.", place(res.Request.URL), limit)
	}
	return text, nil
}

// get sends the request. The answer's status is 200 or, for an offset, 206.
func (c *Client) get(ctx context.Context, address string, offset int64, version string) (*http.Response, error) {
	if err := CheckURL(address); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unsupported, "The address cannot be read.")
	}
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "SandboxLabs")
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		req.Header.Set("If-Range", version)
	}
	res, err := c.http.Do(req) // the caller does
	if err != nil {
		return nil, c.explain(req.URL, err)
	}
	switch {
	case res.StatusCode == http.StatusOK, res.StatusCode == http.StatusPartialContent && offset > 0:
		return res, nil
	case res.StatusCode == http.StatusRequestedRangeNotSatisfiable && offset > 0:
		_ = res.Body.Close()
		return c.get(ctx, address, 0, "") // it is shorter by now: another file
	}
	_ = res.Body.Close()
	code := fault.Unsupported
	if res.StatusCode >= http.StatusInternalServerError || res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusRequestTimeout {
		code = fault.SourceUnavailable
	}
	return nil, fault.New(code, "%s answers with %s.", place(res.Request.URL), res.Status)
}

// explain tells users why a server could not be asked.
func (c *Client) explain(u *url.URL, err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fault.Wrap(err, fault.SourceUnavailable, "%s cannot be read from now. Check that the service's machine reaches it.", place(u))
}

// versionOf is what If-Range takes: a strong ETag or, in its absence, the time of
// the last change.
func versionOf(h http.Header) string {
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return h.Get("Last-Modified")
}

// contentRange reads "bytes 100-199/200".
func contentRange(text string) (first, total int64, ok bool) {
	rest, found := strings.CutPrefix(text, "bytes ")
	span, all, cut := strings.Cut(rest, "/")
	from, to, dash := strings.Cut(span, "-")
	first, err1 := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	total, err3 := strconv.ParseInt(all, 10, 64)
	return first, total, found && cut && dash && errors.Join(err1, err2, err3) == nil && first >= 0 && last == total-1 && first < total
}
