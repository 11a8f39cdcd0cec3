#!/bin/sh
# Waits for PostgreSQL and the gems, then runs the command. It does not migrate: that is db:chatwoot_prepare.
set -e
echo 'waiting for PostgreSQL'
until pg_isready -q -h "$POSTGRES_HOST" -p "${POSTGRES_PORT:-5432}" -U "$POSTGRES_USERNAME"; do sleep 2; done
echo 'PostgreSQL accepts connections'
until bundle check; do sleep 2; done
exec "$@"
