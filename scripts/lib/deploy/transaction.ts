// A change as one guarded transaction: its phases one after the other; what fails once the lock is
// held is put back.
import { finishRelease, isNoChange, type DeployRequest, type Change, type Phase } from './change.ts'
import { Failure, exit, type ExitCode } from '../errors.ts'
import { resourceId } from './apply/order.ts'
import { restoreRelease } from './restore.ts'
import { findCurrentRelease } from './releases.ts'
import { emit, printResult, step, warn } from '../report.ts'
import { onInterrupt } from '../run.ts'
import { describeLiveObjects, describeLastingJobs } from './applied-objects.ts'
import { notifyAborted, updateJobSummary, notifyChange } from './notifications.ts'

/**
 * Runs the phases one after the other, up to `last`. What fails once the lock is held is put back.
 */
export async function runChange(
  asked: DeployRequest,
  phases: Phase[],
  last?: string,
): Promise<void> {
  const change: Change = {
    ...asked,
    started: Date.now(),
    touched: [],
    stands: new Map(),
    removed: new Set(),
    phase: '',
  }
  updateJobSummary(change, Boolean(last))
  const forget = onInterrupt(async () => {
    const { release, over, phase } = change
    // what has come to its end is not interrupted any more; it may only not be recorded or told yet
    if (release?.ending === 'succeeded')
      return void (await Promise.all([
        finishRelease(change, 'succeeded').catch(() => {}),
        over ?? notifyChange(change, 'succeeded'),
      ]))
    const record =
      release?.ending === 'applying'
        ? finishRelease(change, 'interrupted', 'interrupted').catch(() => {})
        : undefined
    await Promise.all([
      record,
      notifyAborted(change, `interrupted in phase ${phase.toLowerCase()}`, 1800),
    ])
  })
  try {
    for (const [name, work] of phases) {
      change.phase = name
      const noted = change.lock?.phase(name.toLowerCase())
      // who only looks on does not wait until the lock says so
      if (!['Watch', 'Smoke'].includes(name)) await noted
      await step(name, () => Promise.all([work(change), noted]))
      updateJobSummary(change, Boolean(last))
      if (name === last) break
    }
    if (!change.ended) return
    emit('result', change.ended.event)
    printResult(change.ended.text)
  } catch (error) {
    const end = await resolveFailure(change, error)
    await notifyAborted(change, String((end as Error).message))
    throw end
  } finally {
    forget()
    // nobody else may take it before its time is over; how the change ended matters more
    await change.lock
      ?.release()
      .catch((error: Failure) =>
        warn(
          `The lock could not be freed, it ends by itself within a minute: ${error.why ?? error.message}`,
        ),
      )
  }
}

/** What to end with; before, what a failure has broken is put back. */
async function resolveFailure(change: Change, error: unknown): Promise<unknown> {
  // while the lock is being taken nothing has been touched
  if (!change.lock || !change.release || change.phase === 'Lock') return error
  const failure = error instanceof Failure ? error : createBugFailure(change, error)
  const as = (code: ExitCode, serving: string, evidence = failure.evidence) =>
    new Failure(code, failure.what, failure.why, {
      evidence,
      next: failure.next,
      serving: serving + describeLastingJobs(change),
    })
  // whoever has the lock now decides
  if (change.lock.lost())
    return as(failure.code, `${describeLiveObjects(change)}; nothing was put back`)
  // it was proven to work: what fails now is only the book-keeping
  if (change.phase === 'Record')
    return Object.assign(as(exit.broken, describeUnrecorded(change)), {
      next: `npx zx scripts/${change.verb}.ts ${change.place.name}, once more`,
    })
  return restoreRelease(change, failure).catch((fault: Error) =>
    as(
      exit.broken,
      `the way back was not gone to its end, by a bug in the script: ${fault.message}; ${describeLiveObjects(change)}`,
      [failure.evidence, fault.stack].filter(Boolean).join('\n'),
    ),
  )
}

/** What serves when the last phase has failed. */
function describeUnrecorded({ found, release, plan, removed }: Change): string {
  const number = isNoChange({ found, plan } as Change)
    ? findCurrentRelease(found!.history)!.number
    : release!.number
  const left = plan!.removed.map(resourceId).filter(name => !removed.has(name))
  const more = left.length ? `; what it has no more may still be there: ${left.join(', ')}` : ''
  return `release ${number} serves and passed the smoke test, but may not be recorded as the one that does${more}`
}

/**
 * A bug in the script as a failure of the change: what was changed by then must go back like after
 * any other.
 */
function createBugFailure({ verb, place, phase }: Change, error: unknown): Failure {
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  return new Failure(
    exit.bug,
    `${verb === 'deploy' ? 'Deploy to' : 'Roll back'} ${place.name}, phase ${phase.toLowerCase()}`,
    `a bug in the script: ${message}`,
    {
      evidence: stack,
      next: 'mend it, then the same command again',
    },
  )
}
