// Version steps that Chatwoot does not survive.
import {
  forbidDowngrade,
  forbidPostgresMajor,
  type UpgradeRule,
} from '../../../scripts/lib/deploy/preflight/upgrade-paths.ts'
import { isVersionBefore } from '../../../scripts/lib/version.ts'

export const upgradePaths: UpgradeRule[] = [
  {
    image: /(^|\/)chatwoot$/,
    // https://github.com/chatwoot/chatwoot/issues/12088
    forbids: (from, to) =>
      isVersionBefore(from, [4, 1, 0]) && isVersionBefore([4, 1, 0], to)
        ? 'Chatwoot must run v4.1.0 before 4.2 or later: deploy v4.1.0 first'
        : undefined,
  },
  // https://github.com/chatwoot/chatwoot/issues/9614
  forbidDowngrade(
    /(^|\/)chatwoot$/,
    'Chatwoot cannot be downgraded: its migrations cannot be undone; restore a backup of that version',
  ),
  forbidPostgresMajor(/(^|\/)pgvector$/, /\bpg(\d+)/),
]
