// Restore: what a failed change has touched goes back to the last good release.
import { finishRelease, isNoChange, createRolloutOptions, type Change } from './change.ts'
import { Failure, exit } from '../errors.ts'
import { sortForApply, findOrphans } from './apply/order.ts'
import { resourceId, type Manifest } from '../kubernetes/objects.ts'
import { isKnownFailure, verifyRelease } from './verify/verify.ts'
import { isWorkload } from '../rollout/wait.ts'
import {
  listReleaseObjects,
  findCurrentRelease,
  type ReleaseEnding,
  type StoredRelease,
} from '../kubernetes/releases.ts'
import { say, step } from '../report.ts'
import {
  trackRestored,
  describeLiveObjects,
  isFullyRestored,
  hasRestoreStarted,
  describeLastingJobs,
} from './applied-objects.ts'
import { notifyChange } from './notifications.ts'
import { findLateServers } from './rotation/late-servers.ts'
import { findTouchedServers, letInDuring, restoreLateServers } from './rotation/step.ts'

/**
 * Puts the last good release back where this change has touched it, proves it, and says how it
 * ended.
 */
export async function restoreRelease(change: Change, failure: Failure): Promise<Failure> {
  const { target, facts, appliedObjects, lock, reached } = change
  const good = findCurrentRelease(facts.history)
  if (!good)
    return finishRestore(
      change,
      failure,
      'broken',
      appliedObjects.length
        ? `there is no release before this one to go back to; ${describeLiveObjects(change)}; nothing was restored`
        : 'nothing was applied, and no release has served before',
    )
  // what another change was killed at may be in place in parts
  const unfinished = facts.history.slice(0, facts.history.indexOf(good))
  if (!appliedObjects.length && !unfinished.length)
    return reached === 'recorded'
      ? finishRestore(
          change,
          failure,
          'rolled back',
          `release ${good.number} serves; ${change.versions.size ? 'no application was touched' : 'nothing was changed'}`,
        )
      : finishRestore(
          change,
          failure,
          'broken',
          `nothing was changed: release ${good.number} is in place${failure.code === exit.refused ? '; whether it works is not known' : ', and it does not work'}`,
        )
  try {
    const late = await step(`Put release ${good.number} back`, () =>
      restoreAppliedObjects(change, good, unfinished),
    )
    await verifyRestoredRelease(change, good, late)
    await target.passwords.shutOutOld(good.manifests, lock.lossFailure)
    return await finishRestore(
      change,
      failure,
      'rolled back',
      `release ${good.number} serves again and passed the smoke test`,
    )
  } catch (error) {
    const gone = lock.lossFailure()
    // the new holder of the lock decides: nothing is written any more
    if (gone) {
      const serving = `${describeRestore(change, good)}; whether it works is not known: ${gone.why}${describeLastingJobs(change)}`
      return new Failure(gone.code, failure.what, failure.why, {
        evidence: failure.evidence,
        next: gone.next,
        serving,
      })
    }
    const bug = error instanceof Failure ? '' : 'by a bug in the script: '
    return finishRestore(
      change,
      failure,
      'broken',
      `${describeRestore(change, good)}, but ${bug}${(error as Error).message}`,
    )
  }
}

/** How far the restore has come, in words. */
function describeRestore(change: Change, good: StoredRelease): string {
  if (isFullyRestored(change))
    return `release ${good.number} ${hasRestoreStarted(change) ? 'was restored' : 'is in place'}`
  return `${hasRestoreStarted(change) ? `release ${good.number} was restored in part` : 'nothing could be restored'} (${describeLiveObjects(change)})`
}

/** Records and tells how it ended. */
async function finishRestore(
  change: Change,
  failure: Failure,
  ending: ReleaseEnding,
  words: string,
): Promise<Failure> {
  const { what, why, message, evidence, next } = failure
  const code = ending === 'rolled back' ? exit.rolledBack : exit.broken
  let now = words + describeLastingJobs(change)
  if (!isNoChange(change)) {
    await finishRelease(change, ending, message).catch((error: Error) => {
      say(`  the release could not be recorded: ${error.message}`)
      now += `; release ${change.release.number} may not be recorded as ${ending}`
    })
    await notifyChange(change, code === exit.rolledBack ? 'rolled-back' : 'failed', {
      failed: failure,
      serving: now,
    })
  }
  return new Failure(code, what, why, { evidence, next, serving: now })
}

/** Out: servers that go back when all pods that read their password have. */
async function restoreAppliedObjects(
  change: Change,
  good: StoredRelease,
  unfinished: StoredRelease[],
): Promise<Manifest[]> {
  const { target, facts, appliedObjects, versions, lock, release } = change
  const names = new Set(
    [...appliedObjects, ...unfinished.flatMap(({ manifests }) => manifests)].map(resourceId),
  )
  // a volume that has grown cannot shrink, and what runs bears a larger one
  const back = sortForApply(good.manifests).filter(
    one => !['Job', 'PersistentVolumeClaim'].includes(one.kind) && names.has(resourceId(one)),
  )
  // which of two releases they are of nobody knows
  const killed = unfinished
    .filter(({ ending }) => ending !== 'rolled back')
    .flatMap(listReleaseObjects)
  for (const one of killed.filter(({ kind }) => kind !== 'Job'))
    if (!versions.has(resourceId(one))) versions.set(resourceId(one), 'unknown')
  const own = appliedObjects.filter(one => release.created?.includes(resourceId(one)))
  const had = [own, ...unfinished.map(listReleaseObjects)]
  const orphans = findOrphans(good.manifests, had, [], []).removed
  const late = findLateServers(back, facts.manifests, { alone: true })
  const objects = back.filter(one => !late.includes(one))
  const onSecrets = letInDuring(change, findTouchedServers(good.manifests, back))
  await target.apply.restore(
    { objects, applied: appliedObjects, orphans, onSecrets },
    lock.lossFailure,
    trackRestored(change),
  )
  return late
}

/** Throws Failure when the release that came back does not work. */
async function verifyRestoredRelease(
  change: Change,
  good: StoredRelease,
  late: Manifest[],
): Promise<void> {
  // pods that have served all the time need no new trial; those that restart do
  const wait = createRolloutOptions(change, true, good.manifests, change.appliedObjects)
  const watch = () =>
    change.target.watch({ ...wait, stableMs: 0 }, good.manifests.filter(isWorkload))
  await step('Watch it', watch)
  if (late.length)
    await step('Restart its servers', () =>
      restoreLateServers(change, good.manifests, late).then(watch),
    )
  const all = await step('Smoke it', () =>
    verifyRelease(change.target, wait, good.manifests, name => isKnownFailure(good, name)),
  )
  const worse = all.filter(({ ok, name }) => !ok && !isKnownFailure(good, name))
  if (worse.length)
    throw new Failure(
      exit.broken,
      'Smoke',
      worse.map(({ name, detail }) => `${name}: ${detail}`).join('; '),
    )
}
