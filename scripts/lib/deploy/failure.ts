// How a change ends that fails or is interrupted: what it has touched is restored, and the error
// says what serves.
import { finishRelease, numberInPlace, type Change } from './change.ts'
import { Failure, exit, type ExitCode } from '../errors.ts'
import { resourceId } from '../kubernetes/objects.ts'
import { restoreRelease } from './restore.ts'
import { onServingAsked, warn } from '../report.ts'
import { onInterrupt } from '../interrupt.ts'
import { describeLiveObjects, describeLastingJobs } from './applied-objects.ts'
import { notifyAborted, notifyChange } from './notifications.ts'

/**
 * Does the work of a change that holds the lock, and frees the lock at its end. What fails is put
 * back; a signal is recorded and told. Throws what the work throws, with what serves now.
 */
export async function guardChange<T>(change: Change, work: () => Promise<T>): Promise<T> {
  const forget = onInterrupt(() => noteInterruption(change))
  onServingAsked(() => describeInterrupted(change))
  try {
    return await work()
  } catch (error) {
    const end = await resolveFailure(change, error)
    await notifyAborted(change, String((end as Error).message))
    throw end
  } finally {
    forget()
    change.rotation.pods?.stop()
    onServingAsked(undefined)
    // nobody else may take it before its time is over; how the change ended matters more
    await change.lock
      .release()
      .catch((error: Failure) =>
        warn(
          `The lock could not be released; it ends within a minute: ${error.why ?? error.message}`,
        ),
      )
  }
}

async function noteInterruption(change: Change): Promise<void> {
  const { release, endNotified } = change
  // what has come to its end is not interrupted any more; it may only not be recorded or told yet
  if (release.ending === 'succeeded')
    return void (await Promise.all([
      finishRelease(change, 'succeeded').catch(() => {}),
      endNotified ?? notifyChange(change, 'succeeded'),
    ]))
  const record =
    release.ending === 'applying'
      ? finishRelease(change, 'interrupted', 'interrupted').catch(() => {})
      : undefined
  await Promise.all([
    record,
    notifyAborted(change, `interrupted in step ${change.step.toLowerCase()}`, {
      limit: 1800,
      serving: describeInterrupted(change),
    }),
  ])
}

/** What is in place when a change is cut off, and whether that is half of it. */
export function describeInterrupted(change: Change): string {
  const { reached, release } = change
  if (release.ending === 'succeeded') return `release ${release.number} serves`
  if (reached === 'verified') return describeUnrecorded(change)
  return describeLiveObjects(change) + describeLastingJobs(change)
}

/** What to end with; before, what a failure has broken is restored. */
async function resolveFailure(change: Change, error: unknown): Promise<unknown> {
  // its release is not recorded yet, and nothing that serves has been touched
  if (change.reached === 'locked') return error
  const failure = error instanceof Failure ? error : createBugFailure(change, error)
  const as = (code: ExitCode, serving: string, evidence = failure.evidence) =>
    new Failure(code, failure.what, failure.why, {
      evidence,
      next: failure.next,
      serving: serving + describeLastingJobs(change),
    })
  // the new holder of the lock decides
  if (change.lock.lossFailure())
    return as(failure.code, `${describeLiveObjects(change)}; nothing was restored`)
  // it was proven to work: what fails now is only the book-keeping
  if (change.reached === 'verified')
    return Object.assign(as(exit.broken, describeUnrecorded(change)), {
      next: `npx zx scripts/${change.verb}.ts ${change.environment.name}, again`,
    })
  return restoreRelease(change, failure).catch((fault: Error) =>
    as(
      exit.broken,
      `a bug in the script stopped the restore: ${fault.message}; ${describeLiveObjects(change)}`,
      [failure.evidence, fault.stack].filter(Boolean).join('\n'),
    ),
  )
}

/** What serves when the last step has failed. */
function describeUnrecorded(change: Change): string {
  const { plan, prunedIds } = change
  const number = numberInPlace(change)
  const left = plan.removed.map(resourceId).filter(name => !prunedIds.has(name))
  const more = left.length
    ? `; objects that it no longer has may still exist: ${left.join(', ')}`
    : ''
  return `release ${number} serves and passed the smoke test, but may not be recorded as the serving release${more}`
}

/**
 * A bug in the script as a failure of the change: what was changed by then must go back like after
 * any other.
 */
function createBugFailure({ verb, environment, step }: Change, error: unknown): Failure {
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  return new Failure(
    exit.bug,
    `${verb === 'deploy' ? 'Deploy to' : 'Roll back'} ${environment.name}, step ${step.toLowerCase()}`,
    `a bug in the script: ${message}`,
    {
      evidence: stack,
      next: 'fix it, then the same command again',
    },
  )
}
