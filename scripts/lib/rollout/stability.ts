// For how long all has been ready.
import { color, duration } from '../report.ts'
import type { Narrator } from './tell.ts'
import type { Rollout } from './verdict.ts'

interface Stability {
  /** ms for which all must stay ready yet; undefined while not all is. */
  left: (verdicts: Rollout[], ahead: number) => number | undefined
  /** Nothing is known any more. */
  forget: () => void
}

/**
 * Counts `stable` ms since all were first seen ready; where nothing was done that could have harmed them (`settled`), since their pods have been:
 * a pod's own times say as much as having looked on. `seen`: ms of the clock when another watch, a moment ago, saw all of them ready.
 */
export function stability(stable: number, settled: boolean, tell: Narrator, seen = 0): Stability {
  let since = seen
  let said = false
  const forget = (): undefined => {
    since = 0
    said = false
  }
  const left = (verdicts: Rollout[], ahead: number) => {
    if (!verdicts.every(({ state }) => state === 'ready')) return forget()
    since ||= settled ? stoodSince(verdicts, ahead) : Date.now()
    const rest = Math.max(0, since + stable - Date.now())
    const words = rest
      ? `all is ready, and must stay so for ${duration(rest)}`
      : `all has been ready for ${duration(Date.now() - since)} already`
    if (!said && stable) tell.note(color.dim(`  ${words}`))
    said = true
    return rest
  }
  return { left, forget }
}

/** Since when (ms of this machine's clock) all have been ready, as their pods say; the cluster writes whole seconds. */
const stoodSince = (verdicts: Rollout[], ahead: number): number =>
  Math.min(Date.now(), Math.max(...verdicts.map(({ since = 0 }) => since)) + 1000 - ahead)
