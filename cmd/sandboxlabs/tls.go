package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/sandboxlabs/sandboxlabs/internal/api"
	"github.com/sandboxlabs/sandboxlabs/internal/outbound"
)

// tlsConfig says how the service gets its certificate. The zero value means no TLS.
type tlsConfig struct {
	Cert, Key string // PEM files
	ACME      acmeConfig
	// Redirect is the address of an HTTP listener that redirects browsers to HTTPS and
	// answers ACME's HTTP challenges; empty for none.
	Redirect string
}

// acmeConfig says how to obtain a certificate from a certificate authority.
type acmeConfig struct {
	Domains   []string
	Email     string
	Directory string // the authority's URL; empty: Let's Encrypt
	Roots     string // file with the roots for checking the authority's own HTTPS certificate; empty: the system's
}

func (c tlsConfig) on() bool { return c.Cert != "" || len(c.ACME.Domains) > 0 }

func addTLSFlags(f *pflag.FlagSet) {
	f.String("tls-cert", "", "PEM file of the certificate chain: serve HTTPS; reloaded when it changes")
	f.String("tls-key", "", "PEM file of the certificate's key")
	f.String("acme-domains", "", "serve HTTPS with a certificate for these names, separated by commas, obtained with ACME (Let's Encrypt)")
	f.String("acme-email", "", "email address for the certificate authority")
	f.String("acme-directory", "", "URL of another certificate authority's ACME directory")
	f.String("acme-roots", "", "PEM file of root certificates for the authority's HTTPS (default: those of the system)")
	f.String("http-listen", "", "additional HTTP address, such as :80, that redirects browsers to HTTPS and handles ACME")
	f.String("behind-proxy", "", "addresses or networks of the reverse proxies, separated by commas: they terminate TLS and send the client's address in X-Forwarded-For")
}

// parseTLS reads the options for TLS and proxies. host is the host of the listen option.
func (c *config) parseTLS(k *koanf.Koanf, host string) error {
	c.TLS = tlsConfig{Cert: k.String("tls-cert"), Key: k.String("tls-key"), Redirect: k.String("http-listen"), ACME: acmeConfig{
		Domains: words(k, "acme-domains"), Email: k.String("acme-email"), Directory: k.String("acme-directory"), Roots: k.String("acme-roots"),
	}}
	for _, text := range words(k, "behind-proxy") {
		p, err := netip.ParsePrefix(text)
		if a, aerr := netip.ParseAddr(text); aerr == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return fmt.Errorf("behind-proxy: %q is neither an address nor a network such as 10.0.0.0/8", text)
		}
		c.Proxies = append(c.Proxies, p)
	}
	switch {
	case (c.TLS.Cert == "") != (c.TLS.Key == ""):
		return errors.New("tls-cert and tls-key: set both, or neither")
	case c.TLS.Cert != "" && len(c.TLS.ACME.Domains) > 0:
		return errors.New("acme-domains: set it, or tls-cert and tls-key, but not both")
	case c.TLS.Redirect != "" && !c.TLS.on():
		return errors.New("http-listen: it redirects browsers to HTTPS, which is off; set tls-cert and tls-key, or acme-domains")
	case len(c.Proxies) > 0 && c.PublicURL == nil:
		return errors.New("behind-proxy: set public-url, too, to the address that browsers use")
	case !c.TLS.on() && len(c.Proxies) == 0 && !isLoopback(host):
		return fmt.Errorf("listen: %s can be reached from other machines, and passwords would cross the network unencrypted; "+
			"set tls-cert and tls-key, or acme-domains; or behind-proxy, to the address of a reverse proxy that does TLS; or listen to 127.0.0.1:3001", c.Listen)
	}
	if c.PublicURL == nil && len(c.TLS.ACME.Domains) > 0 {
		c.PublicURL = &url.URL{Scheme: "https", Host: c.TLS.ACME.Domains[0]}
		if _, port, err := net.SplitHostPort(c.Listen); err == nil && port != "443" {
			c.PublicURL.Host = net.JoinHostPort(c.TLS.ACME.Domains[0], port)
		}
	}
	return nil
}

// words splits an option that is a list. In YAML, it may be a list or one string.
func words(k *koanf.Koanf, name string) []string {
	list := k.Strings(name)
	if len(list) == 0 {
		list = strings.Split(k.String(name), ",")
	}
	var out []string
	for _, word := range list {
		if word = strings.TrimSpace(word); word != "" {
			out = append(out, word)
		}
	}
	return out
}

// server returns the TLS configuration of the service's HTTPS listener and the handler of
// its HTTP listener; nil and nil without TLS.
func (c config) server(log *slog.Logger) (*tls.Config, http.Handler, error) {
	plain := toHTTPS(c.PublicURL, c.Listen)
	if c.TLS.Cert != "" {
		cert := &certificate{certFile: c.TLS.Cert, keyFile: c.TLS.Key, log: log}
		if err := cert.load(); err != nil {
			return nil, nil, err
		}
		return &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert.get(time.Now()), nil },
		}, plain, nil
	}
	if len(c.TLS.ACME.Domains) == 0 {
		return nil, nil, nil
	}
	client, err := c.TLS.ACME.client()
	if err != nil {
		return nil, nil, err
	}
	m := &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(filepath.Join(c.DataDir, "acme")),
		HostPolicy: autocert.HostWhitelist(c.TLS.ACME.Domains...), Email: c.TLS.ACME.Email, Client: client,
	}
	config := m.TLSConfig()
	config.MinVersion = tls.VersionTLS12
	return config, m.HTTPHandler(plain), nil
}

// The limits for a response of the certificate authority.
const (
	acmeTimeout     = time.Minute
	acmeAnswerBytes = 1 << 20
)

func (c acmeConfig) client() (*acme.Client, error) {
	client := &acme.Client{DirectoryURL: c.Directory}
	if client.DirectoryURL == "" {
		client.DirectoryURL = autocert.DefaultACMEDirectory
	}
	o := outbound.Options{Timeout: acmeTimeout, MaxBytes: acmeAnswerBytes}
	if c.Roots != "" {
		var err error
		if o.Roots, err = readRoots(c.Roots); err != nil {
			return nil, fmt.Errorf("acme-roots: %w", err)
		}
	}
	client.HTTPClient = outbound.NewClient(o)
	return client, nil
}

// toHTTPS redirects browsers to the same page at the service's HTTPS address if they ask
// for our host, so that no link can redirect them elsewhere.
func toHTTPS(public *url.URL, listen string) http.Handler {
	check := api.OwnHosts(listen, public)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := check(r.Host); err != nil {
			http.Error(w, err.Error(), http.StatusMisdirectedRequest)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "Use HTTPS.", http.StatusBadRequest)
			return
		}
		target := url.URL{Scheme: "https", Path: r.URL.Path, RawQuery: r.URL.RawQuery}
		if public != nil {
			target.Host = public.Host
		} else {
			target.Host = (&url.URL{Host: r.Host}).Hostname()
			if _, port, err := net.SplitHostPort(listen); err == nil && port != "443" {
				target.Host = net.JoinHostPort(target.Host, port)
			}
		}
		http.Redirect(w, r, target.String(), http.StatusMovedPermanently)
	})
}

// serveRedirects serves the HTTP listener until ctx is done.
func (a *app) serveRedirects(ctx context.Context) error {
	const patience = 10 * time.Second
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.config.TLS.Redirect)
	if err != nil {
		return fmt.Errorf("http-listen: %w; another program may use the port, or the service lacks the right to listen there", err)
	}
	srv := &http.Server{Handler: a.plain, ReadTimeout: patience, WriteTimeout: patience, MaxHeaderBytes: 16 << 10}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	limits := &api.ConnectionLimits{Total: a.config.MaxConnections / 4, PerAddress: a.config.MaxPerAddress, Proxies: a.config.Proxies}
	limits.Track(srv)
	if err := srv.Serve(limits.Listen(l)); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
