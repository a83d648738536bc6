#!/bin/bash
# Runs once, when PostgreSQL makes its database: after Guacamole's tables, before
# anybody can connect. It gives Guacamole's first administrator a password of
# its own instead of the known one, and SandboxLabs a role with the rights that
# it needs.
set -euo pipefail

psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
	-v admin="$GUACADMIN_PASSWORD" -v role="$SANDBOXLABS_DB_PASSWORD" <<'END'
WITH salt AS (SELECT sha256(gen_random_uuid()::text::bytea) AS salt)
UPDATE guacamole_user u
   SET password_salt = salt.salt, password_date = now(),
       password_hash = sha256((:'admin' || upper(encode(salt.salt, 'hex')))::bytea)
  FROM salt, guacamole_entity e
 WHERE e.entity_id = u.entity_id AND e.name = 'guacadmin';
CREATE ROLE sandboxlabs_guacamole LOGIN PASSWORD :'role';
END
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --file /role/guacamole-role.sql
