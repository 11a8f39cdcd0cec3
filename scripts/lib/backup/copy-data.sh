#!/bin/sh
# Copies the data of a database's volume, which nobody runs on, from /volume/$FOLDER to /backup/$NAME, for a server of its own: the volume is only
# read. The copy lets everybody in who is in its own network, which has nobody else.
set -eu
# shellcheck source=scripts/lib/backup/measure.sh
. /kgc/measure.sh
: "${NAME:?}"
from=/volume${FOLDER:-}
if [ ! -s "$from/PG_VERSION" ]; then
  echo "error: there is no database in the volume${FOLDER:+, in its folder $FOLDER}" >&2
  exit 1
fi
require_room "$(du -sk "$from" | awk '{ print $1 * 1024 }')"
rm -rf "/backup/$NAME"
cp -a "$from" "/backup/$NAME"
rm -f "/backup/$NAME/postmaster.pid"
printf 'local all all trust\nhost all all 127.0.0.1/32 trust\n' >"/backup/$NAME/pg_hba.conf"
cat "/backup/$NAME/PG_VERSION"
