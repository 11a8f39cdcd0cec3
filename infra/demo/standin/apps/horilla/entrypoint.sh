#!/bin/sh
# Waits for the database by DB_HOST and DB_PORT, migrates and collects the static files unless HORILLA_SKIP_RELEASE_TASKS is 1, then runs the command.
set -e
/opt/standin/bin/node /opt/standin/main.mjs entrypoint "$@"

tries=0
until nc -z -w 1 "$DB_HOST" "$DB_PORT" 2>/dev/null; do
  tries=$((tries + 1))
  if [ "$tries" -ge 30 ]; then
    echo "no database at $DB_HOST:$DB_PORT after 30 tries" >&2
    exit 1
  fi
  sleep 1
done

if [ "$HORILLA_SKIP_RELEASE_TASKS" != 1 ]; then
  python manage.py migrate --noinput
  python manage.py collectstatic --noinput --clear
fi
exec "$@"
