#!/bin/sh
# Makes the file .env beside compose.yaml, with secrets of its own, unless it is
# there already.
set -eu

cd "$(dirname "$0")"
if [ -e .env ]; then
	echo "deploy/compose/.env is there already."
	exit 0
fi
secret() { openssl rand -hex "$1"; }
umask 077
cat >.env <<END
POSTGRES_PASSWORD=$(secret 24)
SANDBOXLABS_DB_PASSWORD=$(secret 24)
GUACADMIN_PASSWORD=$(secret 12)
# Guacamole's json-secret-key: whoever has it can be anybody in Guacamole.
JSON_SECRET_KEY=$(secret 16)
END
echo "Wrote deploy/compose/.env. GUACADMIN_PASSWORD in it is the password of Guacamole's own administrator, guacadmin."
