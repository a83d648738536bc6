#!/bin/bash
# Unpacks guacd, Guacamole's proxy daemon, with VNC support, for the tests that look at a guest's
# screen through it:
#
#   deploy/guacd.sh
#
# guacd comes from Debian 11, the last release that has it, with every library that it needs,
# because it shows a black screen with a newer libvncclient. All of it goes to .cache/guacd, and the
# tests run .cache/guacd/guacd. It needs no root, and changes nothing outside .cache.
set -euo pipefail
export LC_ALL=C PATH=$PATH:/usr/sbin:/sbin
script=$(realpath "${BASH_SOURCE[0]}")
cd "$(dirname "$script")/.."

readonly suite=bullseye keyring=/usr/share/keyrings/debian-archive-keyring.gpg
readonly packages=(guacd libguac-client-vnc0)
readonly cache=$PWD/.cache made_by=.made-by
# What the set-up of an earlier version added to the system.
readonly earlier=(/etc/apt/sources.list.d/sandboxlabs-guacd.sources /etc/apt/preferences.d/sandboxlabs-guacd)

die() {
	echo "guacd: $1" >&2
	[ $# -lt 2 ] || echo "guacd: $2" >&2
	exit 1
}

# mirrors prints where the packages may be: at the mirror of this system, if it is Debian, and at
# Debian's own servers, the last of which keeps releases that have reached their end.
mirrors() {
	# shellcheck disable=SC2016 # apt expands it
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1
	echo http://deb.debian.org/debian
	echo http://archive.debian.org/debian
}

# configure DIRECTORY gives apt separate lists, cache and state there. Proxies and
# certificates stay those of the system.
configure() {
	mkdir -p "$1"/{lists/partial,archives/partial}
	: >"$1/status"
	cat >"$1/apt.conf" <<-CONF
		#clear APT::Update;
		#clear APT::Architectures;
		#clear DPkg;
		APT::Architecture "amd64";
		APT::Architectures { "amd64"; };
		APT::Install-Recommends "false";
		APT::Sandbox::User "";
		APT::Update::Error-Mode "any";
		Acquire::Languages "none";
		Debug::NoLocking "true";
		Dir::Etc::sourcelist "$1/own.sources";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		Dir::State "$1";
		Dir::State::status "$1/status";
		Dir::Cache "$1";
	CONF
}

# download DIRECTORY MIRROR fetches the packages and all that they depend on.
download() {
	cat >"$1/own.sources" <<-SOURCE
		Types: deb
		URIs: $2
		Suites: $suite
		Components: main
		Signed-By: $keyring
	SOURCE
	apt-get -qq -c "$1/apt.conf" update && apt-get -qq -c "$1/apt.conf" -y --download-only install "${packages[@]}" >/dev/null
}

# unpack ARCHIVES ROOT
unpack() {
	local archive
	mkdir "$2"
	for archive in "$1"/*.deb; do
		dpkg-deb --extract "$archive" "$2"
	done
	rm -rf "${2:?}"/usr/share/{doc,locale,man}
}

# write_start FILE writes the program that runs guacd with Debian 11's loader and libraries only.
write_start() {
	cat >"$1" <<-'START'
		#!/bin/sh
		root=$(dirname "$(readlink -f "$0")")/root
		libraries=$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu
		exec "$root/lib/x86_64-linux-gnu/ld-2.31.so" --library-path "$libraries:$root/usr/lib/x86_64-linux-gnu/pulseaudio" "$root/usr/sbin/guacd" "$@"
	START
	chmod +x "$1"
}

fetched() {
	local mirror
	while read -r mirror; do
		[ -n "$mirror" ] || continue
		download "$work/apt" "$mirror" && return
		echo "guacd: $mirror does not have it" >&2
	done < <(mirrors)
	return 1
}

[ "$(uname -m)" = x86_64 ] || die "this machine is $(uname -m), and the packages are for x86-64"
mkdir -p "$cache"
exec 9>"$cache/guacd.lock"
flock 9
made=$(sha256sum <"$script")
[ "$(cat "$cache/guacd/$made_by" 2>/dev/null)" != "$made" ] || exit 0

[ -r "$keyring" ] || die "$keyring is not there" "Install the package debian-archive-keyring."
for file in "${earlier[@]}"; do
	[ ! -e "$file" ] || echo "guacd: $file is from an earlier version and not needed any more; you may delete it"
done
echo "guacd: downloading Debian 11's guacd into .cache/guacd"
work=$(mktemp -d "$cache/guacd.XXXXXX")
trap 'rm -rf "$work"' EXIT
configure "$work/apt"
fetched || die "the packages could not be downloaded" "See the messages above; is a Debian mirror reachable?"
unpack "$work/apt/archives" "$work/root"
rm -rf "$work/apt"
write_start "$work/guacd"
"$work/guacd" -v >/dev/null || die "guacd was unpacked, and does not run" "Try it: $cache/guacd/guacd -v"
echo "$made" >"$work/$made_by"
chmod 755 "$work"
rm -rf "$cache/guacd"
mv "$work" "$cache/guacd"
