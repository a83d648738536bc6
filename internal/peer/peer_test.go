package peer

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// clientVariable makes the test binary a client that connects to the address in it,
// does what it reads from its standard input, and ends.
const clientVariable = "SANDBOXLABS_TEST_PEER"

func TestMain(m *testing.M) {
	if address := os.Getenv(clientVariable); address != "" {
		client(address)
		return
	}
	os.Exit(m.Run())
}

// client connects, closes the connection at the first byte of its input, and stays
// until its input ends.
func client(address string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		os.Exit(1)
	}
	_, _ = os.Stdin.Read(make([]byte, 1))
	_ = conn.Close()
	_, _ = os.Stdout.WriteString("closed")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// accept listens on an address, has a client of another user connect, and returns the
// connection and what makes the client close it.
func accept(t *testing.T, address string, uid int) (conn net.Conn, closeClient func()) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("cannot listen on %s: %v", address, err)
	}
	defer func() { _ = l.Close() }()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/fd/3")
	if cmd.ExtraFiles = []*os.File{open(t, self)}; uid != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	cmd.Env = []string{clientVariable + "=" + strings.Replace(l.Addr().String(), "[::]", "127.0.0.1", 1)}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute))
	if conn, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, func() {
		_, _ = in.Write([]byte{'\n'})
		if _, err := io.ReadFull(out, make([]byte, len("closed"))); err != nil {
			t.Fatal(err)
		}
	}
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestUID reports the account of a client, on every kind of address, until its program
// closes the connection.
func TestUID(t *testing.T) {
	uids := []int{os.Getuid()}
	if os.Getuid() == 0 {
		uids = append(uids, 1, 4711)
	}
	for _, address := range []string{"127.0.0.1:0", "127.0.0.9:0", "[::1]:0", "[::]:0"} {
		for _, uid := range uids {
			t.Run(address+" "+strconv.Itoa(uid), func(t *testing.T) {
				conn, closeClient := accept(t, address, uid)
				if got, err := UID(conn); err != nil || got != uid {
					t.Fatalf("the client is user %d: %v", got, err)
				}
				closeClient()
				if got, err := UID(conn); !errors.Is(err, ErrUnknown) {
					t.Errorf("after its program closed it, the connection is that of user %d: %v", got, err)
				}
			})
		}
	}
}

// TestUIDThatIsNobodys has no account for what has none here.
func TestUIDThatIsNobodys(t *testing.T) {
	if os.Getuid() == 0 {
		conn, _ := accept(t, "127.0.0.1:0", overflowUID())
		if got, err := UID(conn); !errors.Is(err, ErrUnknown) {
			t.Errorf("a user that may be any of another user namespace is %d: %v", got, err)
		}
	}
	a, b := net.Pipe()
	defer func() { _, _ = a.Close(), b.Close() }()
	if got, err := UID(a); !errors.Is(err, ErrUnknown) {
		t.Errorf("a pipe is that of user %d: %v", got, err)
	}
}
