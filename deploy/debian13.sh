#!/bin/bash
# Runs a command on a copy of the project in a Debian 13 container, by default `make test`:
#
#   deploy/debian13.sh [COMMAND...]
#
# The system is built once, in .cache/debian13, with nothing more than the README asks for: Go and
# Node. It runs in namespaces: its processes, mounts, network and libvirt are not those of this
# machine, and all of them end with the command. What the command installs and builds stays for the
# next run; to begin with a fresh system, delete .cache/debian13. It needs root.
set -euo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
script=$(realpath "${BASH_SOURCE[0]}")
cd "$(dirname "$script")/.."

readonly suite=trixie mirror=http://deb.debian.org/debian security=http://deb.debian.org/debian-security
readonly cache=$PWD/.cache/debian13
readonly root=$cache/root project=/srv/sandboxlabs
# Devices that the system sees. It has no udev, so they belong to its root.
readonly devices=(null zero full random urandom tty net/tun kvm vhost-net)
# How this machine reaches registries is how the system inside does.
readonly carried='^([a-z]+_proxy|[A-Z]+_PROXY|GO(PROXY|SUMDB|PRIVATE|NOPROXY|NOSUMDB|INSECURE)|npm_config_registry)='

say() { echo "debian13: $*"; }
die() {
	echo "debian13: $1" >&2
	[ $# -lt 2 ] || echo "debian13: $2" >&2
	exit 1
}

# build_root makes the system, with Go and Node.
build_root() {
	say "building a Debian 13 in $root"
	rm -rf --one-file-system "$root.new"
	mkdir -p "$root.new"
	debootstrap "$suite" "$root.new" "$mirror" >"$cache/debootstrap.log" ||
		die "debootstrap failed" "See $cache/debootstrap.log; is $mirror reachable?"
	cat >"$root.new/etc/apt/sources.list" <<-LIST
		deb $mirror $suite main
		deb $mirror $suite-updates main
		deb $security $suite-security main
	LIST
	apt-config dump | grep -E '^Acquire::(http|https|Check)' >"$root.new/etc/apt/apt.conf.d/90machine" || true
	mkdir -p "$root.new/usr/local/share/ca-certificates"
	if [ -r /etc/ssl/certs/ca-certificates.crt ]; then
		awk -v folder="$root.new/usr/local/share/ca-certificates" \
			'/BEGIN CERTIFICATE/ { n++ } n { print > sprintf("%s/machine-%03d.crt", folder, n) }' /etc/ssl/certs/ca-certificates.crt
	fi
	[ ! -r ~/.npmrc ] || cp ~/.npmrc "$root.new/root/.npmrc"
	echo nameserver 10.0.2.3 >"$root.new/etc/resolv.conf"
	echo force-unsafe-io >"$root.new/etc/dpkg/dpkg.cfg.d/machine" # it can be built again
	enter "$root.new" / bash -ec 'export DEBIAN_FRONTEND=noninteractive
		apt-get -qq update
		apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 install ca-certificates git make golang-go nodejs npm >/dev/null' ||
		die "the packages of Go and Node could not be installed"
	mv "$root.new" "$root"
}

# copy_project brings the files that Git does not ignore into the system, as they are now.
copy_project() {
	local index tree commit
	index=$(mktemp -u "$cache/index.XXXXXX")
	export GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test@localhost GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test@localhost
	GIT_INDEX_FILE=$index git add --all
	tree=$(GIT_INDEX_FILE=$index git write-tree)
	rm -f "$index"
	commit=$(git commit-tree "$tree" -p HEAD -m 'What is tested')
	[ -d "$root$project/.git" ] || git init --quiet "$root$project"
	git push --quiet --force "$root$project" "$commit:refs/heads/tested"
	git -C "$root$project" checkout --quiet --force --detach tested
	git -C "$root$project" clean --quiet -fd
}

# enter ROOT FOLDER COMMAND... runs a command in the system. slirp4netns gives it a network, which
# changes nothing in this machine's.
enter() {
	local new_root=$1 folder=$2 pipes holder network result=0
	shift 2
	pipes=$(mktemp -d "$cache/pipes.XXXXXX")
	mkfifo "$pipes"/{ready,go,network,end}
	exec 3<>"$pipes/ready" 4<>"$pipes/go" 5<>"$pipes/network" 6<>"$pipes/end"
	rm -rf "$pipes"
	setpriv --pdeathsig KILL unshare --mount --uts --ipc --pid --net --fork --kill-child --propagation private \
		bash "$script" --inside "$new_root" "$folder" "$@" 5>&- 6>&- &
	holder=$!
	# shellcheck disable=SC2064 # the holder of now
	trap "kill -KILL $holder 2>/dev/null || true" EXIT
	read -r -u 3 -t 30 || die "the namespaces could not be made"
	setpriv --pdeathsig KILL slirp4netns --configure --mtu=65520 --ready-fd=5 "$holder" tap0 3>&- 4>&- 6>&- >/dev/null 2>"$cache/slirp4netns.log" &
	network=$!
	read -r -u 5 -n 1 -t 30 || die "the network could not be made" "See $cache/slirp4netns.log."
	echo go >&4
	wait "$holder" || result=$?
	trap - EXIT
	kill "$network"
	wait "$network" 2>/dev/null || true
	exec 3>&- 4>&- 5>&- 6>&-
	return "$result"
}

# make_devices FOLDER makes the devices, whatever the modes and groups of this machine's are.
make_devices() {
	local name
	mount -t tmpfs -o mode=755 tmpfs "$1"
	mkdir "$1"/{net,pts,shm}
	for name in "${devices[@]}"; do
		[ -c "/dev/$name" ] || continue
		mknod --mode=666 "$1/$name" c "$((16#$(stat -c %t "/dev/$name")))" "$((16#$(stat -c %T "/dev/$name")))"
	done
	[ ! -c "$1/kvm" ] || chmod 600 "$1/kvm"
	mount -t devpts -o newinstance,gid=5,mode=620,ptmxmode=666 devpts "$1/pts"
	mount -t tmpfs tmpfs "$1/shm"
	ln -s pts/ptmx "$1/ptmx"
	ln -s /proc/self/fd "$1/fd"
	for name in 0:stdin 1:stdout 2:stderr; do
		ln -s "/proc/self/fd/${name%:*}" "$1/${name#*:}"
	done
}

# inside ROOT FOLDER COMMAND... is the first process of the namespaces.
inside() {
	local new_root=$1 folder=$2
	shift 2
	mount --bind "$new_root" "$new_root"
	mount -t proc proc "$new_root/proc"
	mount -t sysfs sysfs "$new_root/sys"
	mount --rbind /sys/fs/cgroup "$new_root/sys/fs/cgroup"
	mount -t tmpfs -o mode=755 tmpfs "$new_root/run"
	mkdir "$new_root/run/lock"
	make_devices "$new_root/dev"
	rm -rf --one-file-system "${new_root:?}"/tmp/*
	hostname debian13
	ip link set lo up
	cd "$new_root"
	pivot_root . mnt
	umount --lazy /mnt
	cd "$folder"
	echo ready >&3
	read -r -u 4
	exec 3>&- 4>&-
	"$@"
}

if [ "${1:-}" = --inside ]; then
	shift
	inside "$@"
	exit
fi

[ "$(id -u)" -eq 0 ] || die "run this as root: it makes namespaces and devices"
for tool in debootstrap slirp4netns; do
	command -v "$tool" >/dev/null || die "missing: $tool" "Run: apt-get install debootstrap slirp4netns"
done
mkdir -p "$cache"
chmod 700 "$cache"
exec 9>"$cache/lock"
flock --nonblock 9 || die "another run uses $root"
[ -d "$root" ] || build_root
copy_project
[ $# -gt 0 ] || set -- make test
mapfile -t environment < <(env | grep -E "$carried" || true)
enter "$root" "$project" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt "${environment[@]}" "$@"
