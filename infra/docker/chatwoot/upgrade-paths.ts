// Version steps that Chatwoot does not survive.
import type { UpgradeRule } from '../../../scripts/lib/deploy/preflight/upgrade-paths.ts'
import { isSameMinor, isVersionBefore } from '../../../scripts/lib/version.ts'

export const upgradePaths: UpgradeRule[] = [
  {
    image: /(^|\/)chatwoot$/,
    // https://github.com/chatwoot/chatwoot/issues/12088
    forbids: (from, to) =>
      isVersionBefore(from, [4, 1, 0]) && isVersionBefore([4, 1, 0], to)
        ? 'Chatwoot must run v4.1.0 before 4.2 or later: deploy v4.1.0 first'
        : undefined,
  },
  {
    image: /(^|\/)chatwoot$/,
    // https://github.com/chatwoot/chatwoot/issues/9614
    forbids: (from, to) =>
      isVersionBefore(to, from) && !isSameMinor(from, to)
        ? 'Chatwoot cannot be downgraded: its migrations cannot be undone; restore a backup of that version'
        : undefined,
  },
  {
    image: /(^|\/)pgvector$/,
    version: /\bpg(\d+)/,
    forbids: (from, to) =>
      from[0] !== to[0]
        ? `PostgreSQL ${to[0]} does not read the data of ${from[0]}: back up, deploy with a new volume, restore`
        : undefined,
  },
]
