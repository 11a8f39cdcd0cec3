// Puts an earlier release of an environment back, exactly as it was, under the same lock, watch and
// smoke as a deploy.
import { flag, runCommand } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/rollback.ts <environment> [RELEASE] [--accept-schema] [--dry-run] [--prune] [--yes]
       npx zx scripts/rollback.ts <environment> --list
       npx zx scripts/rollback.ts <environment> --diff A B

Restores a release with all its manifests: what was added since is removed, what was removed since comes back. Data stays, Secrets that are not
sealed stay, and migrations are not run: they cannot be undone.
  RELEASE           its number; without it the last one that served and is not the same as this
  --list            the releases that are kept
  --diff A B        what changed from release A to B
  --accept-schema   goes back although migrations have run since, or may have: the old version must work with the new schema
  --dry-run, --prune, --yes, --json, GITHUB_TOKEN, GITHUB_STEP_SUMMARY   as of deploy.ts`,
  exitCodes: [0, 2, 3, 4, 5, 6, 7, 130],
  options: {
    list: flag,
    diff: flag,
    'accept-schema': flag,
    'dry-run': flag,
    prune: flag,
    yes: flag,
  },
  run: async given => (await import('./lib/commands/rollback.ts')).runRollbackCommand(given),
})
