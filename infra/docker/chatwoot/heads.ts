// How far the database is migrated.
import type { SmokeContext } from '../../../scripts/lib/smoke/checks.ts'
import { migrationsIn } from '../../../scripts/lib/deploy/product.ts'

export const head = (context: SmokeContext) =>
  migrationsIn(context, 'chatwoot-db', 'schema_migrations')
