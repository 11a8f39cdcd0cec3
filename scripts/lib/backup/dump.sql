-- Holds a snapshot, lets pg_dump dump in it, and counts in it (dump.sh). Writers go on meanwhile.
\set ON_ERROR_STOP on
\if :{?foreign}
\else
\set foreign ''
\endif
SET statement_timeout = 0;
SET lock_timeout = '60s';
SET idle_in_transaction_session_timeout = 0;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_export_snapshot() AS snapshot \gset
\setenv SNAPSHOT :snapshot
-- the backup role may not read them (pg_read_all_data does not, PostgreSQL 17), and no count of rows would prove them
SELECT count(*) AS objects, count(*) > 0 AS any_objects FROM pg_largeobject_metadata \gset
\if :any_objects
\warn 'error:' :objects 'large objects are in the database, which no backup saves'
DO $$ BEGIN RAISE EXCEPTION 'large objects'; END $$;
\endif
-- extensions belong to the superuser: a restore makes them before (create.sql)
\! pg_dump --format=custom --compress=zstd --snapshot="$SNAPSHOT" --exclude-extension='*' --lock-wait-timeout=60s --no-password --file=dump
\if :SHELL_ERROR
DO $$ BEGIN RAISE EXCEPTION 'pg_dump did not end well'; END $$;
\endif
\o tables
\ir tables.sql
\o facts.json
SELECT json_build_object(
  'server', current_setting('server_version'),
  'encoding', pg_encoding_to_char(encoding),
  -- by name: PostgreSQL 15 and 16 say daticulocale, older ones know libc alone
  'provider', CASE coalesce(facts ->> 'datlocprovider', 'c') WHEN 'i' THEN 'icu' WHEN 'c' THEN 'libc' ELSE 'builtin' END,
  'locale', coalesce(facts ->> 'datlocale', facts ->> 'daticulocale', datcollate),
  'collationVersion', coalesce(facts ->> 'datcollversion', ''),
  'libc', substring(version() FROM ' on ([^,]*),'),
  'bytes', pg_database_size(pg_database.oid),
  -- of a server whose roles are not those here
  'foreign', :'foreign' = 'yes',
  'extensions', (SELECT coalesce(json_agg(json_build_object('name', extname, 'version', extversion, 'schema', nspname) ORDER BY extname), '[]')
    FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname <> 'plpgsql'),
  -- pg_dump leaves these out
  'settings', (SELECT coalesce(json_agg(json_build_object('role', rolname, 'name', split_part(one, '=', 1), 'value', substr(one, strpos(one, '=') + 1))), '[]')
    FROM pg_db_role_setting LEFT JOIN pg_roles ON pg_roles.oid = setrole, unnest(setconfig) AS one WHERE setdatabase = pg_database.oid
    AND (setrole = 0 OR :'foreign' <> 'yes')))
FROM pg_database, to_jsonb(pg_database) AS facts WHERE datname = current_database();
\o
COMMIT;
