#!/bin/bash
# Boots a micro image through libvirt, in software emulation, and tries what README.md promises:
#
#   images/micro/test.sh [IMAGE.qcow2]
set -euo pipefail
export LIBVIRT_DEFAULT_URI=qemu:///system LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
image=${1:-$here/../build/micro.qcow2}
name=sbt-${SANDBOXLABS_TEST_MARK:+$SANDBOXLABS_TEST_MARK-}micro-$$-$RANDOM
# Not in a private folder: the hypervisor's user has to get at the disks.
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/$name".XXXXXX)
chmod 755 "$dir"
readonly limit_mib=40

cleanup() {
	local status=$?
	trap '' INT TERM HUP
	virsh destroy "$name" >/dev/null 2>&1 || true
	virsh undefine "$name" >/dev/null 2>&1 || true
	if [ "$status" -ne 0 ] && [ -s "$dir/console.log" ]; then
		echo "micro test: the end of the serial console:" >&2
		tail -n 40 "$dir/console.log" >&2
	fi
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

passed() { printf "ok    %s (%s s)\n" "$*" "$SECONDS"; }
fail() {
	echo "FAIL  $*" >&2
	exit 1
}

# within SECONDS WHAT COMMAND... tries the command until it succeeds.
within() {
	local deadline=$((SECONDS + $1)) what=$2
	shift 2
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || fail "$what"
		sleep 0.2
	done
}

# console reads steps for console.py from standard input.
console() { python3 "$here/console.py" "$name" >>"$dir/console.log" || fail "$1"; }

# login waits for the prompt, logs in and leaves a prompt that the steps after it can rely on.
# shellcheck disable=SC2016 # expanded by the guest
login='expect login:
send root
expect :~#
send PS1=READY-\\$; echo here=$(tty)
expect here=/dev/ttyS0
expect READY-#'

# seeded, in the guest, waits until the seed has been dealt with.
# shellcheck disable=SC2016 # expanded by the guest
seeded='n=0; until [ -e /run/seed.done ] || [ $n -ge 300 ]; do n=$((n+1)); usleep 100000; done'

is_off() { [ "$(virsh domstate "$name" 2>/dev/null)" = "shut off" ]; }

# define SEED_XML (re)defines the machine with a disk or CD for the seed.
define() {
	cat >"$dir/domain.xml" <<-XML
		<domain type='qemu'>
		  <name>$name</name>
		  <memory unit='MiB'>256</memory>
		  <vcpu>1</vcpu>
		  <os><type arch='x86_64' machine='q35'>hvm</type></os>
		  <features><acpi/><apic/></features>
		  <devices>
		    <disk type='file' device='disk'>
		      <driver name='qemu' type='qcow2'/>
		      <source file='$dir/disk.qcow2'/>
		      <target dev='vda' bus='virtio'/>
		      <boot order='1'/>
		    </disk>
		    $1
		    $interface
		    <controller type='pci' index='0' model='pcie-root'/>
		    <controller type='pci' index='15' model='pcie-root-port'/>
		    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
		    <serial type='pty'/>
		    <console type='pty'/>
		    <graphics type='vnc' autoport='yes' listen='127.0.0.1'/>
		    <video><model type='vga'/></video>
		  </devices>
		</domain>
	XML
	if [ -n "${uuid:-}" ]; then sed -i "s|</name>|&<uuid>$uuid</uuid>|" "$dir/domain.xml"; fi
	virsh define "$dir/domain.xml" >/dev/null
	uuid=$(virsh domuuid "$name")
}

[ -f "$image" ] || fail "$image does not exist: run images/micro/build.sh first"
size=$(stat -c %s "$image")
[ "$size" -le $((limit_mib << 20)) ] || fail "the image has $((size >> 20)) MiB"
passed "size: $((size >> 20)) MiB, at most $limit_mib"

cp "$image" "$dir/base.qcow2"
chmod 644 "$dir/base.qcow2"
qemu-img create -q -f qcow2 -F qcow2 -b "$dir/base.qcow2" "$dir/disk.qcow2"
ssh-keygen -q -t ed25519 -N '' -f "$dir/key"

interface="<interface type='user'><model type='virtio'/></interface>"
networked=false
if virsh net-list --name | grep -qx default; then
	interface="<interface type='network'><source network='default'/><model type='virtio'/></interface>"
	networked=true
fi

# First boot: a script, in an ISO image on a virtio-scsi CD.
mkdir "$dir/seed"
printf 'instance-id: %s-1\nlocal-hostname: seeded-1\npublic-keys:\n  - %s\n' "$name" "$(cat "$dir/key.pub")" >"$dir/seed/meta-data"
printf '#!/bin/sh\necho run >>/root/runs\n' >"$dir/seed/user-data"
genisoimage -quiet -V cidata -J -r -o "$dir/seed.iso" "$dir/seed"
define "<controller type='scsi' model='virtio-scsi'/><disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='$dir/seed.iso'/><target dev='sda' bus='scsi'/><readonly/></disk>"
virsh start "$name" >/dev/null
started=$SECONDS

console "login on the serial console" <<<"$login"
passed "serial console: root logs in without a password, $((SECONDS - started)) s after the start"

console "job control" <<-'STEPS'
	send
	expect READY-#
	send sh -c 'echo up-$((1+1)); sleep 1000'
	expect up-2
	control z
	expect Stopped
	expect READY-#
	send bg; jobs
	expect Running
	expect READY-#
	send kill %1; sh -c 'echo up-$((2+2)); sleep 1000'
	expect up-4
	control c
	expect READY-#
	send echo interrupted=$?; stty rows 50 cols 132; stty size
	expect interrupted=130
	expect 50 132
STEPS
passed "job control: stop, continue, kill, interrupt; the terminal takes a size"

within 20 "no guest agent answers" virsh qemu-agent-command "$name" '{"execute":"guest-ping"}' >/dev/null 2>&1
virsh domifaddr "$name" --source agent | grep ' lo ' >/dev/null || fail "the guest agent tells no addresses"
passed "guest agent: answers, and tells addresses"

console "the seed" <<-STEPS
	send
	expect READY-#
	send $seeded; echo host=\$(hostname) runs=\$(cat /root/runs) keys=\$(wc -l </root/.ssh/authorized_keys)
	expect host=seeded-1 runs=run keys=1
STEPS
passed "seed: hostname, key and script from an ISO image on a virtio-scsi CD"

# lease prints the guest's address.
lease() { virsh domifaddr "$name" --source lease | sed -n 's|.* ipv4 *\([0-9.]*\)/.*|\1|p' | grep .; }
guest_ssh() {
	ssh -q -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5 \
		-o IdentitiesOnly=yes "$@" "root@$(lease)" "echo over=ssh"
}
if $networked; then
	within 20 "no DHCP lease" lease >/dev/null
	within 10 "no SSH with the seeded key" guest_ssh -i "$dir/key" >/dev/null
	methods=$({ ssh -v -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
		-o PreferredAuthentications=none "root@$(lease)" true 2>&1 || true; } | sed -n 's/.*Authentications that can continue: *//p' | tr -d '\r')
	[ "$methods" = publickey ] || fail "SSH offers: $methods"
	passed "network: a DHCP lease, and SSH with a key only"
else
	echo "skip  SSH: the libvirt network 'default' is not active"
fi

echo "$interface" >"$dir/interface.xml"
virsh attach-device "$name" "$dir/interface.xml" --live >/dev/null
console "a network interface that is attached" <<-'STEPS'
	send
	expect READY-#
	send n=0; until ip -4 -o addr show dev eth1 2>/dev/null | grep -q inet || [ $n -ge 200 ]; do n=$((n+1)); usleep 100000; done; echo eth1=$(ip -4 -o addr show dev eth1 | grep -c inet)
	expect eth1=1
STEPS
passed "network: a card that is plugged in asks for its address"

# Types root and a command on the keyboard of the VGA console.
type_keys() {
	local key
	for key in "$@"; do virsh send-key "$name" "KEY_$key" >/dev/null; done
}
type_keys R O O T ENTER
console "login on the VGA console" <<-'STEPS'
	send
	expect READY-#
	send n=0; until [ $(ps | grep -c '[l]ogin -- root') = 2 ] || [ $n -ge 100 ]; do n=$((n+1)); usleep 100000; done; echo logins=$(ps | grep -c '[l]ogin -- root')
	expect logins=2
STEPS
virsh screenshot "$name" "$dir/screen.png" >/dev/null
python3 - "$dir/screen.png" <<-'PYTHON' || fail "the screen is blank"
	import re, sys, zlib
	data = open(sys.argv[1], "rb").read()
	if data.startswith(b"\x89PNG"):
	    chunks, at = b"", 8
	    while at < len(data):
	        length = int.from_bytes(data[at:at + 4], "big")
	        if data[at + 4:at + 8] == b"IDAT":
	            chunks += data[at + 8:at + 8 + length]
	        at += length + 12
	    data = zlib.decompress(chunks)
	lit = len(data) - data.count(0)
	sys.exit(0 if lit > 1000 else f"only {lit} bytes are lit")
PYTHON
passed "VGA console: root logs in without a password, the screen shows text"

console "reboot" <<-STEPS
	send
	expect READY-#
	send echo kept >/root/kept; reboot
	$login
	send $seeded; echo kept=\$(cat /root/kept) runs=\$(cat /root/runs)
	expect kept=kept runs=run\r
STEPS
passed "reboot from the guest; files stay, the script is not run again"

console "a file before the shutdown" <<-STEPS
	send
	expect READY-#
	send echo again >/root/kept; echo written=\$?
	expect written=0
STEPS
virsh shutdown "$name" >/dev/null
within 30 "the power button does nothing" is_off
passed "power button: the guest shuts down"

# Second boot: another instance, #cloud-config, in a vfat image on a virtio disk.
cat >"$dir/seed/meta-data" <<-META
	instance-id: $name-2
	local-hostname: ignored
META
cat >"$dir/seed/user-data" <<-USER
	#cloud-config
	hostname: seeded-2
	ssh_authorized_keys:
	  - $(cat "$dir/key.pub")
	  - "ssh-ed25519 AAAAsecond second@test"
	runcmd:
	  - echo one >>/root/ran
	  - "echo \"two: quoted\" >>/root/ran"
	  - [ touch, /root/never ]
USER
truncate -s 1M "$dir/seed.vfat"
mkfs.vfat -n CIDATA "$dir/seed.vfat" >/dev/null
mcopy -i "$dir/seed.vfat" "$dir/seed/meta-data" "$dir/seed/user-data" ::
define "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='$dir/seed.vfat'/><target dev='vdb' bus='virtio'/><readonly/></disk>"
virsh start "$name" >/dev/null
console "second boot" <<-STEPS
	$login
	send $seeded; echo kept=\$(cat /root/kept) host=\$(hostname) keys=\$(wc -l </root/.ssh/authorized_keys) ran=\$(cat /root/ran)
	expect kept=again host=seeded-2 keys=2 ran=one two: quoted
STEPS
passed "second start: files stay; a new instance takes #cloud-config from a vfat disk"
virsh shutdown "$name" >/dev/null
within 30 "the second shutdown" is_off
