// Package peer reports which account of this machine is behind a TCP connection.
//
// An address of the loopback interface identifies nobody: every local user and every
// guest with user-mode networking has it. The kernel knows who owns the socket at the
// other end.
package peer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The layout of the kernel's inet_diag_req_v2 and inet_diag_msg
// (linux/inet_diag.h): both hold an inet_diag_sockid, whose ports and addresses are in
// network byte order.
const (
	requestBytes  = 56
	requestIDAt   = 8
	responseBytes = 72
	responseIDAt  = 4
	tupleBytes    = 36 // of the sockid: ports and addresses
	cookieAt      = 40 // in the sockid
	uidAt         = 64 // in the response
	inodeAt       = 68 // in the response
	allStates     = 0xffffffff
)

// ErrUnknown says that the owner of the socket at the other end cannot be told: it is
// on another machine or in another network namespace, or its program has closed it.
var ErrUnknown = errors.New("the owner of the connection's other end is unknown")

// UID returns the user id that owns the socket at the other end of an accepted TCP
// connection, as this process's user namespace counts. A socket that its program has
// closed has no owner, although the kernel reports root for it: that is ErrUnknown. So
// is a user that this user namespace does not have.
func UID(conn net.Conn) (int, error) {
	// The other end's own address is the remote one here.
	local, err := addressOf(conn.RemoteAddr())
	if err != nil {
		return 0, err
	}
	remote, err := addressOf(conn.LocalAddr())
	if err != nil {
		return 0, err
	}
	if local.Addr().Is4() != remote.Addr().Is4() || local.Addr().Zone() != "" || remote.Addr().Zone() != "" {
		return 0, ErrUnknown
	}
	request := make([]byte, requestBytes)
	request[0], request[1] = unix.AF_INET6, unix.IPPROTO_TCP
	if local.Addr().Is4() {
		request[0] = unix.AF_INET
	}
	binary.NativeEndian.PutUint32(request[4:], allStates)
	id := request[requestIDAt:]
	binary.BigEndian.PutUint16(id, local.Port())
	binary.BigEndian.PutUint16(id[2:], remote.Port())
	copy(id[4:20], local.Addr().AsSlice())
	copy(id[20:36], remote.Addr().AsSlice())
	binary.NativeEndian.PutUint32(id[cookieAt:], nl.TCPDIAG_NOCOOKIE)
	binary.NativeEndian.PutUint32(id[cookieAt+4:], nl.TCPDIAG_NOCOOKIE)

	ask := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, 0)
	ask.AddRawData(request)
	answers, err := ask.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
	if err != nil {
		return 0, fmt.Errorf("%w: ask the kernel: %w", ErrUnknown, err)
	}
	if len(answers) != 1 || len(answers[0]) < responseBytes {
		return 0, ErrUnknown
	}
	return owner(answers[0], id[:tupleBytes])
}

// owner reads the answer about the socket with that tuple. The kernel may answer with
// a listening socket, which is another one; without an inode no program has the socket.
func owner(answer, tuple []byte) (int, error) {
	uid, inode := binary.NativeEndian.Uint32(answer[uidAt:]), binary.NativeEndian.Uint32(answer[inodeAt:])
	if !bytes.Equal(answer[responseIDAt:responseIDAt+tupleBytes], tuple) || inode == 0 || int(uid) == overflowUID() {
		return 0, ErrUnknown
	}
	return int(uid), nil
}

// overflowUID is what the kernel reports for users that a user namespace does not have.
func overflowUID() int {
	const usual = 65534
	text, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	if err != nil {
		return usual
	}
	uid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return usual
	}
	return uid
}

func addressOf(a net.Addr) (netip.AddrPort, error) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%w: %s is not a TCP address", ErrUnknown, a)
	}
	address := tcp.AddrPort()
	return netip.AddrPortFrom(address.Addr().Unmap(), address.Port()), nil
}
