// A change as one guarded transaction: its phases one after the other; what fails once the lock is held is put back.
import { finish, type Asked, type Change, type Phase } from './change.ts'
import { Failure, exit } from '../errors.ts'
import { putBack } from './putback.ts'
import { emit, result, step, warn } from '../report.ts'
import { onInterrupt } from '../run.ts'
import { leave, noteFacts, tell } from './tell.ts'

/** Runs the phases one after the other, up to `last`. What fails once the lock is held is put back. */
export async function transact(asked: Asked, phases: Phase[], last?: string): Promise<void> {
  const change: Change = { ...asked, started: Date.now(), touched: [], phase: '' }
  noteFacts(change, Boolean(last))
  const forget = onInterrupt(async () => {
    const { release, over, phase } = change
    // what has come to its end is not interrupted any more; it may only not be recorded or told yet
    if (release?.ending === 'succeeded') return void (await Promise.all([finish(change, 'succeeded').catch(() => {}), over ?? tell(change, 'succeeded')]))
    const record = release?.ending === 'applying' ? finish(change, 'interrupted', 'interrupted').catch(() => {}) : undefined
    await Promise.all([record, leave(change, `interrupted in phase ${phase.toLowerCase()}`, 1800)])
  })
  try {
    for (const [name, work] of phases) {
      change.phase = name
      const noted = change.lock?.phase(name.toLowerCase())
      // who only looks on does not wait until the lock says so
      if (!['Watch', 'Smoke'].includes(name)) await noted
      await step(name, () => Promise.all([work(change), noted]))
      noteFacts(change, Boolean(last))
      if (name === last) break
    }
    if (!change.ended) return
    emit('result', change.ended.event)
    result(change.ended.text)
  } catch (error) {
    const end = await ending(change, error)
    await leave(change, String((end as Error).message))
    throw end
  } finally {
    forget()
    // nobody else may take it before its time is over; how the change ended matters more
    await change.lock?.release().catch((error: Failure) => warn(`The lock could not be freed, it ends by itself within a minute: ${error.why ?? error.message}`))
  }
}

/** What to end with; before, what a failure has broken is put back. */
async function ending(change: Change, error: unknown): Promise<unknown> {
  // while the lock is being taken nothing has been touched
  if (!change.lock || !change.release || change.phase === 'Lock' || change.lock.lost()) return error
  const failure = error instanceof Failure ? error : bug(change, error)
  // it was proven to work: what fails now is only the book-keeping
  if (change.phase === 'Record')
    return new Failure(exit.broken, failure.what, failure.why, {
      evidence: failure.evidence,
      next: `npx zx scripts/${change.verb}.ts ${change.place.name}, once more`,
      serving: 'the new version serves and passed the smoke test; only its record is not complete',
    })
  return putBack(change, failure).catch(
    (fault: Error) =>
      new Failure(exit.broken, failure.what, failure.why, {
        evidence: [failure.evidence, fault.stack].filter(Boolean).join('\n'),
        next: failure.next,
        serving: `the way back was not gone to its end, by a bug in the script: ${fault.message}`,
      }),
  )
}

/** A bug in the script as a failure of the change: what was changed by then must go back like after any other. */
function bug({ verb, place, phase }: Change, error: unknown): Failure {
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  return new Failure(exit.bug, `${verb === 'deploy' ? 'Deploy to' : 'Roll back'} ${place.name}, phase ${phase.toLowerCase()}`, `a bug in the script: ${message}`, {
    evidence: stack,
    next: 'mend it, then the same command again',
  })
}
