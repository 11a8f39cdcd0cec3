// Puts an earlier release of an environment back, exactly as it was, under the same lock, watch and
// smoke as a deploy.
// Usage: npx zx scripts/rollback.ts <environment> [RELEASE] [--accept-schema] | --list | --diff A B
// Exit codes: 0 2 3 4 5 6 7 130
import { parseArgs } from 'node:util'
import { readScriptArguments, wantsHelp } from './lib/arguments.ts'
import { exit, exitHelp } from './lib/errors.ts'

if (wantsHelp()) {
  console.log(`Usage: npx zx scripts/rollback.ts <environment> [RELEASE] [--accept-schema] [--dry-run] [--prune] [--yes]
       npx zx scripts/rollback.ts <environment> --list
       npx zx scripts/rollback.ts <environment> --diff A B

Puts back a release with all its manifests: what came since is removed, what was removed comes back. Data stays, Secrets that are not
sealed stay, and migrations are not run: they have no way back.
  RELEASE           its number; without it the last one that served and is not the same as this
  --list            the releases that are kept
  --diff A B        what changed from release A to B
  --accept-schema   goes back though migrations have run since, or may have: the old version must be able to work with the new schema
  --dry-run, --prune, --yes, --json, GITHUB_TOKEN, GITHUB_STEP_SUMMARY   as of deploy.ts

${exitHelp(0, 2, 3, 4, 5, 6, 7, 130)}`)
  process.exit(exit.done)
}

const { Failure } = await import('./lib/errors.ts')
const { diffManifests, formatReleaseTable } = await import('./lib/deploy/release-list.ts')
const { loadEnvironment } = await import('./lib/kubernetes/environment.ts')
const { findRelease, hasSameManifests, fetchReleases, findCurrentRelease } =
  await import('./lib/kubernetes/releases.ts')
const { emit, setJsonOutput, main, printResult } = await import('./lib/report.ts')
const { requireCompatibleSchema } = await import('./lib/deploy/verify/schema-compatibility.ts')
const { deploy } = await import('./lib/deploy/deploy.ts')
type StoredRelease = import('./lib/kubernetes/releases.ts').StoredRelease

await main(async () => {
  const flag = { type: 'boolean' } as const
  const options = {
    json: flag,
    list: flag,
    diff: flag,
    'accept-schema': flag,
    'dry-run': flag,
    prune: flag,
    yes: flag,
  } as const
  const { values, positionals } = parseArgs({
    args: readScriptArguments(),
    allowPositionals: true,
    options,
  })
  setJsonOutput(Boolean(values.json))
  const place = loadEnvironment(positionals[0])
  const numbers = positionals.slice(1)
  const most = values.list ? 0 : 1
  const fits = values.diff ? !values.list && numbers.length === 2 : numbers.length <= most
  if (!fits)
    throw new Failure(
      exit.usage,
      'Read the arguments',
      'one environment and at most one release; --diff wants two',
      {
        next: 'npx zx scripts/rollback.ts --help',
      },
    )
  if (values.list) return show(await fetchReleases(place))
  if (values.diff) {
    const all = await fetchReleases(place)
    const text = await diffManifests(
      ...(numbers.map(number => findRelease(all, number).manifests) as [
        StoredRelease['manifests'],
        StoredRelease['manifests'],
      ]),
    )
    return printResult(text || 'They are the same.')
  }

  const choose = (all: StoredRelease[]) => {
    const now = findCurrentRelease(all)
    const target = numbers[0]
      ? findRelease(all, numbers[0])
      : all.find(one => one.ending === 'succeeded' && !(now && hasSameManifests(one, now)))
    if (!target)
      throw new Failure(
        exit.refused,
        `Roll back ${place.name}`,
        'no other release has served before this one',
        {
          next: `npx zx scripts/rollback.ts ${place.name} --list`,
        },
      )
    if (target.ending !== 'succeeded')
      throw new Failure(
        exit.refused,
        `Roll back ${place.name}`,
        `release ${target.number} never served: ${target.ending}`,
        {
          next: `npx zx scripts/rollback.ts ${place.name} --list`,
        },
      )
    return target
  }
  const { prune = false, yes = false, 'accept-schema': accept = false } = values
  await deploy(
    { place, verb: 'rollback', source: { release: numbers[0] }, choose, prune, yes },
    {
      dryRun: Boolean(values['dry-run']),
      check: {
        name: 'Schema',
        run: facts => requireCompatibleSchema({ place, choose }, facts, accept),
      },
    },
  )

  function show(all: StoredRelease[]) {
    for (const { manifests, ...one } of all)
      emit('release', {
        ...one,
        objects: manifests.length,
        serving: one.number === findCurrentRelease(all)?.number,
      })
    return printResult(
      all.length ? formatReleaseTable(all) : `No release of ${place.name} is recorded yet.`,
    )
  }
})
