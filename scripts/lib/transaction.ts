// A change as one guarded transaction: its phases one after the other; what fails once the lock is held is put back.
import { finish, type Asked, type Change, type Phase } from './change.ts'
import { Failure, exit } from './errors.ts'
import { putBack } from './putback.ts'
import { emit, result, step } from './report.ts'
import { onInterrupt } from './run.ts'

/** Runs the phases one after the other, up to `last`. What fails once the lock is held is put back. */
export async function transact(asked: Asked, phases: Phase[], last?: string): Promise<void> {
  const change: Change = { ...asked, started: Date.now(), touched: [], phase: '' }
  const forget = onInterrupt(async () => {
    if (change.release) await finish(change, 'interrupted', 'interrupted').catch(() => {})
  })
  try {
    for (const [name, work] of phases) {
      change.phase = name
      if (change.lock) await change.lock.phase(name.toLowerCase())
      await step(name, () => work(change))
      if (name === last) break
    }
    if (!change.ended) return
    emit('result', change.ended.event)
    result(change.ended.text)
  } catch (error) {
    if (!change.lock || !change.release || !(error instanceof Failure) || change.lock.lost()) throw error
    // it was proven to work: what fails now is only the book-keeping
    if (change.phase === 'Record')
      throw new Failure(exit.broken, error.what, error.why, {
        next: `npx zx scripts/${change.verb}.ts ${change.place.name}, once more`,
        serving: 'the new version serves and passed the smoke test; only its record is not complete',
      })
    throw await putBack(change, error)
  } finally {
    forget()
    await change.lock?.release()
  }
}
