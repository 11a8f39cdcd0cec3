// The deploy lock by hand: held without a time limit, or ended, no matter who holds it.
import { randomUUID } from 'node:crypto'
import { readActor, workflowRunUrl } from '../actor.ts'
import { Failure, exit } from '../../errors.ts'
import {
  fetchLease,
  describeLease,
  isLockHeld,
  createLease,
  createLockedFailure,
  formatMicroTime,
  writeLease,
} from './lease.ts'
import type { Environment } from '../../kubernetes/environment.ts'

/** Holds the lock by hand, for as long as it takes. Throws Failure (locked) when another has it. */
export async function holdLock(environment: Environment, reason: string): Promise<string> {
  const reading = await fetchLease(environment)
  const { lease: before, now } = reading
  if (before && isLockHeld(reading)) throw createLockedFailure(environment, before)
  const spec = {
    holderIdentity: `${readActor()} ${randomUUID().slice(0, 8)}`,
    acquireTime: formatMicroTime(now),
    renewTime: formatMicroTime(now),
    leaseTransitions: (before?.spec.leaseTransitions ?? 0) + 1,
  }
  const mine = await writeLease(
    environment,
    createLease(environment, before, spec, {
      'kgc.hu/who': readActor(),
      'kgc.hu/reason': reason,
      'kgc.hu/run': workflowRunUrl(),
    }),
  )
  if (!mine)
    throw new Failure(
      exit.locked,
      `Lock ${environment.name}`,
      'another deploy took the lock first',
      {
        next: 'the same command again',
      },
    )
  return describeLease(mine)
}

/** Ends whatever lock there is; who did it and why stays in the lease. Returns what it was. */
export async function forceUnlock(environment: Environment, reason: string): Promise<string> {
  const { lease: before } = await fetchLease(environment)
  if (!before?.spec.holderIdentity) return 'it was not held'
  const ended = `unlocked by ${readActor()} at ${new Date().toISOString().slice(0, 19)}Z: ${reason} (it was ${describeLease(before)})`
  if (
    !(await writeLease(
      environment,
      createLease(
        environment,
        before,
        { leaseTransitions: before.spec.leaseTransitions ?? 0 },
        { 'kgc.hu/ended': ended },
      ),
    ))
  )
    throw new Failure(
      exit.locked,
      `Unlock ${environment.name}`,
      'the lock changed at this moment',
      {
        next: 'the same command again',
      },
    )
  return `it was ${describeLease(before)}`
}
