#!/bin/bash
# Runs a command as a member of group libvirt, which a login from before the set-up is not yet:
#
#   deploy/with-libvirt.sh COMMAND...
set -euo pipefail

if [ "$(id -u)" -eq 0 ] || id -nG | grep -qw libvirt || ! id -nG "$(id -un)" | grep -qw libvirt; then
	exec "$@"
fi
exec sg libvirt -c "exec $(printf '%q ' "$@")"
