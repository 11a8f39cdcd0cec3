// A lock whose holder may be dead, such as a runner that was killed: nobody is there to run the command again.
import { current, clock, describe, locked, writingOf } from './lease.ts'
import type { Manifest } from '../cluster/cluster.ts'
import type { Place } from '../cluster/place.ts'
import { say } from '../report.ts'
import { stopwatch } from '../stopwatch.ts'

/**
 * Waits until a lease that is held is over because nobody renews it. Throws Failure (locked) as soon as its holder is seen at work (it renews four
 * times in its time), and at once when it is held by hand or somebody is at the terminal.
 */
export async function outlast(
  place: Place,
  lease: Manifest,
  terminal = Boolean(process.stdin.isTTY),
): Promise<void> {
  const { leaseDurationSeconds: ttl, renewTime } = lease.spec
  if (terminal || ttl === undefined) throw locked(place, lease)
  const end = Date.parse(renewTime) + ttl * 1000
  const left = end - (await clock(place)) + 1000
  const passed = stopwatch()
  say(
    `  the lock is ${describe(lease)}; unless it is renewed it ends by itself at ${at(end)}: waiting for that`,
  )
  let doubted = false
  while (passed() < left) {
    await new Promise(done => setTimeout(done, Math.min(ttl * 50, left - passed())))
    // an API server that is away for a moment says nothing about the holder
    const now = await current(place).catch(() => lease)
    if (writingOf(now) !== writingOf(lease))
      throw locked(place, now?.spec.holderIdentity ? now : lease)
    if (doubted || passed() < (ttl * 1000) / 3) continue
    doubted = true
    say(`  nobody has renewed it for ${ttl / 3} s: its holder is gone`)
  }
}

const at = (ms: number): string => `${new Date(ms).toISOString().slice(11, 19)} UTC`
