// Version steps that Chatwoot does not survive.
import {
  isVersionBefore,
  type UpgradeRule,
} from '../../../scripts/lib/deploy/preflight/upgrade-paths.ts'

export const upgradePaths: UpgradeRule[] = [
  {
    image: /(^|\/)chatwoot$/,
    // https://github.com/chatwoot/chatwoot/issues/12088
    forbids: (from, to) =>
      isVersionBefore(from, [4, 1, 0]) && isVersionBefore([4, 1, 0], to)
        ? 'Chatwoot goes to 4.2 and later by way of v4.1.0: deploy that first'
        : undefined,
  },
  {
    image: /(^|\/)chatwoot$/,
    // https://github.com/chatwoot/chatwoot/issues/9614
    forbids: (from, to) =>
      isVersionBefore(to, from) && `${to[0]}.${to[1]}` !== `${from[0]}.${from[1]}`
        ? 'Chatwoot does not go back: its migrations have no way back; restore a backup of that version'
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
