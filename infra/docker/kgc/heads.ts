// How far the database is migrated.
import type { SmokeContext } from '../../../scripts/lib/checks.ts'
import { migrationsIn } from '../../../scripts/lib/product.ts'

export const head = (context: SmokeContext) => migrationsIn(context, 'kgc-db', 'kgc', '_prisma_migrations')
