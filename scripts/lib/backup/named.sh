#!/bin/sh
# Lists the files that the database NEW names, as QUERY says; none where there is no TABLE. DATABASE is the folder below /backup.
set -eu
umask 077
# shellcheck source=scripts/lib/backup/measure.sh
. /kgc/measure.sh
mkdir -p "/backup/${DATABASE:?}"
export PGHOST="${PGHOST:-127.0.0.1}" PGUSER="${FROM_LOGIN:-${DATABASE}_backup}"
psql --no-psqlrc --quiet --tuples-only --no-align --set table="$TABLE" --set query="$QUERY" --dbname "${FROM_DATABASE:-$NEW}" --file /kgc/named.sql >"/backup/$DATABASE/named"
measure "$DATABASE/named"
