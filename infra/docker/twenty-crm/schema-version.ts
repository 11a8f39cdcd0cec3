// How far the database is migrated.
import type { SmokeContext } from '../../../scripts/lib/smoke/checks.ts'
import { summarizeMigrations } from '../../../scripts/lib/deploy/verify/schema-versions.ts'

// the upgrade commands that ran; `isInitial` is written for each workspace that is made, and
// core._typeorm_migrations is frozen since 2.x
const commands = '(SELECT DISTINCT name, status FROM core."upgradeMigration" WHERE NOT "isInitial")'

export const schemaVersion = (context: SmokeContext) =>
  summarizeMigrations(context, 'twenty-db', commands)
