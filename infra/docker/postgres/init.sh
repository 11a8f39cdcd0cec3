#!/bin/sh
# Run once by the image's entrypoint, when a database's volume is made: as superuser, over the socket, before the server listens on the network.
# Makes the roles of README.md for the database POSTGRES_DB, and DATABASE_EXTENSIONS in it.
set -e

# start.sh finds it when this is interrupted
echo 'init.sh is at work' >"$PGDATA/kgc-first-start"

kgc_sql() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" "$@"; }

for extension in ${DATABASE_EXTENSIONS:-}; do kgc_sql --command "CREATE EXTENSION IF NOT EXISTS \"$extension\""; done

# passwords come by the environment: never in an argument
kgc_sql <<'SQL'
\getenv db POSTGRES_DB
\getenv password POSTGRES_PASSWORD
\set app_password ''
\getenv app_password DATABASE_APP_PASSWORD
\set login ''
\getenv login DATABASE_LOGIN
SELECT :'db' || '_owner' AS owner, :'db' || '_a' AS a, :'db' || '_b' AS b, :'db' || '_monitor' AS monitor, :'db' || '_backup' AS backup,
  :'db' || '_app' AS app, :'app_password' <> '' AS with_app,
  CASE WHEN :'login' = :'db' || '_b' THEN :'login' ELSE :'db' || '_a' END AS login \gset
CREATE ROLE :"owner" NOLOGIN;
CREATE ROLE :"a" LOGIN IN ROLE :"owner";
CREATE ROLE :"b" LOGIN IN ROLE :"owner";
ALTER ROLE :"login" PASSWORD :'password';
ALTER ROLE :"a" SET role TO :"owner";
ALTER ROLE :"b" SET role TO :"owner";
CREATE ROLE :"monitor" LOGIN IN ROLE pg_monitor;
CREATE ROLE :"backup" LOGIN BYPASSRLS IN ROLE pg_read_all_data;
ALTER DATABASE :"db" OWNER TO :"owner";
REVOKE ALL ON DATABASE :"db" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"db" TO :"monitor", :"backup";
\if :with_app
  CREATE ROLE :"app" LOGIN PASSWORD :'app_password';
  GRANT CONNECT ON DATABASE :"db" TO :"app";
  GRANT USAGE ON SCHEMA public TO :"app";
  ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT USAGE ON SCHEMAS TO :"app";
  ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"app";
  ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO :"app";
\endif
-- the superuser comes in over the socket alone: the password that the entrypoint gave it is the application's
SELECT format('ALTER ROLE %I PASSWORD NULL', current_user) \gexec
SQL

# What the volume was made with, for who finds it without a server.
# PostgreSQL 16 says daticulocale.
kgc_sql --command "SELECT json_build_object('roles', current_database() || '_a', 'encoding', pg_encoding_to_char(encoding), 'provider', CASE datlocprovider
  WHEN 'i' THEN 'icu' WHEN 'c' THEN 'libc' ELSE 'builtin' END, 'locale', coalesce(facts ->> 'datlocale', facts ->> 'daticulocale'), 'version', datcollversion)
  FROM pg_database, to_jsonb(pg_database) AS facts WHERE datname = current_database()" >"$PGDATA/kgc-database.json"
rm "$PGDATA/kgc-first-start"
