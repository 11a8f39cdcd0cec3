// Deploys an environment to Kubernetes as one guarded change: refuses before it touches, restores
// what it broke, says what serves.
import { flag, runCommand, text } from './lib/cli.ts'

await runCommand({
  usage: `Usage: npx zx scripts/deploy.ts <environment> [--tag SHA] [--dry-run] [--prune] [--yes] [--again --reason TEXT]
       npx zx scripts/deploy.ts <environment> --lock|--unlock --reason TEXT

Puts the manifests of infra/k8s/overlays/<environment> in place: databases, then migrations, then the applications, then the edge. Waits
until everything is ready and stays ready, then runs the smoke test. If something fails, it shows the cause and the log and puts
the last good release back.
Before it migrates data it takes a proven backup of it (environment.yaml, backup:), which the release names; a backup that fails is a refusal.
  environment   demo, staging or production: a folder of infra/k8s/overlays with an environment.yaml
  --tag SHA     the commit of the images that are built from source; without it the commit that an .env.example in infra/docker
                pins, or else that of the images that serve now
  --dry-run     ends after the plan, nothing is touched
  --again       deploys a commit or a tag although it is older than the release that serves: one that served before, or an ancestor in git.
                Where that is not known, a terminal is asked, and a workflow is refused (to go back use rollback.ts)
  --prune       allows the removal of more than three objects that only the last release had
  --yes         does not ask for confirmation where the environment is protected
  --lock        locks the environment without a time limit: no deploy starts; --unlock ends this lock or any other
  --reason T    why; shown to those who are refused, and in the list of releases
With GITHUB_TOKEN (or GH_TOKEN) and GITHUB_REPOSITORY it records a deployment on GitHub, and checks there that the environment
in promotedFrom: (environment.yaml) had this commit; with GITHUB_STEP_SUMMARY it adds its result to the job's summary.`,
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
