// The way back: what a failed change has touched goes back to the last good release.
import { put, remove } from './apply.ts'
import { finish, isNothing, waitOf, type Change } from './change.ts'
import { Failure, exit } from '../errors.ts'
import { arranged, removals, title } from './manifests.ts'
import { isExcused, prove } from './proof.ts'
import { isWorkload, ready } from './readiness.ts'
import { leftBy, serving, type Ending, type Stored } from './release.ts'
import { say, step } from '../report.ts'
import { goesBack, inPlace, isBack, isBegun, lasting } from './standing.ts'
import { freeStuckPods } from './stuck.ts'
import { tell } from './tell.ts'
import { opened } from './unsealed.ts'

/** Puts the last good release back where this change has touched it, proves it, and says how it ended. */
export async function putBack(change: Change, failure: Failure): Promise<Failure> {
  const { found, touched, lock } = change
  const good = serving(found!.history)
  if (!good)
    return ended(
      change,
      failure,
      'broken',
      touched.length
        ? `there is no release before this one to go back to; ${inPlace(change)}; nothing was put back`
        : 'nothing was applied, and no release has served before',
    )
  // what another change was killed at may be in place in parts
  const unfinished = found!.history.slice(0, found!.history.indexOf(good))
  if (!touched.length && !unfinished.length)
    return change.phase === 'Apply'
      ? ended(
          change,
          failure,
          'rolled back',
          `release ${good.number} serves; no application was touched`,
        )
      : ended(
          change,
          failure,
          'broken',
          `nothing was changed: release ${good.number} is in place${failure.code === exit.refused ? '; whether it works could not be asked' : ', and it does not work'}`,
        )
  try {
    await step(`Put release ${good.number} back`, () => goBack(change, good, unfinished))
    await proveBack(change, good)
    return await ended(
      change,
      failure,
      'rolled back',
      `release ${good.number} serves again, proven by smoke`,
    )
  } catch (error) {
    const gone = lock!.lost()
    // whoever has the lock now decides: nothing is written any more
    if (gone) {
      const serving = `${how(change, good)}; whether it works is not known: ${gone.why}${lasting(change)}`
      return new Failure(gone.code, failure.what, failure.why, {
        evidence: failure.evidence,
        next: gone.next,
        serving,
      })
    }
    const bug = error instanceof Failure ? '' : 'by a bug in the script: '
    return ended(
      change,
      failure,
      'broken',
      `${how(change, good)}, but ${bug}${(error as Error).message}`,
    )
  }
}

/** How far the way back was gone, in words. */
function how(change: Change, good: Stored): string {
  if (isBack(change))
    return `release ${good.number} ${isBegun(change) ? 'was put back' : 'is in place'}`
  return `${isBegun(change) ? `release ${good.number} was put back in parts` : 'nothing could be put back'} (${inPlace(change)})`
}

/** Records and tells how it ended. */
async function ended(
  change: Change,
  failure: Failure,
  ending: Ending,
  words: string,
): Promise<Failure> {
  const { what, why, message, evidence, next } = failure
  const code = ending === 'rolled back' ? exit.rolledBack : exit.broken
  let now = words + lasting(change)
  if (!isNothing(change)) {
    await finish(change, ending, message).catch((error: Error) => {
      say(`  the release could not be recorded: ${error.message}`)
      now += `; release ${change.release!.number} may not be recorded as ${ending}`
    })
    await tell(change, code === exit.rolledBack ? 'rolled-back' : 'failed', {
      failed: failure,
      serving: now,
    })
  }
  return new Failure(code, what, why, { evidence, next, serving: now })
}

async function goBack(change: Change, good: Stored, unfinished: Stored[]): Promise<void> {
  const { place, touched, stands, lock, release } = change
  const { lost } = lock!
  const hears = goesBack(change)
  const names = new Set(
    [...touched, ...unfinished.flatMap(({ manifests }) => manifests)].map(title),
  )
  // a volume that has grown cannot shrink, and what runs bears a larger one
  const back = arranged(good.manifests).filter(
    one => !['Job', 'PersistentVolumeClaim'].includes(one.kind) && names.has(title(one)),
  )
  // which of two releases they are of nobody knows
  const killed = unfinished.filter(({ ending }) => ending !== 'rolled back').flatMap(leftBy)
  for (const one of killed.filter(({ kind }) => kind !== 'Job'))
    if (!stands.has(title(one))) stands.set(title(one), 'unknown')
  const own = touched.filter(one => release!.created!.includes(title(one)))
  // settings first: what starts anew must not read the new ones; then the applications, the last one first
  const settings = back.filter(({ kind }) => /^(ConfigMap|Secret|SealedSecret)$/.test(kind))
  await put(place, settings, lost, hears)
  // what can go back goes back all the same
  const sealed = await opened(
    place,
    settings.filter(one => touched.some(other => title(other) === title(one))),
    lost,
  ).then(
    () => undefined,
    (error: Error) => error,
  )
  await put(place, back.filter(one => !settings.includes(one)).reverse(), lost, hears)
  await remove(
    place,
    removals(good.manifests, [own, ...unfinished.map(leftBy)], [], []).removed,
    lost,
    hears,
  )
  await freeStuckPods(place, back, lost)
  if (sealed) throw sealed
}

/** Throws Failure when the release that came back does not work. */
async function proveBack(change: Change, good: Stored): Promise<void> {
  // pods that have served all the time need no new trial; those that start anew do
  const wait = waitOf(change, true, good.manifests, change.touched)
  await step('Watch it', () => ready({ ...wait, stable: 0 }, good.manifests.filter(isWorkload)))
  const all = await step('Smoke it', () =>
    prove(wait, good.manifests, name => isExcused(good, name)),
  )
  const worse = all.filter(({ ok, name }) => !ok && !isExcused(good, name))
  if (worse.length)
    throw new Failure(
      exit.broken,
      'Smoke',
      worse.map(({ name, detail }) => `${name}: ${detail}`).join('; '),
    )
}
