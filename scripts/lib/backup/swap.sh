#!/bin/sh
# Swaps the database NEW for DATABASE, which is called OLD then (swap.sql). What connects in between is cut off again.
set -eu
: "${DATABASE:?}"
for _ in 1 2 3 4 5 6 7 8 9 10; do
  if PGHOST=127.0.0.1 psql --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname postgres --set db="$DATABASE" --set new="$NEW" --set old="$OLD" \
    --set comment="$COMMENT" --file /kgc/swap.sql >&2; then exit 0; fi
  sleep 1
done
exit 1
