#!/bin/sh
# Goes before infra/docker/postgres/start.sh where the stack is monitored: gives <database>_monitor its password at each start, on volumes that were
# made before as well. On a first start it waits until the role is there.
set -eu

give_password() {
  # over TCP: the server of a first start listens on the socket alone
  until pg_isready -q -h 127.0.0.1; do sleep 1; done
  # the password comes by the environment, and no log or statistic repeats the statement
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv db POSTGRES_DB
\getenv password DATABASE_MONITOR_PASSWORD
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
SET log_min_duration_statement = -1;
SET pg_stat_statements.track_utility = 'off';
SELECT format('ALTER ROLE %I PASSWORD %L', :'db' || '_monitor', :'password') \gexec
SQL
}

# twice away: PostgreSQL takes the end of a child of its own that it does not know for a crash
(give_password &)
exec sh /kgc/start.sh "$@"
