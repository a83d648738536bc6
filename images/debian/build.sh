#!/bin/bash
# Builds a Debian image like those for clouds, from the distribution's packages, for the tests:
#
#   images/debian/build.sh OUT.qcow2
#
# It has systemd, cloud-init, the guest's agent and an SSH server, and takes some minutes. It needs
# root, and does nothing when OUT.qcow2 is newer than the recipe.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=images/disk.sh
. "$recipe/../disk.sh"
readonly disk_mib=3072

# With ifupdown cloud-init would take that, and systemd-networkd would wait for its network in vain.
readonly packages=systemd,systemd-sysv,systemd-resolved,dbus,udev,linux-image-cloud-amd64,initramfs-tools,grub-pc-bin,cloud-init,cloud-guest-utils,netplan.io,openssh-server,qemu-guest-agent,iproute2,iputils-ping,sudo,ca-certificates,kmod,procps,less,e2fsprogs,fdisk

say() { echo "debian: $*"; }
die() {
	echo "debian: $*" >&2
	exit 1
}

[ $# -eq 1 ] || die "usage: $0 OUT.qcow2"
readonly out=$1
if [ "$out" -nt "$recipe/build.sh" ] && [ "$out" -nt "$recipe/../disk.sh" ]; then
	say "ok, $out is up to date"
	exit
fi
[ "$(id -u)" -eq 0 ] || die "run this as root: it runs the set-up of packages in a separate folder"
# shellcheck source=/dev/null
. /etc/os-release
[ "$ID" = debian ] || die "this recipe takes the packages of the Debian that it runs on, and this is $ID"
command -v mmdebstrap >/dev/null || die "missing: mmdebstrap. Run: apt-get install mmdebstrap"
# shellcheck disable=SC2016 # expanded by apt
mirror=$(apt-get indextargets --format '$(SITE)' "Created-By: Packages" "Origin: Debian" "Codename: $VERSION_CODENAME" | head -n 1)
[ -n "$mirror" ] || die "apt has no mirror for $VERSION_CODENAME: run apt-get update"

mkdir -p "$(dirname "$out")"
work=$(mktemp -d "$(dirname "$(realpath "$out")")/.debian.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT

say "building $out"
# shellcheck disable=SC2016 # expanded by the hooks' shell
mmdebstrap --quiet --mode=root --variant=minbase --include="$packages" \
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
	--essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"; printf "COMPRESS=zstd\nMODULES=most\n" >"$1/etc/initramfs-tools/conf.d/image"' \
	--customize-hook='echo "LABEL=root / ext4 defaults,errors=remount-ro 0 1" >"$1/etc/fstab"' \
	--customize-hook='rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/hostname"; : >"$1/etc/machine-id"' \
	--customize-hook='ln -sf ../run/systemd/resolve/stub-resolv.conf "$1/etc/resolv.conf"' \
	--customize-hook='printf "datasource_list: [ NoCloud, None ]\nlocale: false\n" >"$1/etc/cloud/cloud.cfg.d/90_image.cfg"' \
	--customize-hook='mkdir -p "$1/boot/grub"; printf "linux /vmlinuz root=LABEL=root ro console=tty0 console=ttyS0,115200n8 net.ifnames=0 quiet\ninitrd /initrd.img\nboot\n" >"$1/boot/grub/grub.cfg"' \
	--customize-hook='chroot "$1" systemctl --quiet enable serial-getty@ttyS0.service systemd-networkd.service' \
	"$VERSION_CODENAME" "$work/root" "$mirror"
rm -rf --one-file-system "${work:?}"/root/dev/*
make_root "$work/root" "$work/root.img" $((disk_mib - 1)) 64
lay_disk "$work" "$work/root/usr/lib/grub/i386-pc" "$disk_mib" -c
mv "$work/out.qcow2" "$out"
say "built $out: $(($(stat -c %s "$out") >> 20)) MiB, Debian $VERSION_ID"
