// Package outbound makes the HTTP clients that ask other servers: the sign-in provider,
// Guacamole, a certificate authority, another SandboxLabs. None of them is trusted to
// answer in time, to answer briefly, or to send a request only where it was meant to go.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Errors of a client's requests and of reading its answers, for errors.Is.
var (
	ErrTooLarge = errors.New("the answer is too large")
	ErrRedirect = errors.New("the server redirects to another origin")
)

const (
	maxRedirects   = 3
	maxHeaderBytes = 64 << 10
)

// Options bound what a client accepts.
type Options struct {
	// Timeout bounds a whole exchange: connecting, redirects, headers and body.
	Timeout time.Duration
	// MaxBytes bounds the body of an answer, after decompression.
	MaxBytes int64
	// Roots check the servers' certificates; nil: the system's.
	Roots *x509.CertPool
}

// NewClient returns a client that ends each exchange after o.Timeout, reads at most
// o.MaxBytes of an answer, and follows redirects only within the origin that was asked.
func NewClient(o Options) *http.Client {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
		MaxResponseHeaderBytes: maxHeaderBytes, MaxIdleConns: 8, IdleConnTimeout: time.Minute,
	}
	return &http.Client{Timeout: o.Timeout, Transport: &bounded{transport, o.MaxBytes}, CheckRedirect: StayAtOrigin}
}

// StayAtOrigin is an http.Client's CheckRedirect: it returns ErrRedirect when a redirect
// leaves the scheme, host and port that were asked first, and bounds their number.
func StayAtOrigin(next *http.Request, before []*http.Request) error {
	if from, to := origin(before[0].URL), origin(next.URL); from != to {
		return fmt.Errorf("%w: from %s to %s", ErrRedirect, from, to)
	}
	if len(before) > maxRedirects {
		return fmt.Errorf("the server redirects more than %d times", maxRedirects)
	}
	return nil
}

// origin is the scheme, host and port of an address.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + u.Hostname() + ":" + port
}

// Reason returns what may be logged of an error: whether the answer was too large, too
// late or a redirect, without the address asked and without what the server said, either
// of which may hold a secret. It returns nil for other errors.
func Reason(err error) error {
	var late interface{ Timeout() bool }
	switch {
	case errors.Is(err, ErrTooLarge):
		return ErrTooLarge
	case errors.Is(err, ErrRedirect):
		return ErrRedirect
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &late) && late.Timeout():
		return errors.New("the answer is too late")
	}
	return nil
}

// bounded is a transport whose answers have at most limit bytes.
type bounded struct {
	*http.Transport
	limit int64
}

// RoundTrip asks the server.
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if res.ContentLength > b.limit && r.Method != http.MethodHead {
		_ = res.Body.Close()
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d are read", ErrTooLarge, res.ContentLength, b.limit)
	}
	res.Body = &boundedBody{res.Body, b.limit}
	return res, nil
}

// boundedBody is a body that fails after left bytes.
type boundedBody struct {
	io.ReadCloser
	left int64
}

// Read reads one byte more than the bound, to find whether the answer ends there.
func (b *boundedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		n, b.left = int(b.left), 0
		return n, ErrTooLarge
	}
	b.left -= int64(n)
	return n, err
}
