#!/bin/sh
# Takes people out of the database NEW, as /backup/$DATABASE/mask.json says. LOGIN is the role of its application. Prints what it did with which column.
set -eu
umask 077
cd "/backup/${DATABASE:?}"
export PGHOST="${PGHOST:-127.0.0.1}"

PGUSER=$LOGIN psql --no-psqlrc --quiet --tuples-only --no-align --dbname "$NEW" --file /kgc/mask.sql >masked
# shellcheck source=scripts/lib/backup/measure.sh
. /kgc/measure.sh
measure "$DATABASE/masked"
