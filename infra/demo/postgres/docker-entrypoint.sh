#!/usr/bin/env bash
# Starts PostgreSQL as the official image does. On an empty PGDATA the cluster is made first, with a server on the socket only:
# POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_INITDB_ARGS (each also as …_FILE), POSTGRES_HOST_AUTH_METHOD,
# and the scripts of /docker-entrypoint-initdb.d.
set -Eeuo pipefail

# NAME_FILE names a file that holds the value of NAME.
read_file_variable() {
  local name=$1 file_name=$1_FILE
  if [ -n "${!name:-}" ] && [ -n "${!file_name:-}" ]; then
    echo "error: both $name and $file_name are set" >&2
    exit 1
  fi
  if [ -n "${!file_name:-}" ]; then export "$name"="$(< "${!file_name}")"; fi
  unset "$file_name"
}

sql() { psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --username "$POSTGRES_USER" --dbname "${1:-$POSTGRES_DB}" "${@:2}"; }

create_cluster() {
  # the password goes in by a descriptor: never in an argument or a file
  eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") '"${POSTGRES_INITDB_ARGS:-}"
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >> "$PGDATA/pg_hba.conf"
}

create_database() {
  local exists
  exists=$(sql postgres --tuples-only --no-align --set db="$POSTGRES_DB" <<< "SELECT 1 FROM pg_database WHERE datname = :'db'")
  if [ -z "$exists" ]; then sql postgres --set db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db"'; fi
}

run_scripts() {
  local script
  for script in /docker-entrypoint-initdb.d/*; do
    case $script in
      *.sh)
        echo "running $script"
        # shellcheck source=/dev/null
        if [ -x "$script" ]; then "$script"; else . "$script"; fi
        ;;
      *.sql) echo "running $script"; sql "$POSTGRES_DB" -f "$script" ;;
      *.sql.gz) echo "running $script"; gunzip -c "$script" | sql "$POSTGRES_DB" ;;
      */\*) ;;
      *) echo "ignoring $script" ;;
    esac
  done
}

initialise() {
  if [ -z "$POSTGRES_PASSWORD" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
    echo 'error: the database is not initialised and POSTGRES_PASSWORD is not set' >&2
    exit 1
  fi
  create_cluster
  # the socket only: a client that asks over TCP must not take this server for the real one
  PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -o "-c listen_addresses='' ${*:+$(printf '%q ' "$@")}" -w start
  create_database
  run_scripts
  PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -m fast -w stop
  echo 'PostgreSQL init process complete; ready for start up.'
}

if [ "${1:0:1}" = - ]; then set -- postgres "$@"; fi
if [ "$1" != postgres ]; then exec "$@"; fi

if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" && chmod 700 "$PGDATA"
  chown -R postgres:postgres "$PGDATA" /var/run/postgresql
  exec /usr/bin/setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  for name in POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_INITDB_ARGS; do read_file_variable $name; done
  : "${POSTGRES_USER:=postgres}" "${POSTGRES_PASSWORD:=}"
  : "${POSTGRES_DB:=$POSTGRES_USER}"
  export POSTGRES_USER POSTGRES_DB
  initialise "${@:2}"
fi

exec "$@"
