// How far the database is migrated.
import type { SmokeContext } from '../../../scripts/lib/checks.ts'
import { migrationsIn } from '../../../scripts/lib/product.ts'

export const head = (context: SmokeContext) => migrationsIn(context, 'twenty-db', 'twenty', 'core._typeorm_migrations')
