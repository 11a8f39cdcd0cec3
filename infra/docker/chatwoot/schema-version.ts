// How far the database is migrated.
import type { SmokeContext } from '../../../scripts/lib/smoke/checks.ts'
import { summarizeMigrations } from '../../../scripts/lib/deploy/verify/schema-versions.ts'

export const schemaVersion = (context: SmokeContext) =>
  summarizeMigrations(context, 'chatwoot-db', 'schema_migrations')
