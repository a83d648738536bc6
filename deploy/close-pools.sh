#!/bin/bash
# Closes the folders of storage pools to other users of this machine:
#
#   deploy/close-pools.sh POOL...
#
# The folder of a pool gets mode 0710 and the group that libvirt runs QEMU with: QEMU may pass
# through, nobody may list. It changes only folders that other users can enter, and that are named
# like their pool. Pools that do not exist are skipped. Run it as root, or as one who may use sudo.
set -euo pipefail
export LC_ALL=C

readonly uri=qemu:///system

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -- "$@"; fi; }
query() { as_root timeout 30 virsh -c "$uri" "$@" 2>/dev/null; }

group=$(query capabilities | sed -n "s,.*<baselabel type='qemu'>+[0-9]*:+\([0-9]*\)</baselabel>.*,\1,p")
if [ -z "$group" ]; then
	echo "close-pools: libvirt does not report the group of QEMU: no folder is changed" >&2
	exit 0
fi
for pool in "$@"; do
	folder=$(query pool-dumpxml "$pool" --xpath '/pool/target/path/text()') || continue
	mode=$(as_root stat -c %a -- "$folder" 2>/dev/null) || continue
	if [ $((8#$mode & 7)) -eq 0 ] || [ "${folder##*/}" != "$pool" ]; then continue; fi
	echo "close-pools: closing $folder to other users (mode 0710, group $group)"
	as_root chgrp -- "$group" "$folder"
	as_root chmod -- 0710 "$folder"
done
