#!/bin/bash
# Builds the micro image from the distribution's packages:
#
#   images/micro/build.sh OUT.qcow2
#
# It needs no root, no loop device and no mount, and does nothing when OUT.qcow2 was made from this
# recipe and these package versions already. rootfs/ is laid over the guest's root as it is.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C

recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=images/disk.sh
. "$recipe/../disk.sh"
readonly disk_mib=512 limit_mib=40

# What it takes to find the root filesystem; then what a running guest uses; then drivers that
# only some distributions' kernels have. A kernel may have any of them built in.
readonly boot_modules=(virtio_pci virtio_blk virtio_scsi sd_mod sr_mod ata_piix)
readonly guest_modules=(virtio_net virtio_console virtio-rng virtio_balloon virtio_input button evdev
	isofs vfat nls_cp437 nls_ascii nls_iso8859-1 nls_utf8)
readonly spare_modules=(ahci e1000 e1000e)

say() { echo "micro: $*"; }
die() {
	echo "micro: $*" >&2
	exit 1
}

check_tools() {
	local tool missing=()
	for tool in apt-get apt-cache dpkg-deb fakeroot mkfs.ext4 sfdisk grub-mkimage depmod modprobe qemu-img xz zstd; do
		command -v "$tool" >/dev/null || missing+=("$tool")
	done
	[ ${#missing[@]} -eq 0 ] || die "missing: ${missing[*]}. Run: deploy/setup.sh"
	[ "$(dpkg --print-architecture)" = amd64 ] || die "this recipe makes an x86-64 image and needs an amd64 machine"
}

# apt_options holds what makes apt work as whoever calls it. Root's downloads would be handed to
# the user _apt, which can't write to our directory.
apt_options=(-o APT::Sandbox::User="$(id -un)")
apt_get() { apt-get -qq "${apt_options[@]}" "$@"; }
apt_cache() { apt-cache "${apt_options[@]}" "$@"; }

# use_own_lists DIR fetches package lists into DIR, for when the machine's are missing or too old.
use_own_lists() {
	mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
	apt_options+=(-o Dir::State::Lists="$1/lists" -o Dir::Cache="$1/cache")
	apt_get update || die "the package lists could not be fetched: is the distribution's mirror reachable?"
}

# kernel_package prints the name of the package that holds the newest small kernel.
kernel_package() {
	local meta
	for meta in linux-image-cloud-amd64 linux-image-virtual linux-image-kvm; do
		apt_cache depends --important "$meta" 2>/dev/null |
			sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1 | grep . && return
	done
	return 1
}

# packages prints "NAME VERSION" of each package that goes into the image.
packages() {
	local kernel names found
	kernel=$(kernel_package) || return 1
	names=$({
		echo "$kernel"
		# Ubuntu has a separate package for the modules; other systems don't.
		apt_cache depends --important "$kernel" | sed -n 's/^ *Depends: \(linux-modules-[0-9][^ ]*\)$/\1/p'
		printf '%s\n' busybox-static grub-pc-bin dropbear-bin
		apt_cache depends --recurse --important dropbear-bin | grep '^[a-z]'
		# What this pre-depends on is for its init scripts, which stay out.
		apt_cache depends --recurse --important --no-pre-depends qemu-guest-agent | grep '^[a-z]'
	} | sort -u)
	# shellcheck disable=SC2086 # one word for each package
	found=$(apt_cache show --no-all-versions $names | awk '$1 == "Package:" { name = $2 } $1 == "Version:" { print name, $2 }')
	[ "$(wc -l <<<"$found")" -eq "$(wc -l <<<"$names")" ] || return 1
	echo "$found"
}

# fingerprint PACKAGES prints a digest of the recipe and the package versions.
fingerprint() {
	{
		echo "$1"
		cd "$recipe"
		find ../disk.sh ../grub build.sh initramfs rootfs -type f -printf '%m %p\n' -exec sha256sum {} + | sort
	} | sha256sum | cut -d ' ' -f 1
}

# download PACKAGES fetches the packages into $work/debs.
download() {
	local names
	mapfile -t names <<<"$1"
	rm -rf "$work/debs"
	mkdir "$work/debs"
	(cd "$work/debs" && apt_get download "${names[@]/ /=}")
}

# unpack puts the packages into $work/kernel and $work/packages.
unpack() {
	local deb
	mkdir "$work/kernel" "$work/packages"
	for deb in "$work"/debs/*.deb; do
		case $deb in
		*/linux-*) dpkg-deb -x "$deb" "$work/kernel" ;;
		*) dpkg-deb -x "$deb" "$work/packages" ;;
		esac
	done
	# Newer distributions ship everything below /usr.
	if [ -d "$work/kernel/usr/lib/modules" ] && [ ! -e "$work/kernel/lib/modules" ]; then
		mkdir -p "$work/kernel/lib"
		ln -s ../usr/lib/modules "$work/kernel/lib/modules"
	elif [ ! -e "$work/kernel/usr/lib/modules" ]; then
		mkdir -p "$work/kernel/usr/lib"
		ln -s ../../lib/modules "$work/kernel/usr/lib/modules"
	fi
	release=$(ls "$work/kernel/lib/modules")
	busybox=$(find "$work/packages" -path '*bin/busybox' -type f)
	depmod -b "$work/kernel" "$release"
}

# module_files NAME... prints the files of the modules and of what they need, in the order of loading.
module_files() {
	local name listing
	for name in "$@"; do
		listing=$(modprobe -d "$work/kernel" -S "$release" -D "$name" 2>/dev/null) || {
			[[ " ${spare_modules[*]} " == *" $name "* ]] && continue
			die "the kernel $release has no module $name"
		}
		awk '$1 == "insmod" { print $2 }' <<<"$listing"
	done | awk '!seen[$0]++'
}

# add_module FILE DIR copies a module, uncompressed: insmod of busybox takes nothing else.
add_module() {
	local name=${1##*/}
	case $name in
	*.xz) xz -dc "$1" >"$2/${name%.xz}" ;;
	*.zst) zstd -qdc "$1" >"$2/${name%.zst}" ;;
	*.gz) gzip -dc "$1" >"$2/${name%.gz}" ;;
	*) cp "$1" "$2/$name" ;;
	esac
}

make_initramfs() {
	local tree=$work/initramfs file name
	mkdir -p "$tree"/{bin,dev,proc,sys,newroot,modules}
	cp "$recipe/initramfs/init" "$tree/init"
	cp "$busybox" "$tree/bin/busybox"
	ln -s busybox "$tree/bin/sh"
	: >"$tree/modules/order"
	module_files "${boot_modules[@]}" >"$work/boot-modules"
	while read -r file; do
		add_module "$file" "$tree/modules"
		name=${file##*/}
		echo "${name%.ko*}.ko" >>"$tree/modules/order"
	done <"$work/boot-modules"
	(cd "$tree" && find . | "$busybox" cpio -o -H newc -R 0:0 2>/dev/null | gzip -9) >"$work/initrd.gz"
}

# add_program FILE copies a program of the unpacked packages with the libraries that it loads,
# found by the unpacked loader itself, so that neither names nor the host's libraries matter.
add_program() {
	local root=$work/rootfs program=$work/packages/$1 loader libraries path
	[ -f "$program" ] || die "the packages hold no $1"
	mkdir -p "$root/$(dirname "$1")" "$root/lib64" "$root/lib/x86_64-linux-gnu"
	cp "$program" "$root/$1"
	loader=$(find "$work/packages" -name ld-linux-x86-64.so.2 -path '*x86_64*' | head -n 1)
	libraries=$work/packages/lib/x86_64-linux-gnu:$work/packages/usr/lib/x86_64-linux-gnu
	cp -L "$loader" "$root/lib64/ld-linux-x86-64.so.2"
	"$loader" --library-path "$libraries" --list "$program" | sed -n 's/.* => \([^ ]*\) .*/\1/p' >"$work/libraries"
	while read -r path; do
		[[ $path == "$work"/packages/* ]] || die "$1 needs ${path##*/}, which no package of the recipe holds"
		[ "${path##*/}" = ld-linux-x86-64.so.2 ] || cp -L "$path" "$root/lib/x86_64-linux-gnu/"
	done <"$work/libraries"
}

make_rootfs() {
	local root=$work/rootfs applet file
	mkdir -p "$root"/{bin,dev,mnt,proc,run,sys,tmp,root/.ssh,etc/dropbear,var/log,var/lib/seed} \
		"$root/lib/modules/$release"
	cp -r "$recipe/rootfs/." "$root"
	cp "$busybox" "$root/bin/busybox"
	for applet in $("$busybox" --list-full); do
		# Some builds list applets without a directory.
		[[ $applet == */* ]] || applet=bin/$applet
		mkdir -p "$root/${applet%/*}"
		[ -e "$root/$applet" ] || ln -s /bin/busybox "$root/$applet"
	done
	add_program usr/sbin/dropbear
	add_program usr/bin/dbclient
	add_program usr/sbin/qemu-ga
	ln -s dbclient "$root/usr/bin/ssh"

	module_files "${boot_modules[@]}" "${guest_modules[@]}" "${spare_modules[@]}" >"$work/guest-modules"
	while read -r file; do add_module "$file" "$root/lib/modules/$release"; done <"$work/guest-modules"
	cp "$work/kernel/lib/modules/$release"/modules.{builtin,builtin.modinfo,order} "$root/lib/modules/$release/"
	depmod -b "$root" "$release"
	cp "$work/kernel/boot/vmlinuz-$release" "$root/boot/vmlinuz"
	cp "$work/initrd.gz" "$root/boot/initrd.gz"

	chmod -R u=rwX,go=rX "$root"
	chmod 1777 "$root/tmp"
	chmod 700 "$root/root" "$root/root/.ssh"
	chmod 600 "$root/etc/shadow"
}

# make_disk OUT writes the image.
make_disk() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	fakeroot -- bash -ec 'chown -R 0:0 "$2"; . "$1/../disk.sh"; make_root "$2" "$3" "$4" 4' bash "$recipe" "$work/rootfs" "$work/root.img" $((disk_mib - 1))
	# Not compressed: a fifth of a boot would go into unpacking clusters where CPUs are emulated.
	lay_disk "$work" "$work/packages/usr/lib/grub/i386-pc" "$disk_mib"
	[ "$(stat -c %s "$work/out.qcow2")" -le $((limit_mib << 20)) ] || die "the image is larger than $limit_mib MiB"
	mv "$work/out.qcow2" "$1"
}

[ $# -eq 1 ] || die "usage: $0 OUT.qcow2"
readonly out=$1
check_tools
mkdir -p "$(dirname "$out")"
work=$(mktemp -d "$(dirname "$(realpath "$out")")/.micro.XXXXXX")
trap 'rm -rf "$work"' EXIT

wanted=$(packages) || {
	say "the machine's package lists do not do; fetching lists"
	use_own_lists "$work/apt"
	wanted=$(packages) || die "the distribution has no kernel, busybox-static, dropbear-bin or grub-pc-bin for this recipe"
}
print=$(fingerprint "$wanted")
if [ -f "$out" ] && [ "$(cat "$out.stamp" 2>/dev/null)" = "$print" ]; then
	say "ok, $out is up to date"
	exit
fi

say "building $out"
download "$wanted" || {
	say "the machine's package lists are out of date; fetching lists"
	use_own_lists "$work/apt"
	wanted=$(packages) || die "the distribution has no package for this recipe"
	print=$(fingerprint "$wanted")
	download "$wanted" || die "the packages could not be downloaded: is the distribution's mirror reachable?"
}
unpack
make_initramfs
make_rootfs
rm -f "$out.stamp"
make_disk "$out"
echo "$print" >"$out.stamp"
say "built $out: $(($(stat -c %s "$out") >> 20)) MiB, kernel $release"
