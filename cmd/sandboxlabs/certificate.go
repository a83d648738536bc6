package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateGrain is how often the files are looked at, at most.
const certificateGrain = time.Second

// certificate is a certificate in two files, read again when they change. All
// methods may be called from any goroutine.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	read    [2]fileStamp // of what current was read from, or was tried last
	looked  time.Time
}

// fileStamp tells a changed file from an unchanged one.
type fileStamp struct {
	size     int64
	modified time.Time
}

// load reads the files for the first time.
func (c *certificate) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = c.stamps()
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("tls-cert and tls-key: %w; they are files in PEM, the chain and the key, that belong together", err)
	}
	c.current = &pair
	return nil
}

// get returns the certificate. Files that changed and cannot be used leave the
// one before in place: they may be half written.
func (c *certificate) get(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.looked) < certificateGrain {
		return c.current
	}
	c.looked = now
	stamps := c.stamps()
	if stamps == c.read {
		return c.current
	}
	c.read = stamps
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		c.log.Error("the new certificate cannot be used; the one before stays", "error", err)
		return c.current
	}
	c.log.Info("new certificate", "file", c.certFile)
	c.current = &pair
	return c.current
}

func (c *certificate) stamps() (s [2]fileStamp) {
	for i, path := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(path); err == nil {
			s[i] = fileStamp{info.Size(), info.ModTime()}
		}
	}
	return s
}
