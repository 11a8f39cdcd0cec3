// Tries again and waits. How often and how long is data: the ms to wait before each next time, a
// list or one of the generators below.
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * What an attempt came to: `done`, or why not, and with `wait` (ms, at least) that it may be
 * tried again.
 */
export type Attempt<T, Why = string> = { done: T } | { why: Why; wait?: number | undefined }

/** The same pause, for `limit` ms from the first failure on. */
export function* constantDelays(pause: number, limit = Number.POSITIVE_INFINITY) {
  const end = Date.now() + limit
  do yield pause
  while (Date.now() <= end)
}

/** Pauses of which each is twice as long as the one before. */
export function* doublingDelays(pause: number) {
  for (; ; pause *= 2) yield pause
}

interface RetryOptions<Why> {
  /** ms of the clock, at which nothing more is tried. */
  until?: number
  /** A longer wait than these ms is not granted. */
  longest?: number
  /** Told before each pause, of `ms`. */
  onRetry?: (why: Why, ms: number) => void
}

/**
 * Attempts until it is done or may not be tried again, at the longest until the delays end. `late`:
 * there was no time to try it again.
 */
export async function retryAttempts<T, Why>(
  attempt: () => Promise<Attempt<T, Why>>,
  delays: Iterable<number>,
  { until = Infinity, longest = Infinity, onRetry }: RetryOptions<Why> = {},
): Promise<{ done: T } | { why: Why; late?: boolean }> {
  const pauses = delays[Symbol.iterator]()
  for (;;) {
    const outcome = await attempt()
    if ('done' in outcome) return outcome
    const { why, wait } = outcome
    if (wait === undefined || wait > longest) return { why }
    const next = pauses.next()
    if (next.done) return { why }
    const rest = Math.max(wait, next.value)
    if (Date.now() + rest >= until) return { why, late: true }
    onRetry?.(why, rest)
    await sleep(rest)
  }
}

/** Why it was not done, for a sentence. */
export const describeRefusal = ({ why, late }: { why: string; late?: boolean }): string =>
  late ? `${why}, and there is no time for another try` : why

/** Looks again until it `isDone` or the delays end; the last look. */
export async function pollUntil<T>(
  look: () => Promise<T>,
  isDone: (seen: T) => boolean,
  delays: Iterable<number>,
): Promise<T> {
  const outcome = await retryAttempts(async (): Promise<Attempt<T, T>> => {
    const seen = await look()
    return isDone(seen) ? { done: seen } : { why: seen, wait: 0 }
  }, delays)
  return 'done' in outcome ? outcome.done : outcome.why
}

/** What `work` gives within `ms`; undefined when it takes longer, and it goes on. */
export async function waitAtMost<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  const stop = new AbortController()
  try {
    return await Promise.race([work, sleep(ms, undefined, { signal: stop.signal })])
  } finally {
    stop.abort()
  }
}

/** ms that a server asks to wait: Retry-After in seconds or as a date; 0 when it does not say. */
export function parseRetryAfter(header: string | null | undefined, now = Date.now()): number {
  const seconds = Number(header ?? '')
  const asked = Number.isNaN(seconds) ? Date.parse(header!) - now : seconds * 1000
  return Number.isNaN(asked) ? 0 : Math.max(0, Math.ceil(asked))
}
