package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateGrain is the minimum interval between two checks of the files.
const certificateGrain = time.Second

// certificate is a TLS certificate loaded from two files and reloaded when they change.
// Its methods are safe for concurrent use.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	read    [2]fileStamp // stamps of the files at the last attempt to load them
	looked  time.Time
}

// fileStamp identifies a version of a file by its size and modification time.
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

// get returns the current certificate. If changed files cannot be loaded, it keeps the
// previous certificate, because the files may be half written.
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
