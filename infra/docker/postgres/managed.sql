-- The roles and the database of one application on a managed server, where nobody is superuser: run by an administrator with CREATEROLE and CREATEDB.
--   DATABASE=kgc DATABASE_PASSWORD=… DATABASE_APP_PASSWORD=… DATABASE_EXTENSIONS='"uuid-ossp", pgcrypto' psql -h HOST -U ADMIN -d postgres -f managed.sql
-- What the server does not let the administrator give is said as a warning, with the grant that is missing; the rest is made. Run once for each database.
\set ON_ERROR_STOP on
\set app_password ''
\getenv db DATABASE
\getenv password DATABASE_PASSWORD
\getenv app_password DATABASE_APP_PASSWORD
\getenv extensions DATABASE_EXTENSIONS
SELECT :'db' || '_owner' AS owner, :'db' || '_a' AS a, :'db' || '_b' AS b, :'db' || '_monitor' AS monitor, :'db' || '_backup' AS backup,
  :'db' || '_app' AS app, :'app_password' <> '' AS with_app, current_user AS administrator \gset
CREATE ROLE :"owner" NOLOGIN;
-- who makes a database for another must be able to act as that one
GRANT :"owner" TO :"administrator";
CREATE ROLE :"a" LOGIN IN ROLE :"owner" PASSWORD :'password';
CREATE ROLE :"b" LOGIN IN ROLE :"owner";
ALTER ROLE :"a" SET role TO :"owner";
ALTER ROLE :"b" SET role TO :"owner";
CREATE ROLE :"monitor" LOGIN;
CREATE ROLE :"backup" LOGIN;
CREATE DATABASE :"db" OWNER :"owner" TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'hu-HU';
\connect :"db"
SET ROLE :"owner";
REVOKE ALL ON DATABASE :"db" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"db" TO :"monitor", :"backup";
RESET ROLE;
\if :with_app
  CREATE ROLE :"app" LOGIN PASSWORD :'app_password';
  SET ROLE :"owner";
  GRANT CONNECT ON DATABASE :"db" TO :"app";
  GRANT USAGE ON SCHEMA public TO :"app";
  ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO :"app";
  ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"app";
  ALTER DEFAULT PRIVILEGES GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO :"app";
  RESET ROLE;
\endif

-- what not every server lets its administrators give
\set ON_ERROR_STOP off
GRANT pg_monitor TO :"monitor";
GRANT pg_read_all_data TO :"backup";
ALTER ROLE :"backup" BYPASSRLS;
SELECT format('CREATE EXTENSION IF NOT EXISTS %s', trim(name)) FROM regexp_split_to_table(:'extensions', ',') AS name WHERE trim(name) <> '' \gexec
