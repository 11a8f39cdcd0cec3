// The version step that no PostgreSQL survives, KGC's or another application's.
import type { UpgradeRule } from '../../../scripts/lib/deploy/preflight/upgrade-paths.ts'

export const upgradePaths: UpgradeRule[] = [
  {
    image: /(^|\/)postgres$/,
    forbids: (from, to) =>
      from[0] !== to[0]
        ? `PostgreSQL ${to[0]} does not read the data of ${from[0]}: back up, deploy with a new volume, restore`
        : undefined,
  },
]
