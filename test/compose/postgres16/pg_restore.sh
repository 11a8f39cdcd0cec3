#!/usr/bin/env bash
# PostgreSQL 16's own client is not to be had: 17's writes SQL, and the one setting in it that 16 does not know is left out.
set -euo pipefail
options=()
while [ $# -gt 0 ]; do
  case $1 in
    --username) user=$2 && shift ;;
    --dbname) database=$2 && shift ;;
    --jobs) shift ;;
    --exit-on-error) ;;
    *) options+=("$1") ;;
  esac
  shift
done
/usr/lib/postgresql/17/bin/pg_restore "${options[@]}" --file - | sed '/^SET transaction_timeout/d' |
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${user:?}" --dbname "${database:?}" >/dev/null
