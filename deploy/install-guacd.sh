#!/bin/sh
# Installs guacd, Guacamole's proxy daemon, with its VNC support, for the tests
# that look at a guest's screen through it. Run as root; may be run again.
#
# Debian 12 has no guacd. Debian 11's runs beside it: its suite is added as a
# second source, pinned so low that nothing else is ever taken from it. Elsewhere
# nothing is installed, and the tests that need guacd say so and skip.
set -eu

guacd=/usr/sbin/guacd
source=/etc/apt/sources.list.d/sandboxlabs-guacd.sources
pin=/etc/apt/preferences.d/sandboxlabs-guacd

if [ -x "$guacd" ] && ls /usr/lib/*/libguac-client-vnc.so* >/dev/null 2>&1; then
	exit 0
fi

id='' version=''
if [ -r /etc/os-release ]; then
	# shellcheck source=/dev/null
	. /etc/os-release
	id=${ID:-} version=${VERSION_ID:-}
fi
if [ "$id" != debian ] || [ "$version" != 12 ]; then
	echo "guacd is not installed: this is ${id:-an unknown system} ${version}, and only for Debian 12 is a package of it known." >&2
	echo "The tests that need guacd are skipped. Guacamole itself runs from containers: see deploy/compose." >&2
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "install-guacd.sh: run it as root." >&2
	exit 1
fi

# The mirror is the one that Debian 12 itself comes from.
# shellcheck disable=SC2016 # apt expands it
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' 2>/dev/null | head -n 1)
cat >"$source" <<END
Types: deb
URIs: ${mirror:-http://deb.debian.org/debian/}
Suites: bullseye
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
cat >"$pin" <<END
Package: *
Pin: release n=bullseye
Pin-Priority: 50
END

apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -t bullseye guacd libguac-client-vnc0
# The package starts a daemon of its own where it can. The tests start theirs.
if [ -d /run/systemd/system ]; then
	systemctl disable --now guacd
fi
echo "guacd is installed: $("$guacd" -v 2>&1 | head -n 1)"
