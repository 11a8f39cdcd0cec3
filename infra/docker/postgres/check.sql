-- Whether a server from outside has what an application needs, asked as the role that it logs in with (managed.sql makes it). Ends with an error that
-- names each missing grant; what nothing needs yet (monitoring, dumps, order) is a warning.
--   psql -v ON_ERROR_STOP=1 -v extensions='uuid-ossp pgcrypto' -v app=true -f check.sql -U kgc_a -d kgc
\if :{?extensions} \else \set extensions '' \endif
\if :{?app} \else \set app false \endif
SELECT set_config('kgc.extensions', :'extensions', false), set_config('kgc.app', :'app', false) \gset
DO $$
DECLARE
  db text := current_database();
  missing text;
  weak text;
BEGIN
  WITH roles AS (SELECT format('%I', db) AS name, format('%I', db || '_owner') AS owner, to_regrole(format('%I', db || '_b'))::oid AS b, to_regrole(format('%I', db || '_app'))::oid AS app,
    to_regrole(format('%I', db || '_monitor'))::oid AS monitor, to_regrole(format('%I', db || '_backup'))::oid AS backup),
  asked (needed, fine, words) AS (
    SELECT true, current_user = db || '_owner', format('ALTER ROLE %I SET role TO %s', session_user, owner) FROM roles
    UNION ALL SELECT true, NOT (rolsuper OR rolbypassrls), format('ALTER ROLE %I NOSUPERUSER NOBYPASSRLS', session_user) FROM pg_roles WHERE rolname = session_user
    UNION ALL SELECT true, has_database_privilege(db, 'CREATE'), format('ALTER DATABASE %s OWNER TO %s', name, owner) FROM roles
    UNION ALL SELECT true, has_schema_privilege('public', 'CREATE'), format('GRANT ALL ON SCHEMA public TO %s', owner) FROM roles
    UNION ALL SELECT true, EXISTS (SELECT FROM pg_extension WHERE extname = wanted), format('CREATE EXTENSION %I, in the database %I, as one who may', wanted, db)
      FROM regexp_split_to_table(current_setting('kgc.extensions'), ' +') AS wanted WHERE wanted <> ''
    UNION ALL SELECT true, app IS NOT NULL AND has_database_privilege(app, db, 'CONNECT') AND has_schema_privilege(app, 'public', 'USAGE'),
      format('CREATE ROLE %I LOGIN with CONNECT on the database and USAGE on its schema public', db || '_app') FROM roles WHERE current_setting('kgc.app')::boolean
    UNION ALL SELECT false, b IS NOT NULL AND pg_has_role(b, owner, 'MEMBER') AND EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = b AND setconfig::text ~ 'role='),
      format('CREATE ROLE %I LOGIN IN ROLE %s, and ALTER ROLE … SET role TO %s', db || '_b', owner, owner) FROM roles
    UNION ALL SELECT false, monitor IS NOT NULL AND pg_has_role(monitor, 'pg_monitor', 'MEMBER'), format('GRANT pg_monitor TO %I', db || '_monitor') FROM roles
    UNION ALL SELECT false, backup IS NOT NULL AND pg_has_role(backup, 'pg_read_all_data', 'MEMBER'), format('GRANT pg_read_all_data TO %I', db || '_backup') FROM roles
    UNION ALL SELECT false, coalesce((SELECT rolbypassrls FROM pg_roles WHERE oid = backup), false), format('ALTER ROLE %I BYPASSRLS', db || '_backup') FROM roles
    UNION ALL SELECT false, datlocprovider = 'i' AND datlocale = 'hu-HU', format('%I was not made with ICU and hu-HU', db) FROM pg_database WHERE datname = db)
  SELECT string_agg(words, '; ') FILTER (WHERE needed), string_agg(words, '; ') FILTER (WHERE NOT needed) INTO missing, weak FROM asked WHERE NOT fine;
  IF weak IS NOT NULL THEN RAISE WARNING 'not there, and not needed to start: %', weak; END IF;
  IF missing IS NOT NULL THEN RAISE EXCEPTION 'missing: %', missing; END IF;
END
$$;
\echo the roles and extensions are there
