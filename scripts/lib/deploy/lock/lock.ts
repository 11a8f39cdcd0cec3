// One deploy at a time: a Lease in the environment's namespace names the holder, since when and in
// which step.
import { randomUUID } from 'node:crypto'
import { readActor, readMachineId, workflowRunUrl } from '../actor.ts'
import type { Lease } from '../../kubernetes/objects.ts'
import { Failure, exit, type ExitCode } from '../../errors.ts'
import {
  fetchLease,
  describeLease,
  hasProcessEnded,
  leaseState,
  createLease,
  createLockedFailure,
  formatMicroTime,
  resourceVersionOf,
  writeLease,
} from './lease.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { say } from '../../report.ts'
import type { HeldLock } from '../../rollout/wait.ts'
import { constantDelays, pollUntil, waitAtMost } from '../../retry.ts'
import { onInterrupt } from '../../interrupt.ts'
import { startStopwatch } from './stopwatch.ts'

/** s: how long it lasts, how often it is renewed, and how long before its end it counts as lost. */
export const leaseSeconds = { ttl: 60, renew: 15, margin: 8 }

export interface Lock extends HeldLock {
  release: () => Promise<void>
}

/**
 * Takes the lock for `what` (`deploy`, `rollback`). Throws Failure (locked) that names who has it.
 * A lock whose holder is gone is taken over.
 * `seen`: which writing of the lease the pre-flight has seen; when there is another, what it found
 * out may not be true any more.
 */
export async function acquireLock(
  environment: Environment,
  what: string,
  seen?: string,
): Promise<Lock> {
  const { lease: before, now } = await fetchLease(environment)
  const [offset, passed] = [now - Date.now(), startStopwatch()]
  const state = leaseState(before, now, hasProcessEnded)
  if (before && state === 'held') throw createLockedFailure(environment, before)
  if (seen !== undefined && resourceVersionOf(before) !== seen)
    throw new Failure(
      exit.locked,
      `Lock ${environment.name}`,
      'another deploy has run since the pre-flight; nothing was touched',
      { next: 'the same command again' },
    )
  if (before && state !== 'free')
    say(
      `  the lock was ${describeLease(before)}; ${state === 'dead' ? 'its process has ended' : `it has not been renewed for ${before.spec.leaseDurationSeconds} s`}: taken over`,
    )
  const annotations: Record<string, string | undefined> = {
    'kgc.hu/what': what,
    'kgc.hu/phase': 'lock',
    'kgc.hu/run': workflowRunUrl(),
    'kgc.hu/machine': readMachineId() || undefined,
    'kgc.hu/pid': String(process.pid),
  }
  const spec = () => ({
    holderIdentity,
    leaseDurationSeconds: leaseSeconds.ttl,
    acquireTime,
    renewTime: formatMicroTime(now + passed()),
    leaseTransitions: transitions,
  })
  const holderIdentity = `${readActor()} ${randomUUID().slice(0, 8)}`
  const acquireTime = formatMicroTime(now)
  const transitions = (before?.spec.leaseTransitions ?? 0) + 1
  const forget = onInterrupt(() => releaseUnansweredLock(environment, holderIdentity))
  const mine = await writeLease(environment, createLease(environment, before, spec(), annotations))
  if (!mine) {
    forget()
    const { lease: other } = await fetchLease(environment)
    throw other?.spec.holderIdentity
      ? createLockedFailure(environment, other)
      : new Failure(exit.locked, `Lock ${environment.name}`, 'another deploy took the lock first', {
          next: 'the same command again',
        })
  }
  const renewal = startRenewal(environment, mine, annotations, spec)
  forget()
  return { ...renewal, clockOffsetMs: Math.abs(offset) > 2000 ? offset : 0 }
}

/** The API server may have given the lock to a script that was interrupted before it heard of it. */
async function releaseUnansweredLock(environment: Environment, holder: string): Promise<void> {
  const lease = await pollUntil(
    async () => (await fetchLease(environment)).lease,
    lease => lease?.spec.holderIdentity === holder,
    constantDelays(100, 500),
  )
  if (lease?.spec.holderIdentity === holder) await freeLease(environment, lease, holder, 'lock')
}

/** Out: undefined when somebody has written the lease since it was read. */
function freeLease(environment: Environment, lease: Lease, holder: string, step: string) {
  const spec = { leaseTransitions: lease.spec.leaseTransitions ?? 0 }
  const ended = { 'kgc.hu/ended': `released by ${holder} in step ${step}` }
  return writeLease(environment, createLease(environment, lease, spec, ended))
}

/** Renews a lock until it is released or lost. */
function startRenewal(
  environment: Environment,
  taken: Lease,
  annotations: Record<string, string | undefined>,
  spec: () => Lease['spec'],
): Omit<Lock, 'clockOffsetMs'> {
  let lease: Lease = taken
  let sinceRenewal = startStopwatch()
  let gone: Failure | undefined
  let queue: Promise<unknown> = Promise.resolve()
  const lose = (code: ExitCode, why: string) =>
    void (gone ??= new Failure(code, `Hold the lock of ${environment.name}`, why, {
      next: `npx zx scripts/deploy.ts ${environment.name}, when no other deploy is running`,
    }))
  const lossFailure = () => {
    // the next deploy takes it over after its time: by then this one may touch nothing more
    if (!gone && sinceRenewal() > (leaseSeconds.ttl - leaseSeconds.margin) * 1000)
      lose(exit.timeout, `it could not be renewed for ${Math.round(sinceRenewal() / 1000)} s`)
    return gone
  }
  // renewals and steps one after the other: each needs the version that the one before has made
  const next = <T>(work: () => Promise<T>): Promise<T> => {
    const done = queue.then(work)
    queue = done.catch(() => {})
    return done
  }
  const renew = async () => {
    if (lossFailure()) return
    const written = await writeLease(
      environment,
      createLease(environment, lease, spec(), annotations),
    )
    if (!written) {
      const { lease: other } = await fetchLease(environment)
      // an answer that was lost on its way: the lease is still this one's
      if (other && other.spec.holderIdentity === lease.spec.holderIdentity)
        return void (lease = other)
      return lose(
        exit.locked,
        other?.spec.holderIdentity
          ? `it is ${describeLease(other)}`
          : `it was unlocked: ${other?.metadata.annotations?.['kgc.hu/ended'] ?? 'the lease is gone'}`,
      )
    }
    lease = written
    sinceRenewal = startStopwatch()
  }
  const timer = setInterval(
    () =>
      void next(renew).catch(error =>
        say(`  the lock could not be renewed: ${(error as Failure).why ?? error}`),
      ),
    leaseSeconds.renew * 1000,
  )
  timer.unref()
  const release = async () => {
    clearInterval(timer)
    // a renewal that was interrupted never ends
    await waitAtMost(500, queue)
    const holder = lease.spec.holderIdentity ?? ''
    const free = (now: Lease) =>
      freeLease(environment, now, holder, annotations['kgc.hu/phase'] ?? '')
    if (!(await free(lease))) {
      // somebody has written it since: a renewal whose answer was lost, or the one who took it away
      const { lease: now } = await fetchLease(environment)
      if (now && now.spec.holderIdentity === lease.spec.holderIdentity) await free(now)
    }
    // not before: who is interrupted in the middle of it does it again
    forget()
  }
  const forget = onInterrupt(release)
  const recordPhase = async (name: string) => {
    annotations['kgc.hu/phase'] = name
    await next(renew).catch(error =>
      say(`  the lock could not be renewed: ${(error as Failure).why ?? error}`),
    )
    if (lossFailure()) throw gone
  }
  return { recordPhase, lossFailure, release }
}
