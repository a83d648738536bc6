#!/bin/bash
# Makes a Debian 12, Debian 13 or Ubuntu 24.04 machine ready to build and run SandboxLabs:
#
#   deploy/setup.sh [--test]
#
# It installs the distribution's packages that are missing (--test: what the tests need too), sees
# to it that libvirt answers, and checks Go and Node. Run it as often as you like: it changes only
# what is not right yet, and no configuration file.
set -euo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin

readonly go_minimum=1.21 node_minimum=20.19 uri=qemu:///system answer_seconds=30 guests_weigh=8
project=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")

packages=(
	# Hypervisor.
	libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils seabios ovmf swtpm swtpm-tools ipxe-qemu dnsmasq-base iptables
	# Building the service.
	libvirt-dev gcc libc6-dev make pkg-config git ca-certificates curl
	# Building the micro image.
	e2fsprogs fakeroot fdisk grub-common kmod xz-utils zstd
)
test_packages=(chromium postgresql bzip2 openssh-client jq python3 python3-venv genisoimage dosfstools mtools shellcheck procps iproute2 debian-archive-keyring)

# Reverse proxies that the tests run with deploy/proxy/, each as a process of the test's own.
proxies=(nginx caddy haproxy)

say() { echo "setup: $*"; }
warn() { echo "setup: warning: $*" >&2; }
die() {
	echo "setup: $1" >&2
	[ $# -lt 2 ] || echo "setup: $2" >&2
	exit 1
}

changed=false
# step NAME says what is about to be changed.
step() {
	changed=true
	say "$*"
}

# as_root runs a command as root.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -- "$@"
	else
		die "this step needs root: $*" "Run deploy/setup.sh as root, or install sudo and allow it to $(id -un)."
	fi
}

has_systemd() { [ -d /run/systemd/system ]; }

check_machine() {
	[ "$(uname -m)" = x86_64 ] ||
		die "this machine is $(uname -m), and the micro image and this script are for x86-64 only" \
			"On other machines install libvirt, QEMU and Go by hand, then: make build"
	# shellcheck source=/dev/null
	. /etc/os-release
	case "${ID:-}-${VERSION_ID:-}" in
	debian-12 | debian-13 | ubuntu-24.04) ;;
	*) command -v apt-get >/dev/null ||
		die "${PRETTY_NAME:-this system} has no apt-get; this script knows Debian 12, Debian 13 and Ubuntu 24.04" \
			"Install libvirt, QEMU, gcc and pkg-config by hand, then: make build"
		warn "${PRETTY_NAME:-this system} is not Debian 12, Debian 13 or Ubuntu 24.04: continuing, untested" ;;
	esac
	# Ubuntu has Chromium only as a snap, which headless tests on a server cannot use.
	if [ "${ID:-}" = ubuntu ]; then
		test_packages=("${test_packages[@]/#chromium/}")
	fi
}

# at_least WANTED FOUND compares versions.
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

check_tools() {
	local found
	found=$(cd / && GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || die "Go is not installed" "Install Go $go_minimum or later from https://go.dev/dl/ and put it into PATH."
	found=${found#go}
	at_least "$go_minimum" "${found%% *}" || die "Go $found is too old: $go_minimum or later is needed" "Install it from https://go.dev/dl/."
	# An older Go downloads the version that go.mod names.
	go -C "$project" version >/dev/null || die "Go $found cannot get the version of Go that go.mod names (see above)" "Install that version from https://go.dev/dl/, or let Go download it: go env -u GOTOOLCHAIN."
	found=$(node --version 2>/dev/null) || die "Node is not installed" "Install Node $node_minimum or later from https://nodejs.org/ and put it into PATH."
	at_least "$node_minimum" "${found#v}" || die "Node $found is too old: $node_minimum or later is needed" "Install it from https://nodejs.org/."
	command -v npm >/dev/null || die "npm is not installed" "It comes with Node: https://nodejs.org/."
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

install_packages() {
	local name missing=()
	for name in "$@"; do
		[ -z "$name" ] || is_installed "$name" || missing+=("$name")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	step "installing ${missing[*]}"
	apt update || die "the package lists could not be fetched" "See the messages above; is the distribution's mirror reachable?"
	apt install --no-install-recommends "${missing[@]}" ||
		die "apt-get could not install ${missing[*]}" "Put right what the messages above name, then run this again."
}

# install_proxies installs the reverse proxies, and sees to it that their packages start no daemon:
# ports 80 and 443 are not the tests' to take. What was installed before is not changed.
install_proxies() {
	local name policy=/usr/sbin/policy-rc.d missing=()
	for name in "${proxies[@]}"; do
		command -v "$name" >/dev/null || missing+=("$name")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ -e "$policy" ]; then # that of another program, such as a container
		as_root "$policy" nginx start >/dev/null 2>&1 && die "$policy lets packages start their daemons" "Install these by hand, and stop them: ${missing[*]}"
		install_packages "${missing[@]}"
	else
		printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
		as_root chmod 755 "$policy"
		(install_packages "${missing[@]}") || {
			as_root rm -f "$policy"
			exit 1
		}
		as_root rm -f "$policy"
	fi
	if has_systemd; then
		for name in "${missing[@]}"; do
			as_root systemctl disable --quiet "$name.service"
		done
	fi
	changed=true # install_packages said so in a subshell
}

# apt VERB ARGUMENT... runs apt-get, which asks nothing and keeps the configuration that is there.
apt() {
	local verb=$1
	shift
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 \
		-o Dpkg::Options::=--force-confold "$verb" "$@"
}

# system_virsh runs virsh on libvirt's system socket: as the user, who may be in group libvirt, and
# only else as root, if that can be had.
system_virsh() { timeout 30 virsh -c "$uri" "$@" 2>/dev/null || { may_root && as_root timeout 30 virsh -c "$uri" "$@"; }; }

may_root() { [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null; }

# answers asks whether libvirt answers on its system socket.
answers() { system_virsh uri >/dev/null 2>&1; }

# start_daemons starts what is not running. Where systemd does not run, packages start nothing
# and nobody else will.
start_daemons() {
	local daemon daemons=(virtlogd libvirtd)
	# libvirt needs virtlockd only if its configuration says so. On Debian 13 it is a separate package.
	if command -v virtlockd >/dev/null; then daemons=(virtlockd "${daemons[@]}"); fi
	if has_systemd; then
		if systemctl is-active --quiet libvirtd.socket || systemctl is-active --quiet libvirtd.service ||
			systemctl is-active --quiet virtqemud.socket; then
			answers && return
		fi
		step "starting libvirtd"
		as_root systemctl enable --now --quiet "${daemons[@]/%/.socket}" libvirtd.service ||
			die "systemd could not start libvirtd" "Look at: journalctl -u libvirtd"
	else
		for daemon in "${daemons[@]}"; do
			is_running "$daemon" && continue
			step "starting $daemon"
			as_root "$daemon" -d || die "$daemon did not start" "Look at /var/log/libvirt, and try in the foreground: $daemon"
		done
	fi
	local deadline=$((SECONDS + answer_seconds))
	until answers; do
		[ "$SECONDS" -lt "$deadline" ] || die "libvirt does not answer $(id -un) on $uri within $answer_seconds s" "Look at what this says: virsh -c $uri uri"
		sleep 0.2
	done
}

# is_running DAEMON reads the pid file, for a process of another namespace has the same name.
is_running() {
	local pid
	pid=$(cat "/run/$1.pid" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ]
}

# open_kvm gives /dev/kvm to group kvm, as udev does where it runs. A device that libvirtd can use
# and QEMU's user cannot makes libvirt probe QEMU again at every call, for seconds each.
open_kvm() {
	has_systemd && return
	[ -c /dev/kvm ] && getent group kvm >/dev/null || return 0
	[ "$(stat -c %a:%U:%G /dev/kvm)" = 600:root:root ] || return 0
	step "giving /dev/kvm to group kvm"
	{ as_root chgrp kvm /dev/kvm && as_root chmod 660 /dev/kvm; } || warn "/dev/kvm stays closed to QEMU: libvirt's answers will be slow"
}

# weigh_guests gives the guests of the tests a fair part of the processors. Where systemd does not
# run, libvirt puts all of them into one control group, /machine, which weighs as much as a single
# process: beside a busy machine they take minutes to boot. Within it, guests weigh the same.
weigh_guests() {
	has_systemd && return
	local mount file weight
	if mount=$(findmnt -n -o TARGET -t cgroup -O cpu | head -n 1) && [ -n "$mount" ]; then
		file=$mount/machine/cpu.shares weight=$((guests_weigh * 1024))
	elif mount=$(findmnt -n -o TARGET -t cgroup2 | head -n 1) && grep -qsw cpu "$mount/cgroup.controllers"; then
		file=$mount/machine/cpu.weight weight=$((guests_weigh * 100))
	else
		return 0
	fi
	[ "$(cat "$file" 2>/dev/null)" != "$weight" ] || return 0
	step "letting all guests together weigh as much as $guests_weigh processes ($file)"
	# What libvirt does for the first guest. Version 2 has weights where the group above allows them.
	# shellcheck disable=SC2016 # expanded by that shell
	as_root sh -c 'mkdir -p "${1%/*}"; [ -e "$1" ] || echo +cpu >"${1%/*/*}/cgroup.subtree_control"; echo "$2" >"$1"' sh "$file" "$weight" ||
		warn "the guests' control group keeps its weight: they are slow beside a busy machine"
}

# restart_libvirtd makes a libvirtd that runs read the system's users again. Guests keep running.
restart_libvirtd() {
	step "restarting libvirtd, which was started before $1 was installed"
	if has_systemd; then
		as_root systemctl try-restart libvirtd.service || die "systemd could not restart libvirtd" "Look at: journalctl -u libvirtd"
	else
		local pid
		pid=$(cat /run/libvirtd.pid)
		as_root kill "$pid"
		if ! timeout 30 tail --pid="$pid" -f /dev/null; then die "libvirtd (process $pid) does not end" "End it, then run this again."; fi
	fi
}

# give_tpm_authority gives the authority that signs the certificates of emulated TPMs to the user
# that its folder belongs to. A libvirtd that was started before swtpm was installed runs swtpm as
# root, and what root made is closed to swtpm's user later: no node with a TPM starts then.
give_tpm_authority() {
	local folder=/var/lib/swtpm-localca owner foreign
	[ -d "$folder" ] || return 0
	owner=$(stat -c %U "$folder")
	foreign=$(may_root && as_root find "$folder" -mindepth 1 ! -user "$owner" -print -quit) || return 0
	[ -n "$foreign" ] || return 0
	step "giving the files in $folder to user $owner"
	as_root chown -R "$owner" "$folder"
}

start_network() {
	local listed
	listed=$(system_virsh net-list --all --name 2>/dev/null)
	if ! grep -qx default <<<"$listed"; then
		warn "libvirt has no network 'default': a node needs another network, or none; see default-network in README.md"
		return
	fi
	listed=$(system_virsh net-list --name)
	if ! grep -qx default <<<"$listed"; then
		step "starting libvirt's network 'default'"
		if ! system_virsh net-start default >/dev/null; then
			warn "the network 'default' does not start (see above): a node needs another network, or none"
			return
		fi
	fi
	listed=$(system_virsh net-list --name --autostart)
	if ! grep -qx default <<<"$listed"; then
		step "starting the network 'default' at boot from now on"
		system_virsh net-autostart default >/dev/null || warn "the network 'default' will not start at boot"
	fi
}

join_group() {
	local user
	user=$(id -un)
	[ "$user" != root ] || return 0
	if ! id -nG "$user" | grep -qw libvirt; then
		step "adding $user to group libvirt"
		as_root usermod -aG libvirt "$user"
	fi
	id -nG | grep -qw libvirt ||
		say "group libvirt holds $user from the next login on; until then: sg libvirt -c 'make run'"
}

case ${1:-} in
--test) with_tests=true ;;
'') with_tests=false ;;
*) die "usage: deploy/setup.sh [--test]" ;;
esac

check_machine
if $with_tests; then packages+=("${test_packages[@]}"); fi
check_tools
if is_installed swtpm; then new_swtpm=false; else new_swtpm=true; fi
install_packages "${packages[@]}"
if $new_swtpm && is_running libvirtd; then restart_libvirtd swtpm; fi
open_kvm
if $with_tests; then
	install_proxies
	"$project/deploy/guacd.sh"
	"$project/deploy/python.sh"
fi
start_daemons
give_tpm_authority
if $with_tests; then weigh_guests; fi
start_network
if may_root; then "$project/deploy/close-pools.sh" sandboxlabs-images sandboxlabs-nodes sandboxlabs-nodes-logs; fi
join_group
if $changed; then say "done"; else say "ok"; fi
