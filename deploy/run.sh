#!/bin/bash
# Starts the service in the background, instead of the one that this script started before:
#
#   deploy/run.sh
#
# SANDBOXLABS_* in the environment configure it (see: bin/sandboxlabs serve --help).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/instance.sh
. deploy/instance.sh

readonly answer_seconds=60
listen=${SANDBOXLABS_LISTEN:-127.0.0.1:3001}
# An empty host or the wildcard address is reached through loopback.
host=${listen%:*} port=${listen##*:}
case $host in '' | 0.0.0.0 | '[::]') host=127.0.0.1 ;; esac
url=http://$host:$port

[ -x "$binary" ] || die "$binary does not exist" "Run: make build"

stop_instance

if (: <"/dev/tcp/${host//[\[\]]/}/$port") 2>/dev/null; then
	die "another program listens on $listen already" "Choose another address: SANDBOXLABS_LISTEN=127.0.0.1:3002 make run"
fi

# default_network_runs asks libvirt for the network that new nodes are connected to.
default_network_runs() { virsh -c qemu:///system net-list --name 2>/dev/null | grep -qx default; }

# ensure_network starts libvirt's network 'default', which new nodes are connected to. Where that
# cannot be, it says so and allows user-mode networking for this instance. It leaves alone what
# the environment or a file configures.
ensure_network() {
	local config=${SANDBOXLABS_CONFIG:-/etc/sandboxlabs/sandboxlabs.yaml}
	if [ -n "${SANDBOXLABS_USER_NETWORK+x}${SANDBOXLABS_DEFAULT_NETWORK+x}${SANDBOXLABS_HOSTS+x}" ] || [ -e "$config" ] || default_network_runs; then
		return
	fi
	if virsh -c qemu:///system net-start default >/dev/null && default_network_runs; then
		echo "Started libvirt's network 'default'."
		return
	fi
	echo "libvirt's network 'default' cannot be started here (see above), so nodes get user-mode networking:" >&2
	echo "through it, guests reach services on this machine's loopback address. To refuse it: SANDBOXLABS_USER_NETWORK=off make run" >&2
	export SANDBOXLABS_USER_NETWORK=on
}
ensure_network

mkdir -p "$run_dir"
access=$("$binary" user init)

# A new session: the service outlives this terminal and its Ctrl-C.
setsid "$binary" serve </dev/null >"$log_file" 2>&1 &
pid=$!
echo "$pid" >"$pid_file"

deadline=$((SECONDS + answer_seconds))
until curl -fsS --max-time 5 -o /dev/null "$url/api/health" 2>/dev/null; do
	if ! kill -0 "$pid" 2>/dev/null; then
		rm -f "$pid_file"
		failed "the service ended"
	fi
	[ "$SECONDS" -lt "$deadline" ] || failed "the service does not answer on $url within $answer_seconds s"
	sleep 0.2
done

if [ "${SANDBOXLABS_AUTH:-on}" = off ]; then
	echo "Sign-in is off: only programs of root and of $(id -un) on this machine are accepted."
else
	echo "$access"
fi
echo "SandboxLabs runs on $url (log: $log_file; end it with: make stop)"
