// Tries again what another server is too busy for.
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * What an attempt came to: `done`, or why not, and with `wait` (ms, at the least) that it may be
 * tried again.
 */
export type Attempt<T> = { done: T } | { why: string; wait?: number }

/**
 * Attempts until it is done, refused, or `until` (ms of the clock) is near; the `pause` between
 * (ms) doubles. Out: what was done, or why not.
 */
export async function retryUntilDeadline<T>(
  until: number,
  pause: number,
  attempt: () => Promise<Attempt<T>>,
): Promise<{ done: T } | { why: string }> {
  for (; ; pause *= 2) {
    const outcome = await attempt()
    if ('done' in outcome || outcome.wait === undefined) return outcome
    const rest = Math.max(outcome.wait, pause)
    if (Date.now() + rest >= until)
      return { why: `${outcome.why}, and there is no time for another try` }
    await sleep(rest)
  }
}

/** ms that a server asks to wait: Retry-After in seconds or as a date; 0 when it does not say. */
export function parseRetryAfter(header: string | null | undefined, now = Date.now()): number {
  const seconds = Number(header ?? '')
  const asked = Number.isNaN(seconds) ? Date.parse(header!) - now : seconds * 1000
  return Number.isNaN(asked) ? 0 : Math.max(0, Math.ceil(asked))
}
