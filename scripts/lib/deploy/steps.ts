// The steps of a change to an environment that write to it or look at it.
import { readActor, workflowRunUrl } from './actor.ts'
import { applyInOrder } from './apply/apply.ts'
import { askQuestion } from '../prompt.ts'
import {
  isNoChange,
  createRolloutOptions,
  type Change,
  type ChangePlan,
  type DeployRequest,
} from './change.ts'
import { Failure, exit } from '../errors.ts'
import { acquireLock } from './lock/lock.ts'
import { resourceId } from '../kubernetes/objects.ts'
import type { PreflightResult } from './preflight.ts'
import { fetchSchemaVersions } from './verify/schema-versions.ts'
import { isKnownFailure, isPreexistingFailure, verifyRelease } from './verify/verify.ts'
import { isWorkload, waitForRollout, type RolloutOptions } from '../rollout/wait.ts'
import {
  findCurrentRelease,
  storeRelease,
  type ReleaseEnding,
  type StoredRelease,
} from '../kubernetes/releases.ts'
import { color, say } from '../report.ts'
import { refreshRedaction } from '../kubernetes/secret-values.ts'
import { trackApplied } from './applied-objects.ts'
import { listWorkloadImages } from './apply/checksums.ts'
import { notifyChange } from './notifications.ts'

/**
 * Asks what the pre-flight could not tell, and where the environment wants to be asked for. Throws
 * Failure (refused) when it is not confirmed.
 */
export async function confirmChange(
  { environment, yes, verb }: DeployRequest,
  { questions }: PreflightResult,
): Promise<void> {
  const what = `Begin the ${verb} to ${environment.name}`
  for (const words of questions)
    if ((await askQuestion(`${words}. Type yes to continue: `)) !== 'yes')
      throw new Failure(exit.refused, what, `${words}; not confirmed; nothing was touched`)
  if (!environment.protected || yes) return
  if (!process.stdin.isTTY)
    throw new Failure(
      exit.refused,
      what,
      `${environment.name} is protected, and there is no terminal to confirm it at; nothing was touched`,
      {
        next: 'the same command with --yes',
      },
    )
  if ((await askQuestion(`Type ${environment.name} to continue: `)) !== environment.name)
    throw new Failure(exit.refused, what, 'not confirmed; nothing was touched')
}

/** Takes the lock for a change that is confirmed; nothing is written yet. */
export async function lockEnvironment(
  request: DeployRequest,
  facts: PreflightResult,
  plan: ChangePlan,
  started: number,
): Promise<Change> {
  await confirmChange(request, facts)
  const lock = await acquireLock(request.environment, request.verb, facts.leaseVersion)
  return {
    ...request,
    started,
    facts,
    plan,
    lock,
    release: createRelease(request, facts, plan, started),
    appliedObjects: [],
    versions: new Map(),
    prunedIds: new Set(),
    reached: 'locked',
    step: 'Lock',
  }
}

/** The release that a change makes, as it is recorded while it is at work. */
function createRelease(
  { source, chooseRelease }: DeployRequest,
  { history, manifests, digests, commit }: PreflightResult,
  plan: ChangePlan,
  started: number,
): StoredRelease {
  const target = 'release' in source ? chooseRelease(history) : undefined
  return {
    number: (history[0]?.number ?? 0) + 1,
    ending: 'applying',
    what: target ? `rollback to ${target.number}` : 'deploy',
    who: readActor(),
    run: workflowRunUrl(),
    again: 'release' in source ? undefined : source.again,
    commit: 'release' in source ? target?.commit : commit,
    started: new Date(started).toISOString(),
    images: Object.fromEntries(
      listWorkloadImages(manifests).map(image => {
        const [name = image, digest] = image.split('@')
        return [name, digest ?? digests.get(image) ?? '']
      }),
    ),
    created: [...plan.created, ...plan.jobs.map(resourceId)],
    manifests,
  }
}

/** Records what is about to be done, and tells people. */
export async function recordStart(change: Change): Promise<void> {
  const { environment, lock, facts, release } = change
  for (const one of facts.history)
    if (one.ending === 'applying')
      await storeRelease(
        environment,
        Object.assign(one, { ending: 'interrupted' satisfies ReleaseEnding }),
        'replace',
        lock.lossFailure,
      )
  if (!isNoChange(change)) {
    await storeRelease(environment, release, 'create', lock.lossFailure)
    await notifyChange(change, 'started')
  }
  change.reached = 'recorded'
}

/** Applies what differs. Out: how the rollout is waited for. */
export async function applyChange(change: Change): Promise<RolloutOptions> {
  const { plan, facts } = change
  const names = [...plan.created, ...plan.changed]
  // what was sealed for a change that did not come to its end may not be open yet
  const again = ['interrupted', 'broken'].includes(facts.history[0]?.ending ?? '')
    ? ['SealedSecret']
    : []
  const objects = facts.manifests.filter(
    one => one.kind !== 'Job' && (names.includes(resourceId(one)) || again.includes(one.kind)),
  )
  const settled = !names.length && !plan.jobs.length
  const wait = createRolloutOptions(change, settled, facts.manifests, objects)
  await applyInOrder(wait, objects, plan.jobs, trackApplied(change))
  change.reached = 'applied'
  return wait
}

/** Waits until every workload is ready. Out: how long it must stay so is counted from when. */
export async function watchChange(
  { facts }: Change,
  wait: RolloutOptions,
): Promise<RolloutOptions> {
  await waitForRollout({ ...wait, stableMs: 0 }, facts.manifests.filter(isWorkload))
  return wait.podsUndisturbed ? wait : { ...wait, readySince: Date.now() }
}

/**
 * Asks the product whether it works, while all must stay ready. Checks that failed in the release
 * that serves do not count, nor what the release that is put back has never passed: a check may be
 * younger.
 */
export async function smokeTestChange(change: Change, wait: RolloutOptions): Promise<void> {
  const { environment, facts, release, source } = change
  const last = findCurrentRelease(facts.history)
  const target = 'release' in source ? change.chooseRelease(facts.history) : undefined
  const excused = (name: string) =>
    isPreexistingFailure(facts.history, name) || Boolean(target && isKnownFailure(target, name))
  // all that migrates has done so by now
  const [all, reached] = await Promise.all([
    verifyRelease(wait, facts.manifests, excused),
    isNoChange(change) ? {} : fetchSchemaVersions(environment, facts.manifests),
  ])
  const failed = all.filter(({ ok }) => !ok)
  Object.assign(release, {
    checks: all.map(({ name }) => name),
    failing: failed.map(({ name }) => name),
    heads: reached,
  })
  if (failed.length) await refreshRedaction(environment)
  const old = failed.filter(({ name }) => excused(name))
  const before = target ?? last
  for (const { name, detail } of old)
    say(
      color.yellow(
        `  ${name}: ${detail.split('\n')[0]} (${before ? `not passed in release ${before.number} either` : 'nothing served before'})`,
      ),
    )
  const bad = failed.filter(one => !old.includes(one))
  if (bad.length)
    throw new Failure(
      exit.broken,
      `Smoke ${environment.name}`,
      `${bad.length} checks fail although everything is ready: ${bad.map(({ name }) => name).join(', ')}`,
      {
        evidence: bad.map(({ name, detail }) => `${name}: ${detail}`).join('\n'),
        next: `npx zx scripts/smoke.ts ${environment.name} --target kubernetes`,
      },
    )
  change.reached = 'verified'
}
