// The last phase of a change: it is written down, and how it ended is put into words.
import { remove } from './apply.ts'
import { finish, isNothing, type Change } from './change.ts'
import { title } from './manifests.ts'
import type { Place } from '../cluster/place.ts'
import { stillFailing } from './proof.ts'
import { serving, store, trim, type Stored } from './release.ts'
import { goesForward } from './standing.ts'
import { duration, warn } from '../report.ts'
import { tell, tellSame } from './tell.ts'

/** Removes what is not part of it any more, and records the release as the one that serves. */
export async function record(change: Change): Promise<void> {
  const { place, plan, found, release, started, removed } = change
  const nothing = isNothing(change)
  await remove(place, [...plan!.removed, ...plan!.generated], change.lock!.lost, (one, how) => {
    goesForward(change)(one, how)
    if (how === 'done') removed.add(title(one))
  })
  const { failing = [], checks = [] } = release!
  if (nothing) await noteFewer(place, serving(found!.history)!, checks, failing)
  const number = nothing ? serving(found!.history)!.number : release!.number
  if (!nothing) {
    await finish(change, 'succeeded')
    // too many records harm nobody: the next change removes them
    const trimmed = trim(place, [release!, ...found!.history]).catch((error: Error) =>
      warn(`Old releases could not be removed: ${error.message}`),
    )
    await Promise.all([trimmed, tell(change, 'succeeded')])
  } else await tellSame(change, number)
  const ms = Date.now() - started
  const when = serving(found!.history) ? ', as before' : ''
  const but = failing.length
    ? ` ${failing.length} checks do not pass${when}: npx zx scripts/smoke.ts ${place.name} --target kubernetes`
    : ''
  const text = `${nothing ? 'Nothing to do: ' : ''}${place.name} serves release ${number}`
  change.ended = {
    event: { environment: place.name, release: number, changed: !nothing, failing, ms },
    text: `${text} (${nothing ? '' : `${release!.what}, `}${duration(ms)}).${but}`,
  }
}

/** A check that passes by now may not fail again unnoticed. */
async function noteFewer(
  place: Place,
  now: Stored,
  asked: string[],
  failing: string[],
): Promise<void> {
  const left = stillFailing(now, asked, failing)
  if ((now.failing ?? []).length > left.length)
    await store(place, Object.assign(now, { failing: left }), 'replace')
}
