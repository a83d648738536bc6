-- The rights that SandboxLabs needs in Guacamole's PostgreSQL database, and no
-- others: it cannot read password hashes, history, or the rows of other
-- extensions, and cannot make administrators.
--
-- Keep its password as you keep an administrator's. SandboxLabs changes only rows that
-- hold its attributes, but PostgreSQL grants by table and not by row: whoever has the
-- password can mark, rename and delete anybody's users and connections with it, or
-- take the name of an administrator whom they renamed.
--
-- Run it in Guacamole's database as the owner of its tables, after the tables are
-- there, and after a superuser (or a role with CREATEROLE) has made the role:
--
--   CREATE ROLE sandboxlabs_guacamole LOGIN PASSWORD '…';
--
-- It may be run again.

GRANT USAGE ON SCHEMA public TO sandboxlabs_guacamole;

GRANT SELECT, INSERT ON guacamole_connection_group, guacamole_connection_group_attribute TO sandboxlabs_guacamole;
GRANT SELECT, INSERT, UPDATE, DELETE ON guacamole_connection, guacamole_connection_parameter TO sandboxlabs_guacamole;
GRANT SELECT, INSERT, UPDATE ON guacamole_connection_attribute TO sandboxlabs_guacamole;
GRANT SELECT, INSERT, DELETE ON guacamole_connection_permission TO sandboxlabs_guacamole;
GRANT SELECT, INSERT ON guacamole_connection_group_permission TO sandboxlabs_guacamole;

GRANT SELECT, INSERT, UPDATE (name), DELETE ON guacamole_entity TO sandboxlabs_guacamole;
GRANT SELECT (user_id, entity_id), INSERT (entity_id, password_hash, password_salt, password_date) ON guacamole_user TO sandboxlabs_guacamole;
GRANT SELECT, INSERT ON guacamole_user_attribute TO sandboxlabs_guacamole;

GRANT USAGE ON SEQUENCE
  guacamole_connection_group_connection_group_id_seq,
  guacamole_connection_connection_id_seq,
  guacamole_entity_entity_id_seq,
  guacamole_user_user_id_seq
TO sandboxlabs_guacamole;
