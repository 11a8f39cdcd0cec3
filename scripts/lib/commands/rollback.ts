// Restores an earlier release, or shows the releases (scripts/rollback.ts).
import { usageFailure } from '../cli.ts'
import { deploy } from '../deploy/deploy.ts'
import { createKubernetesDeployTarget } from '../deploy/target.ts'
import { diffManifests, formatReleaseTable } from '../deploy/release-list.ts'
import { requireCompatibleSchema } from '../deploy/verify/schema-compatibility.ts'
import { exit, Failure } from '../errors.ts'
import { loadEnvironment, type Environment } from '../kubernetes/environment.ts'
import {
  fetchReleases,
  findCurrentRelease,
  findRelease,
  hasSameManifests,
  type StoredRelease,
} from '../kubernetes/releases.ts'
import { emit, printResult } from '../report.ts'

interface RollbackArguments {
  values: {
    list?: boolean
    diff?: boolean
    'accept-schema'?: boolean
    'dry-run'?: boolean
    prune?: boolean
    yes?: boolean
  }
  positionals: string[]
}

/** Rolls the environment back, or with `list` and `diff` only shows its releases. */
export async function runRollbackCommand(given: RollbackArguments): Promise<void> {
  const { values, positionals } = given
  const [name, ...numbers] = positionals
  const environment = loadEnvironment(name)
  const most = values.list ? 0 : 1
  const fits = values.diff ? !values.list && numbers.length === 2 : numbers.length <= most
  if (!fits) throw usageFailure('name one environment and at most one release; --diff needs two')
  const [first = '', second = ''] = numbers
  if (values.list) return showReleases(environment)
  if (values.diff) return showDiff(environment, first, second)
  return rollBack(environment, numbers[0], values)
}

async function rollBack(
  environment: Environment,
  number: string | undefined,
  values: RollbackArguments['values'],
): Promise<void> {
  const { prune = false, yes = false, 'accept-schema': accept = false } = values
  const chooseRelease = (all: StoredRelease[]) => chooseTarget(environment, all, number)
  const target = createKubernetesDeployTarget(environment)
  await deploy(
    {
      environment,
      target,
      verb: 'rollback',
      source: { release: number },
      chooseRelease,
      prune,
      yes,
    },
    {
      dryRun: Boolean(values['dry-run']),
      check: {
        name: 'Schema',
        run: facts =>
          requireCompatibleSchema({ environment, target, chooseRelease }, facts, accept),
      },
    },
  )
}

/** The release to go back to: the one of that number, else the last that served and differs. */
function chooseTarget(
  environment: Environment,
  all: StoredRelease[],
  number: string | undefined,
): StoredRelease {
  const now = findCurrentRelease(all)
  const target = number
    ? findRelease(all, number)
    : all.find(one => one.ending === 'succeeded' && !(now && hasSameManifests(one, now)))
  if (target?.ending === 'succeeded') return target
  const why = target
    ? `release ${target.number} never served: ${target.ending}`
    : 'no other release has served before this one'
  throw new Failure(exit.refused, `Roll back ${environment.name}`, why, {
    next: `npx zx scripts/rollback.ts ${environment.name} --list`,
  })
}

async function showReleases(environment: Environment): Promise<void> {
  const all = await fetchReleases(environment)
  const serving = findCurrentRelease(all)?.number
  for (const { manifests, ...one } of all)
    emit('release', { ...one, objects: manifests.length, serving: one.number === serving })
  printResult(
    all.length ? formatReleaseTable(all) : `No release of ${environment.name} is recorded yet.`,
  )
}

async function showDiff(environment: Environment, from: string, to: string): Promise<void> {
  const all = await fetchReleases(environment)
  const text = await diffManifests(findRelease(all, from).manifests, findRelease(all, to).manifests)
  printResult(text || 'They are the same.')
}
