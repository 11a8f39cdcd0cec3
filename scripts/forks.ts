// The applications' source: how the forks are, how they come here, how they take another release.
import { flag, runCommand } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/forks.ts status [FORK …] [--json]
       npx zx scripts/forks.ts init [FORK …] [--dry-run] [--yes] [--json]
       npx zx scripts/forks.ts bump FORK [TAG] [--dry-run] [--yes] [--json]

  status        the commit that is pinned, upstream's newest release, how many releases it is behind by, the fork's own commits, whether image
                and source agree, published advisories, tags that have moved. Exit 3 when something is wrong or could not be asked
  init          makes the organisation's forks that are missing, points .gitmodules at them, and fetches of each the pinned commit alone.
                The same command goes on with what was interrupted
  bump          takes a release, the newest without TAG: source, image in Compose and Kubernetes, and docs, on a branch of their own; merges
                the fork's own commits, and opens a pull request with the release's notes. A tag that has moved is refused
  --dry-run     says what it would do
  --yes         does not ask before what others see: a fork, a push, a pull request. Without a terminal these need it

GITHUB_TOKEN, GH_TOKEN or gh's own log-in asks GitHub; status does without where all is public. git uses its own log-in. docs/forks.md`,
  exitCodes: [0, 2, 3, 4, 5, 7, 130],
  options: { 'dry-run': flag, yes: { ...flag, short: 'y' } },
  run: async given => (await import('./lib/commands/forks.ts')).runForksCommand(given),
})
