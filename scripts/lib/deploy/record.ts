// The last step of a change: records the release, and describes how the change ended.
import {
  finishRelease,
  isNoChange,
  numberInPlace,
  type Change,
  type ChangeResult,
} from './change.ts'
import { describeReleaseBackup } from './backup/step.ts'
import { resourceId } from '../kubernetes/objects.ts'
import type { DeployTarget } from './target.ts'
import { remainingFailures } from './verify/verify.ts'
import { findCurrentRelease, type StoredRelease } from '../kubernetes/releases.ts'
import { trackApplied } from './applied-objects.ts'
import { formatDuration, warn } from '../report.ts'
import { ensureReleaseRecorded } from './change-on-github.ts'
import { notifyChange } from './notifications.ts'
import { endRotation } from './rotation/step.ts'

/** Takes old passwords away, removes what is not part of it any more, and records the release as the one that serves. */
export async function recordChange(change: Change): Promise<ChangeResult> {
  const { environment, target, plan, facts, release, started, prunedIds } = change
  const nothing = isNoChange(change)
  await endRotation(change)
  await target.apply.remove(
    [...plan.removed, ...plan.generated],
    change.lock.lossFailure,
    (one, how) => {
      trackApplied(change)(one, how)
      if (how === 'done') prunedIds.add(resourceId(one))
    },
  )
  const { failing = [], checks = [] } = release
  const current = findCurrentRelease(facts.history)
  if (nothing && current) await updateKnownFailures(target, current, checks, failing)
  const number = numberInPlace(change)
  if (!nothing) {
    await finishRelease(change, 'succeeded')
    // too many records harm nobody: the next change removes them
    const trimmed = target.releases
      .prune([release, ...facts.history])
      .catch((error: Error) => warn(`Old releases could not be removed: ${error.message}`))
    await Promise.all([trimmed, notifyChange(change, 'succeeded')])
  } else await ensureReleaseRecorded(change, number)
  const ms = Date.now() - started
  const when = current ? ', as before' : ''
  const but = failing.length
    ? ` ${failing.length} checks do not pass${when}: npx zx scripts/smoke.ts ${environment.name} --target kubernetes`
    : ''
  const saved =
    release.backup && 'name' in release.backup
      ? ` The data from before: ${describeReleaseBackup(release.backup)}.`
      : ''
  const text = `${nothing ? 'Nothing to do: ' : ''}${environment.name} serves release ${number}`
  return {
    event: {
      ...{ environment: environment.name, release: number, changed: !nothing, failing, ms },
      ...(release.backup && !nothing ? { backup: release.backup } : {}),
    },
    text: `${text} (${nothing ? '' : `${release.what}, `}${formatDuration(ms)}).${but}${saved}`,
  }
}

/** A check that passes by now may not fail again unnoticed. */
async function updateKnownFailures(
  target: DeployTarget,
  now: StoredRelease,
  asked: string[],
  failing: string[],
): Promise<void> {
  const left = remainingFailures(now, asked, failing)
  if ((now.failing ?? []).length > left.length)
    await target.releases.store(Object.assign(now, { failing: left }), 'replace')
}
