// Shows the last log lines of what is being waited for: a first start may take half an hour, and
// `starting` alone does not tell whether it works.
import { truncateToWidth, toOneLine } from './progress.ts'

/** ms for which nobody is asked. */
const firstPollDelayMs = 10_000
/** Columns of what one says, and how many are asked at a time. */
const [broad, most] = [120, 5]

export type LogPoller = (
  open: string[],
  ask: (names: string[]) => Promise<string[]>,
) => Promise<Map<string, string>>

/**
 * A listener for a wait since `since` (ms of the clock), which asks at most every `pause` ms.
 * Called at each look, with the names that are waited for and how to ask them, it gives what they
 * last said.
 */
export function createLogPoller(since: number, pause: number): LogPoller {
  let heard = new Map<string, string>()
  let asked = since + firstPollDelayMs - pause
  return async (open, ask) => {
    if (Date.now() - asked < pause || !open.length) return heard
    const names = open.slice(0, most)
    const said = await ask(names).catch(() => [])
    asked = Date.now()
    return (heard = new Map(names.flatMap((name, i) => (said[i] ? [[name, said[i]]] : []))))
  }
}

/**
 * The last line of a text that says something, without secrets and cut; '' when none does. Lines
 * may begin with the engine's time, by which they are ordered.
 */
export function findLastLogLine(text: string, timed = false): string {
  const lines = text.split('\n').filter(Boolean)
  const said = (timed ? lines.sort().map(line => line.replace(/^\S+ ?/, '')) : lines)
    .map(toOneLine)
    .filter(Boolean)
  return truncateToWidth(said.at(-1) ?? '', broad)
}

/** A detail with what was heard of it. */
export const appendLogLine = (detail: string, words: string | undefined): string =>
  words ? `${detail}; ${words}` : detail
