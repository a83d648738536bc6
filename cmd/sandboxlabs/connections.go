package main

import (
	"log/slog"
	"syscall"
)

// filesKept is the number of file descriptors reserved for everything except client
// connections: the database, libvirt and the log.
const filesKept = 256

// connectionsWithin limits wanted to the number of connections that the process's file
// descriptor limit allows. Each connection may need a second one to libvirt.
func connectionsWithin(wanted int, log *slog.Logger) int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return wanted
	}
	can := (int64(min(files.Cur, 1<<30)) - filesKept) / 2 //nolint:gosec // bounded
	if int64(wanted) <= can {
		return wanted
	}
	can = max(can, 16)
	log.Warn("fewer connections are taken than max-connections says: the process may open too few files; raise its limit (LimitNOFILE=, ulimit -n)", "files", files.Cur, "connections", can)
	return int(can)
}
