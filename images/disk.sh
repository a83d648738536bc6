# shellcheck shell=bash
# What the recipes of images share. They source it.

# make_root TREE FILE MIB JOURNAL_MIB makes an ext4 file system labelled `root` of a folder. With a
# small journal it cannot grow. Run it where the folder's owners are right: as root, or below fakeroot.
make_root() {
	truncate -s "$3M" "$2"
	# GRUB reads neither a stored checksum seed nor orphan files, and takes a block at a time, of which
	# small file systems have small ones; no lazy work is left to every overlay.
	mkfs.ext4 -q -F -L root -m 0 -b 4096 -O ^metadata_csum_seed,^orphan_file -J size="$4" \
		-E lazy_itable_init=0,lazy_journal_init=0 -d "$1" "$2"
}

# lay_disk DIR GRUB MIB [OPTION...] makes DIR/out.qcow2, with qemu-img's options: a disk of that size
# with the file system DIR/root.img in its one partition. GRUB, from the folder of its modules, goes
# into the gap before that, laid down by hand: grub-install would want a mounted filesystem. It boots
# by /boot/grub/grub.cfg.
lay_disk() {
	local dir=$1 grub=$2 early
	early=$(dirname "${BASH_SOURCE[0]}")/grub/early.cfg
	truncate -s "$3M" "$dir/disk.raw"
	echo 'start=2048, type=83, bootable' | sfdisk -q "$dir/disk.raw"
	dd if="$dir/root.img" of="$dir/disk.raw" bs=1M seek=1 conv=notrunc,sparse status=none

	# The prefix names no disk, so GRUB takes the one that the firmware booted.
	grub-mkimage -d "$grub" -O i386-pc -p '(,msdos1)/boot/grub' -c "$early" -o "$dir/core.img" \
		biosdisk part_msdos ext2 linux linux16 normal boot configfile serial terminal echo
	if [ "$(stat -c %s "$dir/core.img")" -gt $((2047 * 512)) ]; then
		echo "GRUB does not fit before the partition" >&2
		return 1
	fi
	dd if="$grub/boot.img" of="$dir/disk.raw" bs=440 count=1 conv=notrunc status=none
	dd if="$dir/core.img" of="$dir/disk.raw" bs=512 seek=1 conv=notrunc status=none

	qemu-img convert "${@:4}" -O qcow2 "$dir/disk.raw" "$dir/out.qcow2"
	chmod 644 "$dir/out.qcow2"
}
