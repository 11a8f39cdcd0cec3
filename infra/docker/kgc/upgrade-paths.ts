// The version step that no PostgreSQL survives, KGC's or another application's.
import { forbidPostgresMajor } from '../../../scripts/lib/deploy/preflight/upgrade-paths.ts'

export const upgradePaths = [forbidPostgresMajor(/(^|\/)postgres$/)]
