// Deploys an environment to Kubernetes as one guarded change: refuses before it touches, puts back
// what it broke, says what serves.
import { flag, runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/deploy.ts <environment> [--tag SHA] [--dry-run] [--prune] [--yes] [--again --reason TEXT]
       npx zx scripts/deploy.ts <environment> --lock|--unlock --reason TEXT

Puts the manifests of infra/k8s/overlays/<environment> in place: databases, then migrations, then the applications, then the edge. Waits
until all is ready and stays so, and proves it by the smoke test. When something fails, its cause and log are shown and what was
changed goes back to the release before.
  environment   demo, staging or production: a folder of infra/k8s/overlays with an environment.yaml
  --tag SHA     the commit of the images that are built of one; without it the one that an .env.example in infra/docker pins,
                and when none does they stay as they serve
  --dry-run     ends after the plan, nothing is touched
  --again       deploys a commit or a tag though it is older than what serves: one that has served before, or an ancestor in git; where that
                cannot be told it is asked at a terminal, elsewhere refused (rollback.ts is the way back)
  --prune       removes also more than three objects that the last release had and this one has not
  --yes         does not ask where the environment is protected
  --lock        holds the environment for as long as it takes: nobody deploys; --unlock ends that, or the lock of whoever holds it
  --reason T    why, for those who are refused, and for the list of releases
With GITHUB_TOKEN (or GH_TOKEN) and GITHUB_REPOSITORY set it records a deployment at GitHub, and asks there whether the environment that
comes before (promotedFrom: in environment.yaml) had this commit; with GITHUB_STEP_SUMMARY it adds its result to the job's summary.`,
  exitCodes: [0, 2, 3, 4, 5, 6, 7, 130],
  options: {
    'dry-run': flag,
    yes: flag,
    prune: flag,
    lock: flag,
    unlock: flag,
    again: flag,
    tag: text,
    reason: text,
  },
  run: async given => (await import('./lib/commands/deploy.ts')).runDeployCommand(given),
})
