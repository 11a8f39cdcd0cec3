// Version steps that Twenty does not survive.
import {
  forbidDowngrade,
  type UpgradeRule,
} from '../../../scripts/lib/deploy/preflight/upgrade-paths.ts'
import { isVersionBefore } from '../../../scripts/lib/version.ts'

export const upgradePaths: UpgradeRule[] = [
  {
    image: /(^|\/)twenty$/,
    // https://docs.twenty.com/developers/self-hosting/upgrade-guide
    forbids: (from, to) =>
      isVersionBefore(from, [1, 22, 0]) && (to[0] !== from[0] || to[1] > from[1] + 1)
        ? `Twenty before v1.22 must be upgraded one minor version at a time: deploy v${from[0]}.${from[1] + 1} next`
        : undefined,
  },
  // upgrade commands of a minor version change the schema, and nothing takes them back
  // (packages/twenty-server/docs/UPGRADE_COMMANDS.md)
  forbidDowngrade(
    /(^|\/)twenty$/,
    'Twenty cannot be downgraded: its upgrade commands cannot be undone; restore a backup of that version',
  ),
]
