#!/bin/sh
# Takes databases over from volumes that are older than the roles of init.sh: each is dumped by a server of its own on the old volume, which is then kept as
# <volume>-old, and restored into a new volume as its application's own role. The stack is stopped; `make up` afterwards.
# Usage: take-over.sh PROJECT MODE DATABASE=IMAGE …   The dumps, <database>.dump, are left here. Run again after a failure it goes on.
set -eu
umask 077
project=$1 mode=$2
shift 2
scripts=$(cd "$(dirname "$0")/../../../scripts" && pwd)

# Its user was called like the database.
dump() {
  server=$(docker run --detach --network none --volume "$1:/var/lib/postgresql/data" "$2")
  trap 'docker rm --force --volumes "$server" >/dev/null' EXIT
  # shellcheck disable=SC2016 # the container's shell reads it
  docker exec "$server" sh -c 'until pg_isready -q -h 127.0.0.1 -U "$0"; do sleep 1; done
    exec pg_dump -U "$0" -d "$0" --format=custom --no-owner --no-privileges --exclude-extension="*"' "$3" >"$3.dump.new"
  docker exec -i "$server" pg_restore --list <"$3.dump.new" >/dev/null
  docker stop --time 60 "$server" >/dev/null
  docker rm --volumes "$server" >/dev/null
  trap - EXIT
  mv "$3.dump.new" "$3.dump"
}

docker compose -p "$project" down
for one; do
  database=${one%%=*} image=${one#*=}
  volume=${project}_$database-db-data
  echo "▶ $database" >&2
  if [ ! -f "$database.dump" ]; then dump "$volume" "$image" "$database"; fi
  if [ ! -f "$database.kept" ]; then
    docker volume create "$volume-old" >/dev/null
    docker run --rm --network none --user 0:0 --entrypoint cp --volume "$volume:/from:ro" --volume "$volume-old:/to" "$image" -a /from/. /to/
    docker volume rm "$volume" >/dev/null
    touch "$database.kept"
  fi
  (cd "$scripts/.." && node --import=tsx scripts/up.ts "$mode" "$database-db")
  docker compose -p "$project" exec -T "$database-db" pg_restore -U "${database}_a" -d "$database" --no-owner --no-privileges --exit-on-error --single-transaction <"$database.dump"
  rm "$database.kept"
  mv "$database.dump" "$database.restored"
done
