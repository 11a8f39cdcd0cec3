#!/bin/sh
# Goes before the image's entrypoint, which takes every volume with a PG_VERSION for a whole one: a first start that was interrupted is begun again.
# No data is lost: in initdb there are no databases but PostgreSQL's own (1, 4 and 5), and while init.sh works, which its mark says, the server
# listens on the socket alone.
set -eu
data=${PGDATA:-/var/lib/postgresql/data}

interrupted() {
  if [ ! -d "$data/base" ] || [ -s "$data/kgc-database.json" ]; then return 1; fi
  if [ -e "$data/kgc-first-start" ]; then return 0; fi
  # what cannot be read is not taken for empty
  databases=$(cd "$data" && ls base && ls pg_tblspc) || return 1
  ! printf '%s\n' "$databases" | grep -qvE '^(1|4|5)?$'
}

if interrupted; then
  echo 'the first start was interrupted before anybody could log in: it is begun again' >&2
  rm -rf "${data:?}"/*
fi
exec docker-entrypoint.sh "$@"
