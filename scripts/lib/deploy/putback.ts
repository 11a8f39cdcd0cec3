// The way back: what a failed change has touched goes back to the last good release.
import { put, remove } from './apply.ts'
import { finish, isNothing, waitOf, type Change } from './change.ts'
import { Failure, exit } from '../errors.ts'
import { arranged, removals, title } from './manifests.ts'
import { isExcused, prove } from './proof.ts'
import { isWorkload, ready } from './readiness.ts'
import { leftBy, serving, type Ending } from './release.ts'
import { say, step } from '../report.ts'
import { freeStuckPods } from './stuck.ts'
import { tell } from './tell.ts'
import { opened } from './unsealed.ts'

/** Puts the last good release back where this change has touched it, proves it, and says how it ended. */
export async function putBack(change: Change, failure: Failure): Promise<Failure> {
  const { place, found, touched } = change
  const { lost } = change.lock!
  const good = serving(found!.history)
  const end = async (ending: Ending, code: 5 | 6, now: string) => {
    if (!isNothing(change)) {
      await finish(change, ending, failure.message).catch(error => say(`  the release could not be recorded: ${(error as Error).message}`))
      await tell(change, code === exit.rolledBack ? 'rolled-back' : 'failed', { failed: failure, serving: now })
    }
    return new Failure(code, failure.what, failure.why, { evidence: failure.evidence, next: failure.next, serving: now })
  }
  if (!good) return end('broken', exit.broken, 'there is no release before this one to go back to; everything is left as it is, to be looked at')
  // what another change was killed at may be in place in parts
  const unfinished = found!.history.slice(0, found!.history.indexOf(good))
  const names = new Set([...touched, ...unfinished.flatMap(({ manifests }) => manifests)].map(title))
  // a volume that has grown cannot shrink, and what runs bears a larger one
  const back = arranged(good.manifests).filter(one => !['Job', 'PersistentVolumeClaim'].includes(one.kind) && names.has(title(one)))
  const own = touched.filter(one => change.release!.created!.includes(title(one)))
  if (!back.length && !touched.length)
    return change.phase === 'Apply'
      ? end('rolled back', exit.rolledBack, `release ${good.number} serves; no application was touched`)
      : end('broken', exit.broken, `nothing was changed: release ${good.number} is in place, and it does not work`)
  try {
    await step(`Put release ${good.number} back`, async () => {
      // settings first: what starts anew must not read the new ones; then the applications, the last one first
      const settings = back.filter(({ kind }) => /^(ConfigMap|Secret|SealedSecret)$/.test(kind))
      await put(place, settings, lost)
      // what can go back goes back all the same
      const sealed = await opened(place, settings.filter(one => touched.some(other => title(other) === title(one))), lost).then(() => undefined, (error: Error) => error)
      await put(place, back.filter(one => !settings.includes(one)).reverse(), lost)
      await remove(place, removals(good.manifests, [own, ...unfinished.map(leftBy)], [], []).removed, lost)
      await freeStuckPods(place, back, lost)
      if (sealed) throw sealed
    })
    // pods that have served all the time need no new trial; those that start anew do
    const wait = waitOf(change, true, good.manifests, touched)
    await step('Watch it', () => ready({ ...wait, stable: 0 }, good.manifests.filter(isWorkload)))
    const all = await step('Smoke it', () => prove(wait, good.manifests, name => isExcused(good, name)))
    const worse = all.filter(({ ok, name }) => !ok && !isExcused(good, name))
    if (worse.length) throw new Failure(exit.broken, 'Smoke', worse.map(({ name, detail }) => `${name}: ${detail}`).join('; '))
    return await end('rolled back', exit.rolledBack, `release ${good.number} serves again, proven by smoke`)
  } catch (error) {
    const gone = lost()
    // whoever has the lock now decides: nothing is written any more
    if (gone) return new Failure(gone.code, failure.what, failure.why, { evidence: failure.evidence, next: gone.next, serving: `release ${good.number} in parts: ${gone.why}` })
    return end('broken', exit.broken, `release ${good.number} was put back, but ${(error as Error).message}`)
  }
}
