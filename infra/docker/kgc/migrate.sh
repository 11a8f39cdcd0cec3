#!/bin/sh
# Brings KGC's database to the schema of this image, and says what it does: the service and the Job kgc-migrate. `migrate.sh wait` waits for that.
# KGC's migrations have no baseline: on an empty database they fail, so the schema is pushed and they are marked as applied.
# Nothing here accepts data loss.
set -eu
cd /app

if [ -n "${KGC_MIGRATE_COMMAND:-}" ]; then
  # for its end can only wait who deploys
  if [ "${1:-}" = wait ]; then exit 0; fi
  echo "migrate: KGC_MIGRATE_COMMAND: $KGC_MIGRATE_COMMAND"
  exec sh -c "$KGC_MIGRATE_COMMAND"
fi

# What the database answers, a row a line.
ask() {
  # shellcheck disable=SC2016 # what stands in quotes is JavaScript
  node -e 'const { PrismaClient } = require("@prisma/client")
    const db = new PrismaClient()
    db.$queryRawUnsafe(process.argv[1]).then(rows => rows.forEach(({ answer }) => console.log(answer))).finally(() => db.$disconnect())' "$1"
}

# The migrations of this image that the database has not got. `prisma migrate status` cannot tell: it fails as long as any that failed stands
# there, also of another version, and counts one that was rolled back as applied (packages/migrate/src/commands/MigrateStatus.ts of Prisma).
missing() {
  applied=
  if [ "$(ask "select (to_regclass('_prisma_migrations') is not null)::text as answer")" = true ]; then
    applied=$(ask "select migration_name as answer from _prisma_migrations m where finished_at is not null and to_jsonb(m) ->> 'rolled_back_at' is null") || return 1
  fi
  for folder in prisma/migrations/*/; do
    if [ -d "$folder" ] && ! printf '%s\n' "$applied" | grep -qxF "$(basename "$folder")"; then basename "$folder"; fi
  done
}

# Whether a migration that the database refused, with this code, has changed nothing. Prisma sends its file as one simple query, and PostgreSQL runs that as
# one transaction unless it holds one of these words (https://www.postgresql.org/docs/17/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT). Without a
# code, or with that of a broken connection, nobody knows how it ended.
changed_nothing() {
  case $2 in 08* | 57P* | 40003) return 1 ;; [0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z]) ;; *) return 1 ;; esac
  if [ ! -f "prisma/migrations/$1/migration.sql" ]; then return 1; fi
  words='begin|start|commit|end|rollback|abort|prepare|concurrently|vacuum|call|do|execute|program|dblink[a-z_]*|database|tablespace|system'
  if grep -qiwE "$words" "prisma/migrations/$1/migration.sql"; then return 1; fi
}

resolve_by_hand() {
  echo "migrate: $1 failed and may have changed something; until it is resolved no other migration runs (P3009). Look at what it left behind, then:"
  command="npx prisma migrate resolve --rolled-back $1"
  if [ -n "${KUBERNETES_SERVICE_HOST:-}" ]; then echo "  kubectl --namespace NAMESPACE exec deployment/kgc-api --container kgc-api -- env HOME=/tmp $command"
  else echo "  docker compose run --rm kgc-migrate $command   (infra/docker/kgc/README.md: Database)"; fi
}

if [ "${1:-}" = wait ]; then
  until left=$(missing) && [ -z "$left" ]; do
    echo "migrate: waiting for $(echo "${left:-the database}" | tr '\n' ' ')"
    sleep 3
  done
  exit 0
fi

tables=$(ask 'select count(*)::text as answer from information_schema.tables where table_schema = current_schema()')
if [ "$tables" = 0 ]; then
  echo "migrate: the database is empty, pushing the schema and marking all migrations as applied"
  npx prisma db push --skip-generate
  for folder in prisma/migrations/*/; do
    npx prisma migrate resolve --applied "$(basename "$folder")"
  done
  exit 0
fi

echo "migrate: $tables tables found, applying new migrations"
{ if npx prisma migrate deploy 2>&1; then echo yes >/tmp/done; else echo no >/tmp/done; fi; } | tee /tmp/said
if [ "$(cat /tmp/done)" = yes ]; then exit 0; fi

refused=$(sed -n 's/^Migration name: //p' /tmp/said)
# shellcheck disable=SC2016 # Prisma's quotes
stands=$(sed -n 's/^The `\(.*\)` migration started at .* failed.*/\1/p' /tmp/said | head -n 1)
if [ -n "$refused" ]; then
  code=$(sed -n 's/^Database error code: //p' /tmp/said)
  if changed_nothing "$refused" "$code" && npx prisma migrate resolve --rolled-back "$refused"; then
    echo "migrate: $refused has changed nothing, the database took it back as a whole; the next migration tries it again"
  else
    resolve_by_hand "$refused"
  fi
elif [ -n "$stands" ]; then
  if left=$(missing) && [ -z "$left" ]; then
    echo "migrate: all migrations of this version are applied; $stands failed under another one and is not resolved"
    exit 0
  fi
  resolve_by_hand "$stands"
fi
exit 1
