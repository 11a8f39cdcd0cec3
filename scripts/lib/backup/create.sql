-- Makes the empty database `new` beside `db`, with the owner, the rights, the extensions and the settings that `db` is to have again.
\set ON_ERROR_STOP on
\if :{?facts}
\else
\set facts `cat facts.json`
\endif
-- extensions of `db`, for what comes from a server that had fewer
SELECT coalesce((:'facts'::json ->> 'foreign')::boolean, false) AND EXISTS (SELECT FROM pg_database WHERE datname = :'db') AS foreign \gset
\set added '[]'
\if :foreign
\connect :"db"
SELECT json_agg(json_build_object('name', extname, 'schema', nspname)) AS added FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace \gset
\connect postgres
\endif
SELECT coalesce((SELECT rolname FROM pg_database JOIN pg_roles ON pg_roles.oid = datdba WHERE datname = :'db'), :'db' || '_owner') AS owner \gset
DROP DATABASE IF EXISTS :"new" WITH (FORCE);
CREATE DATABASE :"new" OWNER :"owner" TEMPLATE template0;
REVOKE ALL ON DATABASE :"new" FROM PUBLIC;
SELECT format('GRANT %s ON DATABASE %I TO %I', privilege_type, :'new', rolname)
FROM pg_database, aclexplode(datacl) JOIN pg_roles ON pg_roles.oid = grantee WHERE datname = :'db' AND rolname <> :'owner' \gexec
-- values of these are lists, and stand as they are
SELECT format('%s SET %I TO %s', CASE WHEN role IS NULL THEN format('ALTER DATABASE %I', :'new') ELSE format('ALTER ROLE %I IN DATABASE %I', role, :'new') END,
  name, CASE WHEN name IN ('search_path', 'local_preload_libraries', 'session_preload_libraries', 'temp_tablespaces') THEN value ELSE quote_literal(value) END)
FROM json_to_recordset(:'facts'::json -> 'settings') AS one (role text, name text, value text) \gexec
\connect :"new"
SELECT format('CREATE SCHEMA IF NOT EXISTS %I AUTHORIZATION %I', schema, :'owner'), format('CREATE EXTENSION %I SCHEMA %I', name, schema)
FROM json_to_recordset(:'facts'::json -> 'extensions') AS one (name text, schema text)
WHERE schema <> 'pg_catalog' \gexec
SELECT format('CREATE EXTENSION IF NOT EXISTS %I SCHEMA %I', name, schema) FROM json_to_recordset(:'added'::json) AS one (name text, schema text)
WHERE schema <> 'pg_catalog' \gexec
