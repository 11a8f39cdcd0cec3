// The deploy lock in a person's hands: held for as long as it takes, or ended whoever holds it.
import { randomUUID } from 'node:crypto'
import { actor, runUrl } from './actor.ts'
import { Failure, exit } from '../errors.ts'
import {
  clock,
  current,
  describe,
  isGone,
  judge,
  leaseOf,
  locked,
  microTime,
  write,
} from './lease.ts'
import type { Place } from '../cluster/place.ts'

/** Holds the lock by hand, for as long as it takes. Throws Failure (locked) when another has it. */
export async function hold(place: Place, reason: string): Promise<string> {
  const [before, now] = await Promise.all([current(place), clock(place)])
  if (before && judge(before, now, isGone) === 'held') throw locked(place, before)
  const spec = {
    holderIdentity: `${actor()} ${randomUUID().slice(0, 8)}`,
    acquireTime: microTime(now),
    renewTime: microTime(now),
    leaseTransitions: (before?.spec.leaseTransitions ?? 0) + 1,
  }
  const mine = await write(
    place,
    leaseOf(place, before, spec, {
      'kgc.hu/who': actor(),
      'kgc.hu/reason': reason,
      'kgc.hu/run': runUrl(),
    }),
  )
  if (!mine)
    throw new Failure(exit.locked, `Lock ${place.name}`, 'another was quicker', {
      next: 'the same command again',
    })
  return describe(mine)
}

/** Ends whatever lock there is; who did it and why stays in the lease. Returns what it was. */
export async function unlock(place: Place, reason: string): Promise<string> {
  const before = await current(place)
  if (!before?.spec.holderIdentity) return 'nobody held it'
  const ended = `unlocked by ${actor()} at ${new Date().toISOString().slice(0, 19)}Z: ${reason} (it was ${describe(before)})`
  if (
    !(await write(
      place,
      leaseOf(
        place,
        before,
        { leaseTransitions: before.spec.leaseTransitions },
        { 'kgc.hu/ended': ended },
      ),
    ))
  )
    throw new Failure(exit.locked, `Unlock ${place.name}`, 'it changed at this moment', {
      next: 'the same command again',
    })
  return `it was ${describe(before)}`
}
