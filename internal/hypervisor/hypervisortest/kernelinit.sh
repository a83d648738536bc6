#!/bin/sh
# The only program of a guest that the tests start without a disk.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do
	case $module in virtio.ko | virtio_ring.ko | virtio_pci*) insmod "/modules/$module" ;; esac
done </modules/order
insmod /modules/virtio_console.ko

# shellcheck disable=SC2013 # the command line is words
for word in $(cat /proc/cmdline); do
	case $word in agent=*) agent=${word#agent=} ;; esac
done

if [ -n "$agent" ]; then
	until name=$(grep -l guest_agent /sys/class/virtio-ports/*/name); do usleep 50000; done
	port=${name%/name}
	exec 3<>"/dev/${port##*/}"
fi
echo "guest=ready" >/dev/console
case $agent in
"" | silent) while :; do sleep 3600; done ;;
esac
while :; do
	# If no program is listening, a read returns immediately.
	read -r ask <&3 || {
		usleep 100000
		continue
	}
	case $ask in
	*guest-sync*)
		id=${ask##*:}
		echo "{\"return\":${id%%\}*}}" >&3
		;;
	*guest-network-get-interfaces*)
		[ "$agent" = deaf ] ||
			echo "{\"return\":[{\"name\":\"eth0\",\"ip-addresses\":[{\"ip-address-type\":\"ipv4\",\"prefix\":24,\"ip-address\":\"$agent\"}]}]}" >&3
		;;
	esac
done
