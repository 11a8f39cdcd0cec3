#!/bin/sh
# Run once by the image's entrypoint, when a database's volume is made: as superuser, over the socket, before the server listens on the network.
set -e

kgc_sql() { psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" "$@"; }

# What the volume was made with, for who finds it without a server.
kgc_sql --command "SELECT json_build_object('encoding', pg_encoding_to_char(encoding), 'provider', CASE datlocprovider WHEN 'i' THEN 'icu' WHEN 'c' THEN 'libc'
  ELSE 'builtin' END, 'locale', datlocale, 'version', datcollversion) FROM pg_database WHERE datname = current_database()" >"$PGDATA/kgc-database.json"
