// Puts an earlier release of an environment back, exactly as it was, under the same lock, watch and smoke as a deploy.
// Usage: npx zx scripts/rollback.ts <environment> [RELEASE] [--accept-schema] | --list | --diff A B
// Exit codes: 0 2 3 4 5 6 7 130
import { parseArgs } from 'node:util'
import { given, wantsHelp } from './lib/arguments.ts'
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
const { phases } = await import('./lib/deploy/phases.ts')
const { difference, listed } = await import('./lib/deploy/history.ts')
const { placeOf } = await import('./lib/cluster/place.ts')
const { find, isAlike, releases, serving } = await import('./lib/deploy/release.ts')
const { emit, jsonOutput, main, result } = await import('./lib/report.ts')
const { requireSchema } = await import('./lib/deploy/schema.ts')
const { transact } = await import('./lib/deploy/transaction.ts')
type Stored = import('./lib/deploy/release.ts').Stored

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
  const { values, positionals } = parseArgs({ args: given(), allowPositionals: true, options })
  jsonOutput(Boolean(values.json))
  const place = placeOf(positionals[0])
  const numbers = positionals.slice(1)
  if (
    numbers.length > (values.diff ? 2 : values.list ? 0 : 1) ||
    (values.diff && (values.list || numbers.length < 2))
  )
    throw new Failure(
      exit.usage,
      'Read the arguments',
      'one environment and at most one release; --diff wants two',
      {
        next: 'npx zx scripts/rollback.ts --help',
      },
    )
  if (values.list) return show(await releases(place))
  if (values.diff) {
    const all = await releases(place)
    const text = await difference(
      ...(numbers.map(number => find(all, number).manifests) as [
        Stored['manifests'],
        Stored['manifests'],
      ]),
    )
    return result(text || 'They are the same.')
  }

  const choose = (all: Stored[]) => {
    const now = serving(all)
    const target = numbers[0]
      ? find(all, numbers[0])
      : all.find(one => one.ending === 'succeeded' && !(now && isAlike(one, now)))
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
  await transact(
    { place, verb: 'rollback', source: { release: numbers[0] }, choose, prune, yes },
    phases(['Schema', change => requireSchema(change, accept)]),
    values['dry-run'] ? 'Plan' : undefined,
  )

  function show(all: Stored[]) {
    for (const { manifests, ...one } of all)
      emit('release', {
        ...one,
        objects: manifests.length,
        serving: one.number === serving(all)?.number,
      })
    return result(all.length ? listed(all) : `No release of ${place.name} is recorded yet.`)
  }
})
