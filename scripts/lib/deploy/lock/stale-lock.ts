// A lock whose holder may be dead, such as a killed runner, while no person is there to run the
// command again.
import { setTimeout as sleep } from 'node:timers/promises'
import { fetchLease, describeLease, createLockedFailure, resourceVersionOf } from './lease.ts'
import type { Lease } from '../../kubernetes/objects.ts'
import type { Environment } from '../../kubernetes/environment.ts'
import { say } from '../../report.ts'
import { startStopwatch } from './stopwatch.ts'

/**
 * Waits until a lease that is held is over because nobody renews it; `now`: when it was read, ms of
 * the cluster's clock. Throws Failure (locked) as
 * soon as its holder is seen at work (it renews four times in its time), and at once when it is
 * held by hand or somebody is at the terminal.
 */
export async function waitForStaleLock(
  environment: Environment,
  lease: Lease,
  now: number,
  terminal = Boolean(process.stdin.isTTY),
): Promise<void> {
  const { leaseDurationSeconds: ttl, renewTime } = lease.spec
  if (terminal || ttl === undefined) throw createLockedFailure(environment, lease)
  const end = Date.parse(renewTime ?? '') + ttl * 1000
  const left = end - now + 1000
  const passed = startStopwatch()
  say(
    `  the lock is ${describeLease(lease)}; it ends at ${formatUtcTime(end)} unless it is renewed: waiting for that`,
  )
  let doubted = false
  while (passed() < left) {
    await sleep(Math.min(ttl * 50, left - passed()))
    // an API server that is away for a moment says nothing about the holder
    const seen = await fetchLease(environment).catch(() => ({ lease }))
    if (resourceVersionOf(seen.lease) !== resourceVersionOf(lease))
      throw createLockedFailure(environment, seen.lease?.spec.holderIdentity ? seen.lease : lease)
    if (doubted || passed() < (ttl * 1000) / 3) continue
    doubted = true
    say(`  it has not been renewed for ${ttl / 3} s: its holder is gone`)
  }
}

const formatUtcTime = (ms: number): string => `${new Date(ms).toISOString().slice(11, 19)} UTC`
