package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sandboxlabs/sandboxlabs/internal/testground"
)

const (
	startLimit = time.Minute      // for the server to come up
	stopLimit  = 20 * time.Second // for it to go down in order
	owner      = "sandboxlabs"    // the server's superuser
)

// server is the test binary's one PostgreSQL server, started on first use.
var server cluster

// Postgres returns the URL of an empty PostgreSQL database, which is dropped
// when the test ends. It skips the test where PostgreSQL is not installed.
func Postgres(t testing.TB) string {
	t.Helper()
	if !server.managed {
		t.Fatal("storetest.Main must run the package's tests: it shuts the server down")
	}
	server.once.Do(func() { server.start(t) })
	if errors.Is(server.failure, errAbsent) {
		t.Skip(server.failure)
	}
	if server.failure != nil {
		t.Fatalf("start PostgreSQL: %v", server.failure)
	}
	name := fmt.Sprintf("test_%d", server.databases.Add(1))
	server.exec(t, "CREATE DATABASE "+name)
	t.Cleanup(func() { server.exec(t, "DROP DATABASE "+name+" WITH (FORCE)") })
	return server.url(name)
}

var errAbsent = errors.New("PostgreSQL is not installed, so nothing was tested with it: apt-get install postgresql")

// cluster is a PostgreSQL server in a temporary directory, reached by a random
// port of the loopback address and by a socket in that directory.
type cluster struct {
	managed   bool // by Main
	once      sync.Once
	failure   error // of start
	databases atomic.Int64

	bin      string
	dir      string
	password string
	port     int
	account  *syscall.Credential // nil: our own
	process  *os.Process
	exited   chan struct{}
}

// start makes and starts the server, and sets failure.
func (c *cluster) start(t testing.TB) {
	c.failure = func() error {
		if c.bin = binaries(); c.bin == "" {
			return errAbsent
		}
		if os.Getuid() == 0 { // initdb and postgres refuse to run as root
			account, err := credentialOf("postgres")
			if err != nil {
				return errAbsent
			}
			c.account = account
		}
		if err := c.initialize(); err != nil {
			return err
		}
		c.port = testground.Port(t)
		return c.launch()
	}()
}

// binaries returns the directory of the newest server that is installed, empty
// without one. Debian keeps it out of PATH.
func binaries() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the pattern is valid
	if len(found) > 0 {
		version := func(path string) int {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 sorts first
			return n
		}
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return ""
	}
	return filepath.Dir(path)
}

func credentialOf(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// initialize makes the data directory.
func (c *cluster) initialize() error {
	dir, err := os.MkdirTemp("", "sandboxlabs-pg-")
	if err != nil {
		return err
	}
	c.dir, c.password = dir, rand.Text()
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(c.password), 0o600); err != nil {
		return err
	}
	if c.account != nil {
		for _, path := range []string{dir, secret} {
			if err := os.Chown(path, int(c.account.Uid), int(c.account.Gid)); err != nil {
				return err
			}
		}
	}
	initdb := c.command("initdb", "--pgdata=data", "--username="+owner, "--pwfile=password",
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync")
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return nil
}

// launch starts the server on its port and waits until it takes connections.
func (c *cluster) launch() error {
	log := &serverLog{ready: make(chan struct{})}
	// The data is gone with the test, so nothing need reach the disk.
	postgres := c.command("postgres", "-D", "data", "-p", strconv.Itoa(c.port), "-k", c.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off",
		"-c", "max_connections=200", "-c", "logging_collector=off", "-c", "log_destination=stderr")
	postgres.Stderr = log
	started, exited := make(chan error, 1), make(chan struct{})
	go func() { // ends with the server, which stop waits for
		defer close(exited)
		// The kernel stops the server when the thread that started it ends,
		// as it does when the test binary is killed.
		runtime.LockOSThread()
		postgres.SysProcAttr.Pdeathsig = syscall.SIGINT
		err := postgres.Start()
		started <- err
		if err == nil {
			_ = postgres.Wait() // a stopped server's status is of no interest
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	c.process, c.exited = postgres.Process, exited
	select {
	case <-log.ready:
		return nil
	case <-exited:
		c.process = nil
		return fmt.Errorf("postgres ended at once:\n%s", log.text())
	case <-time.After(startLimit):
		return fmt.Errorf("postgres was not ready within %s:\n%s", startLimit, log.text())
	}
}

// Outage stops the server under all databases that Postgres returned, and
// returns a function that starts it again, on the same port and with the same
// data; the test's end calls it too. Tests that run in parallel must not use it.
func Outage(t testing.TB) (end func()) {
	t.Helper()
	if server.process == nil {
		t.Fatal("there is no server to stop: call Postgres first")
	}
	server.shutDown()
	var once sync.Once
	end = func() {
		once.Do(func() {
			if err := server.launch(); err != nil {
				t.Errorf("start PostgreSQL again: %v", err)
			}
		})
	}
	t.Cleanup(end)
	return end
}

// stop shuts the server down, if it was started, and removes its directory.
func (c *cluster) stop() {
	c.shutDown()
	if c.dir != "" {
		_ = os.RemoveAll(c.dir)
	}
}

// shutDown ends the server, if it runs, and keeps its data.
func (c *cluster) shutDown() {
	if c.process == nil {
		return
	}
	_ = c.process.Signal(syscall.SIGINT) // ends its connections and shuts down in order
	select {
	case <-c.exited:
	case <-time.After(stopLimit):
		_ = c.process.Signal(syscall.SIGQUIT) // at once
		<-c.exited
	}
	c.process = nil
}

// command is a program of the server's, run in its directory by its account.
func (c *cluster) command(name string, args ...string) *exec.Cmd {
	// Not bound to a context: the server outlives the test that starts it first.
	cmd := exec.CommandContext(context.Background(), filepath.Join(c.bin, name), args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.account}
	return cmd
}

func (c *cluster) url(database string) string {
	return (&url.URL{
		Scheme: "postgres",
		User:   url.UserPassword(owner, c.password),
		Host:   net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)),
		Path:   "/" + database, RawQuery: "sslmode=disable",
	}).String()
}

// exec runs one statement on the server's own database.
func (c *cluster) exec(t testing.TB, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// serverLog keeps what the server says, and notices when it is ready.
type serverLog struct {
	ready chan struct{}

	mu     sync.Mutex
	said   bytes.Buffer
	closed bool
}

// Write implements io.Writer.
func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said.Write(p)
	if !l.closed && bytes.Contains(l.said.Bytes(), []byte("ready to accept connections")) {
		l.closed = true
		close(l.ready)
	}
	return len(p), nil
}

func (l *serverLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.String()
}
