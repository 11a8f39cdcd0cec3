// How far the database is migrated.
import type { SmokeContext } from '../../../scripts/lib/checks.ts'
import { migrationsIn } from '../../../scripts/lib/product.ts'

export const head = (context: SmokeContext) => migrationsIn(context, 'horilla-db', 'horilla', 'django_migrations')
