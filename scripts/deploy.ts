// Deploys an environment to Kubernetes as one guarded change: refuses before it touches, puts back
// what it broke, says what serves.
// Usage: npx zx scripts/deploy.ts <environment> [--tag SHA] [--again --reason TEXT] [--dry-run]
// [--json] [--yes] | --lock|--unlock --reason TEXT
// Exit codes: 0 2 3 4 5 6 7 130
import { parseArgs } from 'node:util'
import { readScriptArguments, wantsHelp } from './lib/arguments.ts'
import { exit, exitHelp } from './lib/errors.ts'

if (wantsHelp()) {
  console.log(`Usage: npx zx scripts/deploy.ts <environment> [--tag SHA] [--dry-run] [--prune] [--yes] [--again --reason TEXT]
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
  --json        NDJSON events on stdout
With GITHUB_TOKEN (or GH_TOKEN) and GITHUB_REPOSITORY set it records a deployment at GitHub, and asks there whether the environment that
comes before (promotedFrom: in environment.yaml) had this commit; with GITHUB_STEP_SUMMARY it adds its result to the job's summary.

${exitHelp(0, 2, 3, 4, 5, 6, 7, 130)}`)
  process.exit(exit.done)
}

const { Failure } = await import('./lib/errors.ts')
const { holdLock, forceUnlock } = await import('./lib/deploy/lock/manual-lock.ts')
const { loadEnvironment } = await import('./lib/kubernetes/environment.ts')
const { emit, setJsonOutput, main, printResult } = await import('./lib/report.ts')
const { deploy } = await import('./lib/deploy/deploy.ts')

await main(async () => {
  const flag = { type: 'boolean' } as const
  const text = { type: 'string' } as const
  const options = {
    json: flag,
    'dry-run': flag,
    yes: flag,
    prune: flag,
    lock: flag,
    unlock: flag,
    again: flag,
    tag: text,
    reason: text,
  } as const
  const { values, positionals } = parseArgs({
    args: readScriptArguments(),
    allowPositionals: true,
    options,
  })
  setJsonOutput(Boolean(values.json))
  const place = loadEnvironment(positionals[0])
  const by = values.lock || values.unlock
  if (
    positionals.length > 1 ||
    (values.lock && values.unlock) ||
    (by && values['dry-run']) ||
    (by && values.again) ||
    Boolean(by || values.again) !== Boolean(values.reason?.trim()) ||
    (values.tag !== undefined && !/^[\w][\w.-]{0,127}$/.test(values.tag))
  )
    throw new Failure(
      exit.usage,
      'Read the arguments',
      'one environment; --tag wants a tag; --lock, --unlock and --again want --reason, nothing else does; a lock knows no --dry-run',
      {
        next: 'npx zx scripts/deploy.ts --help',
      },
    )
  if (by) {
    const words = await (values.lock ? holdLock : forceUnlock)(place, values.reason!)
    emit('result', { environment: place.name, lock: words })
    return printResult(`${place.name}: ${words}`)
  }

  const { tag, prune = false, yes = false } = values
  const source = { tag, again: values.again ? values.reason : undefined }
  await deploy(
    { place, verb: 'deploy', source, choose: () => undefined, prune, yes },
    { dryRun: Boolean(values['dry-run']) },
  )
})
