#!/bin/sh
# Writes the file .env beside compose.yaml, with new secrets and the release
# of this machine, unless it is there already.
set -eu

cd "$(dirname "$0")"
if [ -e .env ]; then
	echo "deploy/compose/.env is there already."
	exit 0
fi
secret() { openssl rand -hex "$1"; }
# The binary that was built here runs on the same release.
. /etc/os-release
case $ID in
ubuntu) base=ubuntu:$VERSION_ID ;;
*) base=debian:${VERSION_CODENAME:-bookworm}-slim ;;
esac
umask 077
cat >.env <<END
POSTGRES_PASSWORD=$(secret 24)
SANDBOXLABS_DB_PASSWORD=$(secret 24)
GUACADMIN_PASSWORD=$(secret 12)
# Guacamole's json-secret-key: whoever has it can be anybody in Guacamole.
JSON_SECRET_KEY=$(secret 16)
# What the service's container is made of.
SANDBOXLABS_BASE=$base
END
echo "Wrote deploy/compose/.env. GUACADMIN_PASSWORD in it is the password of Guacamole's own administrator, guacadmin."
