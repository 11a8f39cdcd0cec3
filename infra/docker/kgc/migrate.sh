#!/bin/sh
# Brings KGC's database to the schema of this image, and says what it does. Run by the service kgc-migrate.
# KGC's migrations have no baseline: on an empty database they fail, so the schema is pushed and they are marked as applied.
# Nothing here accepts data loss.
set -eu
cd /app

if [ -n "${KGC_MIGRATE_COMMAND:-}" ]; then
  echo "migrate: KGC_MIGRATE_COMMAND: $KGC_MIGRATE_COMMAND"
  exec sh -c "$KGC_MIGRATE_COMMAND"
fi

# shellcheck disable=SC2016 # what stands in quotes is JavaScript
count='const { PrismaClient } = require("@prisma/client")
const db = new PrismaClient()
db.$queryRawUnsafe("select count(*)::int as n from information_schema.tables where table_schema = current_schema()")
  .then(rows => console.log(rows[0].n)).finally(() => db.$disconnect())'
tables=$(node -e "$count")

if [ "$tables" != 0 ]; then
  echo "migrate: $tables tables found, applying new migrations"
  exec npx prisma migrate deploy
fi

echo "migrate: the database is empty, pushing the schema and marking all migrations as applied"
npx prisma db push --skip-generate
for folder in prisma/migrations/*/; do
  npx prisma migrate resolve --applied "$(basename "$folder")"
done
