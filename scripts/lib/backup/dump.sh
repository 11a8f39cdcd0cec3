#!/bin/sh
# Dumps DATABASE into /backup/$DATABASE and counts its rows in the same snapshot. Runs in a container of the database's own image that shares the
# network of the database's own container, or reaches it at PGHOST: the server's own tools, and nothing of it passes through a pipe.
# FROM_DATABASE and FROM_LOGIN: it is called otherwise there, and has not the roles of infra/docker/postgres/init.sh.
set -eu
umask 077
: "${DATABASE:?}"
# shellcheck source=scripts/lib/backup/measure.sh
. /kgc/measure.sh
mkdir "/backup/$DATABASE"
cd "/backup/$DATABASE"
export PGHOST="${PGHOST:-127.0.0.1}" PGUSER="${FROM_LOGIN:-${DATABASE}_backup}" PGDATABASE="${FROM_DATABASE:-$DATABASE}"
ask() { psql --no-psqlrc --quiet --tuples-only --no-align "$@"; }
# the dump, and the proof's database
require_room "$(ask --command 'SELECT 2 * pg_database_size(current_database())')"
ask --set foreign="${FROM_LOGIN:+yes}" --file /kgc/dump.sql >&2
measure "$DATABASE/dump" "$DATABASE/tables" "$DATABASE/facts.json"
