// The phases of a change to an environment. Each adds what it finds to the change.
import { readActor, workflowRunUrl } from './actor.ts'
import { applyInOrder } from './apply/apply.ts'
import { askQuestion } from '../prompt.ts'
import { isNoChange, createRolloutOptions, type Change } from './change.ts'
import { Failure, exit } from '../errors.ts'
import { acquireLock } from './lock/lock.ts'
import { resourceId } from './apply/order.ts'
import { runPreflight } from './preflight.ts'
import { fetchSchemaVersions } from './verify/application-checks.ts'
import { isKnownFailure, isPreexistingFailure, verifyRelease } from './verify/verify.ts'
import { isWorkload, waitForRollout } from '../rollout/wait.ts'
import { findCurrentRelease, storeRelease, type ReleaseEnding } from './releases.ts'
import { color, say } from '../report.ts'
import { refreshRedaction } from './secret-values.ts'
import { trackApplied } from './applied-objects.ts'
import { listWorkloadImages } from './apply/checksums.ts'
import { notifyChange } from './notifications.ts'

export async function preflightChange(change: Change): Promise<void> {
  change.found = await runPreflight(change.place, change.source, change.choose)
}

/**
 * Asks what the pre-flight could not tell, and where the environment wants to be asked for. Throws
 * Failure (refused) when it is not confirmed.
 */
export async function confirmChange({ place, yes, verb, found }: Change): Promise<void> {
  const what = `Begin the ${verb} to ${place.name}`
  for (const words of found!.questions)
    if ((await askQuestion(`${words}. Type yes to go on all the same: `)) !== 'yes')
      throw new Failure(exit.refused, what, `${words}; not confirmed; nothing was touched`)
  if (!place.protected || yes) return
  if (!process.stdin.isTTY)
    throw new Failure(
      exit.refused,
      what,
      `${place.name} is protected and nobody is at the terminal; nothing was touched`,
      {
        next: 'the same command with --yes',
      },
    )
  if ((await askQuestion(`Type ${place.name} to go on: `)) !== place.name)
    throw new Failure(exit.refused, what, 'not confirmed; nothing was touched')
}

/** Takes the lock, and records what is about to be done. */
export async function lockEnvironment(change: Change): Promise<void> {
  const { place, verb, found, source } = change
  await confirmChange(change)
  change.lock = await acquireLock(place, verb, found!.leaseVersion)
  const { history, manifests, digests, commit } = found!
  for (const one of history)
    if (one.ending === 'applying')
      await storeRelease(
        place,
        Object.assign(one, { ending: 'interrupted' satisfies ReleaseEnding }),
        'replace',
        change.lock.lost,
      )
  change.release = {
    number: (history[0]?.number ?? 0) + 1,
    ending: 'applying',
    what: 'release' in source ? `rollback to ${change.choose(history)!.number}` : 'deploy',
    who: readActor(),
    run: workflowRunUrl(),
    again: 'release' in source ? undefined : source.again,
    commit: 'release' in source ? change.choose(history)!.commit : commit,
    started: new Date(change.started).toISOString(),
    images: Object.fromEntries(
      listWorkloadImages(manifests).map(image => [
        image.split('@')[0]!,
        image.split('@')[1] ?? digests.get(image) ?? '',
      ]),
    ),
    created: [...change.plan!.created, ...change.plan!.jobs.map(resourceId)],
    manifests,
  }
  if (isNoChange(change)) return
  await storeRelease(place, change.release, 'create', change.lock.lost)
  await notifyChange(change, 'started')
}

export async function applyChange(change: Change): Promise<void> {
  const { plan, found } = change
  const names = [...plan!.created, ...plan!.changed]
  // what was sealed for a change that did not come to its end may not be open yet
  const again = ['interrupted', 'broken'].includes(found!.history[0]?.ending ?? '')
    ? ['SealedSecret']
    : []
  const objects = found!.manifests.filter(
    one => one.kind !== 'Job' && (names.includes(resourceId(one)) || again.includes(one.kind)),
  )
  change.wait = createRolloutOptions(
    change,
    !names.length && !plan!.jobs.length,
    found!.manifests,
    objects,
  )
  await applyInOrder(change.wait, objects, plan!.jobs, trackApplied(change))
}

/** Waits until every workload is ready. */
export async function watchChange({ wait, found }: Change): Promise<void> {
  await waitForRollout({ ...wait!, stable: 0 }, found!.manifests.filter(isWorkload))
  if (!wait!.settled) wait!.seen = Date.now()
}

/**
 * Asks the product whether it works, while all must stay ready. Checks that failed in the release
 * that serves do not count, nor what the release that is put back has never passed: a check may be
 * younger.
 */
export async function smokeTestChange(change: Change): Promise<void> {
  const { place, found, release, source } = change
  const last = findCurrentRelease(found!.history)
  const target = 'release' in source ? change.choose(found!.history) : undefined
  const excused = (name: string) =>
    isPreexistingFailure(found!.history, name) || Boolean(target && isKnownFailure(target, name))
  // all that migrates has done so by now
  const [all, reached] = await Promise.all([
    verifyRelease(change.wait!, found!.manifests, excused),
    isNoChange(change) ? {} : fetchSchemaVersions(place, found!.manifests),
  ])
  const failed = all.filter(({ ok }) => !ok)
  Object.assign(release!, {
    checks: all.map(({ name }) => name),
    failing: failed.map(({ name }) => name),
    heads: reached,
  })
  if (failed.length) await refreshRedaction(place)
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
      `Smoke ${place.name}`,
      `${bad.length} checks fail though all is ready: ${bad.map(({ name }) => name).join(', ')}`,
      {
        evidence: bad.map(({ name, detail }) => `${name}: ${detail}`).join('\n'),
        next: `npx zx scripts/smoke.ts ${place.name} --target kubernetes`,
      },
    )
}
