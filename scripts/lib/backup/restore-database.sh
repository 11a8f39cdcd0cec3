#!/bin/sh
# Restores /backup/$DATABASE into the database NEW beside it, and counts its rows as dump.sh did. LOGIN is the role of its application.
# MASKED: it is to be masked; the server learns nothing of its values before.
set -eu
umask 077
: "${DATABASE:?}"
# shellcheck source=scripts/lib/backup/measure.sh
. /kgc/measure.sh
cd "/backup/$DATABASE"
export PGHOST="${PGHOST:-127.0.0.1}"
# whose superuser does not come in by the network has made the empty database before
if [ -n "${POSTGRES_USER-}" ]; then
  PGUSER=$POSTGRES_USER psql --no-psqlrc --quiet --tuples-only --no-align --set db="$DATABASE" --set new="$NEW" --dbname postgres --file /kgc/create.sql >&2
fi
# what is of a server with other roles gets the rights that the database has which is there
foreign=
if grep -qE '"foreign" *: *true' facts.json; then
  foreign=yes
  ask() { PGUSER=$LOGIN psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 "$@"; }
  ask --dbname "$DATABASE" --file /kgc/rights.sql >rights
  ask --dbname "$NEW" --file rights >&2
fi
# as its application, which owns all of it: a dump is no way to become superuser
pg_restore --username "$LOGIN" --dbname "$NEW" --no-owner ${foreign:+--no-privileges} --exit-on-error --jobs 2 dump >&2
if [ -z "${MASKED:-}" ]; then PGUSER=$LOGIN psql --no-psqlrc --quiet --dbname "$NEW" --command ANALYZE >&2 2>/dev/null; fi
PGUSER=${DATABASE}_backup psql --no-psqlrc --quiet --tuples-only --no-align --dbname "$NEW" --file /kgc/tables.sql >restored
measure "$DATABASE/restored"
