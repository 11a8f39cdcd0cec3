-- Gives the restored database its name and keeps the one before under another, both or neither. Its services are down; what else is connected
-- (monitoring) is cut off.
\set ON_ERROR_STOP on
SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname IN (:'db', :'new') AND pid <> pg_backend_pid();
BEGIN;
SELECT format('ALTER DATABASE %I RENAME TO %I', :'db', :'old') WHERE EXISTS (SELECT FROM pg_database WHERE datname = :'db') \gexec
ALTER DATABASE :"new" RENAME TO :"db";
COMMENT ON DATABASE :"db" IS :'comment';
COMMIT;
